"""How long a master waits before it starts a child again."""

from trivet_common.children import Pause


def test_it_grows_while_none_comes_to_serve() -> None:
    pause = Pause()
    assert [round(pause.after(0.0), 1) for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]
    assert pause.after(1.0) == 0.0
    assert pause.after(0.5) == 0.1


def test_it_does_not_grow_when_those_are_killed_that_serve() -> None:
    pause = Pause()
    pause.after(0.0)
    pause.after(0.0)
    assert [pause.after(0.3, has_served=True) for _ in range(3)] == [0.1, 0.1, 0.1]
