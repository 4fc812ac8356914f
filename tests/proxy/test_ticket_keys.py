import ssl

from trivet_proxy.ticket_keys import PERIOD, TicketKeys


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


def test_one_context_a_day_the_same_for_all_who_inherit_it() -> None:
    clock = Clock()
    keys = TicketKeys(make, 3, clock)
    seen = []
    for day in range(5):
        clock.now = day * PERIOD
        first = keys.context()
        clock.now += PERIOD - 1
        assert keys.context() is first
        seen.append(first)
    assert len(set(map(id, seen))) == 5


def test_past_keys_are_gone() -> None:
    clock = Clock()
    keys = TicketKeys(make, 3, clock)
    clock.now = 1.5 * PERIOD
    keys.context()
    assert [one is None for one in keys._made] == [True, False, False]
    assert "day 1 of 3" in repr(keys)


def test_forgetting_lasts_until_tomorrow() -> None:
    clock = Clock()
    keys = TicketKeys(make, 3, clock)
    shared = keys.context()
    own = keys.forget()
    assert own is not shared
    assert keys.context() is own
    clock.now = PERIOD
    assert keys.context() not in (own, shared)
