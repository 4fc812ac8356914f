"""A master below that does not answer is found at the next call; one that is gone owes nothing."""

from trivet_common.children import Child
from trivet_deploy.roll_call import QUESTION, RollCall


class Below(Child):
    """Keeps what it is told."""

    def __init__(self, pid: int) -> None:
        super().__init__("pool web", 0, pid, None)
        self.heard: list[bytes] = []

    def tell(self, message: bytes) -> None:
        self.heard.append(message)


def test_everyone_answers() -> None:
    one = Below(11)
    call = RollCall()
    assert call.call([one])
    assert one.heard == [QUESTION]
    call.heard(one)
    assert call.call([one])


def test_one_is_silent_until_it_answers() -> None:
    one, two = Below(11), Below(12)
    call = RollCall()
    assert call.call([one, two])
    call.heard(two)
    assert not call.call([one, two])
    assert not call.call([one, two])
    assert one.heard == [QUESTION]  # asked once, however long it stands
    call.heard(one)
    call.heard(two)
    assert call.call([one, two])


def test_one_that_is_gone_owes_nothing() -> None:
    one = Below(11)
    call = RollCall()
    assert call.call([one])
    assert call.call([])
    assert call.call([one])


def test_one_that_could_not_be_forked_is_not_asked() -> None:
    assert RollCall().call([Below(0)])
