"""What the figures are held against (issue 8, "It is done when"), and what must be measured to know."""

from dataclasses import dataclass

from benchmarks.figures import NAMES, Results, Row, Spread

Cell = tuple[str, str]  # scenario, stack
USUAL = "nginx+gunicorn"


@dataclass(frozen=True)
class Goal:
    point: str
    text: str
    cell: Cell
    figure: str
    limit: float
    base: Cell | None = None  # a ratio to this; None: the figure itself
    base_figure: str | None = None  # another figure than `figure`
    is_least: bool = False

    def value(self, results: Results) -> Spread | None:
        if self.base is None:
            return results.spread(Row(*self.cell), self.figure)
        return results.ratio(Row(*self.cell), self.figure, Row(*self.base), self.base_figure)

    def is_reached(self, value: float) -> bool:
        return value >= self.limit if self.is_least else value <= self.limit

    @property
    def bound(self) -> str:
        unit = "x" if self.base else NAMES[self.figure][1]
        return f"{'at least' if self.is_least else 'at most'} {self.limit:g} {unit}"


GOALS = (
    Goal("1", "bare WSGI: CPU of all", ("hello", "trivet"), "cpu", 0.40, ("hello", USUAL)),
    Goal(
        "1", "bare WSGI: requests a second", ("hello", "trivet"), "rate", 2.2, ("hello", USUAL), is_least=True
    ),
    Goal("2", "Flask: CPU of all", ("flask", "trivet"), "cpu", 0.62, ("flask", USUAL)),
    Goal("2", "Flask: requests a second", ("flask", "trivet"), "rate", 1.5, ("flask", USUAL), is_least=True),
    Goal("2", "Django: CPU of all", ("django", "trivet"), "cpu", 0.75, ("django", USUAL)),
    Goal(
        "3",
        "CPU of the proxy before slots, by nginx's",
        ("browser", "trivet"),
        "front",
        1.0,
        ("browser", USUAL),
    ),
    Goal(
        "3",
        "CPU of the proxy before gunicorn, by nginx's",
        ("browser", "trivet-proxy+gunicorn"),
        "front",
        1.0,
        ("browser", USUAL),
    ),
    Goal(
        "4",
        "CPU of the pool behind nginx, by gunicorn's",
        ("hello", "nginx+trivet-slots"),
        "pool",
        0.2,
        ("hello", USUAL),
    ),
    Goal("5", "Flask: CPU of all, by granian alone", ("flask", "trivet"), "cpu", 1.3, ("flask", "granian")),
    Goal("6", "file of 1 KiB: CPU, by nginx", ("static", "trivet"), "cpu", 2.2, ("static", "nginx")),
    Goal(
        "6", "file of 100 KiB: CPU, by nginx", ("static100k", "trivet"), "cpu", 1.6, ("static100k", "nginx")
    ),
    Goal(
        "6",
        "file of 10 MiB: speed, by nginx",
        ("large", "trivet"),
        "rate",
        0.95,
        ("large", "nginx"),
        is_least=True,
    ),
    Goal("7", "memory of an idle connection", ("idle", "trivet"), "idle", 8),
    Goal(
        "7",
        "p99 beside 8 000 idle, by that without them",
        ("idle", "trivet"),
        "p99",
        1.5,
        ("idle", "trivet"),
        "p99_alone",
    ),
    Goal(
        "8", "CPU at 512 connections, by that at 64", ("hello512", "trivet"), "cpu", 1.25, ("hello", "trivet")
    ),
    Goal("9", "first answer after", ("start", "trivet"), "first", 1.0),
    Goal("9", "memory of all, one proxy process, two workers", ("start", "trivet"), "pss", 60),
)


def cells(goals: tuple[Goal, ...] = GOALS) -> list[Cell]:
    """What must be measured for them: each baseline beside what is compared with it."""
    wanted: dict[Cell, None] = {}
    for goal in goals:
        for cell in (goal.cell, goal.base):
            if cell is not None:
                wanted.setdefault(cell)
    return list(wanted)
