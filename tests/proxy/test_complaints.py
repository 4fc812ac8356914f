from trivet_proxy.complaints import Complaints


def test_a_kind_is_said_once_an_interval_with_the_number_left_out() -> None:
    said: list[str] = []
    now = [100.0]
    complaints = Complaints(said.append, lambda: now[0])
    for _ in range(1000):
        complaints.say("accept", "no descriptors", every=10)
    complaints.say("upstream", "refused")
    now[0] += 10
    complaints.say("accept", "no descriptors", every=10)
    now[0] += 10
    complaints.say("accept", "no descriptors", every=10)
    assert said == [
        "no descriptors",
        "refused",
        "no descriptors (and 999 more before)",
        "no descriptors",
    ]


def test_many_kinds_do_not_pile_up() -> None:
    complaints = Complaints(lambda text: None)
    for kind in range(10_000):
        complaints.say(str(kind), "x")
    assert len(complaints._silent) <= 256
