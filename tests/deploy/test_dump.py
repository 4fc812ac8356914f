"""`trivet dump`: whom it asks, and what of the answers it shows."""

from pathlib import Path
from typing import Any

import pytest

from trivet_common.asking import ControlError
from trivet_deploy import dump, running
from trivet_deploy.dump import Wanted
from trivet_deploy.refusal import Refusal
from trivet_deploy.running import MasterAt

RUN = Path("/run/shop")
TEXTS = {
    3: 'w3.0 GET /slow for 2.0 s\n  File "shop.py", line 3, in slow\n\nw3.1 idle\n  File "slot.py", line 9',
    12: "w12.0 idle\n  File \x1b[2J",
}


class Pools:
    """Stands for the masters of two pools."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.workers: dict[str, list[dict[str, int]]] = {
            "pool web": [{"incarnation": 3, "pid": 100}, {"incarnation": 12, "pid": 3}],
            "pool api": [{"incarnation": 3, "pid": 200}],
        }
        self.problem = ""

    def ask(self, path: Path, request: dict[str, Any], timeout: float) -> dict[str, Any]:
        pool = str(path)
        if request["do"] == "status":
            return {"ok": True, "workers": self.workers[pool]}
        self.asked.append((pool, request.get("worker")))
        if self.problem:
            return {"ok": False, "problem": self.problem}
        every = [each["incarnation"] for each in self.workers[pool]]
        numbers = [request["worker"]] if "worker" in request else every
        return {"ok": True, "dumps": {f"w{number}": TEXTS[number] for number in numbers}}


@pytest.fixture
def pools(monkeypatch: pytest.MonkeyPatch) -> Pools:
    pools = Pools()
    monkeypatch.setattr(dump, "ask", pools.ask)
    found = [*(MasterAt(what, Path(what)) for what in pools.workers), MasterAt("proxy", Path("proxy"))]
    monkeypatch.setattr(running, "halves", lambda run_dir: found)
    return pools


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ([], (None, None)),
        (["a.yaml"], ("a.yaml", None)),
        (["shop:app", "w12"], ("shop:app", Wanted("w12", 12, None))),
        (["12.0"], (None, Wanted("12.0", 12, 0))),
        (["w12.3", "a.yaml"], ("a.yaml", Wanted("w12.3", 12, 3))),
        (["4711"], (None, Wanted("4711", 4711, None))),
    ],
)
def test_what_is_meant(words: list[str], meant: Any) -> None:
    assert dump.split(words) == meant


@pytest.mark.parametrize("words", [["a.yaml", "b.yaml"], ["1", "2"]])
def test_one_of_each(words: list[str]) -> None:
    with pytest.raises(Refusal, match="write one FILE") as refused:
        dump.split(words)
    assert refused.value.status == 2


def test_all_workers_of_all_pools(pools: Pools, capsys: pytest.CaptureFixture[str]) -> None:
    assert dump.dump("a.yaml", RUN, None) == 0
    assert pools.asked == [("pool web", None), ("pool api", None)]
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if line.endswith(":")] == [
        "pool web, w3:",
        "pool web, w12:",
        "pool api, w3:",
    ]
    assert 'File "shop.py", line 3, in slow' in out
    assert "\x1b" not in out


def test_one_slot(pools: Pools, capsys: pytest.CaptureFixture[str]) -> None:
    pools.workers.pop("pool api")
    pools.workers["pool api"] = []
    dump.dump("a.yaml", RUN, Wanted("w3.1", 3, 1))
    assert capsys.readouterr().out == 'pool web, w3:\n\nw3.1 idle\n  File "slot.py", line 9\n\n'
    dump.dump("a.yaml", RUN, Wanted("w3.7", 3, 7))
    assert "w3.0 GET /slow" in capsys.readouterr().out, "what cannot be told apart is shown whole"


def test_a_number_is_a_process_before_it_is_a_worker(pools: Pools) -> None:
    dump.dump("a.yaml", RUN, Wanted("3", 3, None))
    assert pools.asked == [("pool web", 12), ("pool api", 3)]
    pools.asked.clear()
    dump.dump("a.yaml", RUN, Wanted("200", 200, None))
    assert pools.asked == [("pool api", 3)]


def test_no_such_worker_names_those_there_are(pools: Pools) -> None:
    with pytest.raises(Refusal) as refused:
        dump.dump("a.yaml", RUN, Wanted("w9", 9, None))
    assert str(refused.value) == (
        "there is no worker w9; there are w3 (process 100), w12 (process 3), w3 (process 200)"
    )


def test_a_worker_that_cannot_tell(pools: Pools, capsys: pytest.CaptureFixture[str]) -> None:
    pools.problem = "w3 does not answer"
    assert dump.dump("a.yaml", RUN, Wanted("100", 100, None)) == 1
    assert capsys.readouterr().err == "trivet: pool web: w3 does not answer\n"


def test_nothing_runs(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "what_runs", lambda: iter(()))

    def gone(*_: Any) -> Any:
        raise ControlError("x: no answer within 10 s")

    monkeypatch.setattr(dump, "ask", gone)
    with pytest.raises(Refusal, match="pool web: x: no answer within 10 s"):
        dump.dump("a.yaml", RUN, None)
    monkeypatch.setattr(running, "halves", lambda run_dir: [])
    with pytest.raises(Refusal, match=r"nothing runs for a\.yaml"):
        dump.dump("a.yaml", RUN, None)
