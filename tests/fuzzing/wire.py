"""The same inputs on connections to a real front with real workers: what was forwarded, what was run.

The gate in memory says what each connection must bring: which requests are run, in which order, with which
bytes, how it ends. Front, application and access log are then asked one by one.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.common.gate_driver import Verdict, read
from tests.requests.corpus import Request
from tests.requests.mutations import Mutator
from tests.whole.running import Site, running, wait_until
from tests.whole.talking import logged
from tests.whole.volley import Outcome, Shot, fire, sources
from tests.whole.witness import APPLICATION, Run, Witness, answer_of, ran
from trivet_common.http1.request import RequestHead

CONFIG = """
proxy: {processes: 2}
log: {access: access.log}
limits: {header_timeout: 20s, body_timeout: 20s}
pools: {web: {app: witness, workers: 2}}
"""
_BATCH = 1000
_AT_ONCE = 32
_PATIENCE = 15.0  # seconds, below the timeouts: what waits for one of those is a hung connection

# Written by the proxy itself, or not a field of the request.
_OURS = {
    "HTTP_HOST", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP", "HTTP_X_REQUEST_ID",
}  # fmt: skip
# Of the fields that the inputs have: what ends at the proxy (RFC 9110, 7.6.1), frames the message, or is
# not a client's to say. Written down here a second time, so that the product's list is not its own judge.
_NOT_PASSED_ON = {
    b"connection", b"te", b"trailer", b"transfer-encoding", b"upgrade", b"expect", b"host", b"content-length",
    b"keep-alive", b"proxy-connection", b"http2-settings", b"x-forwarded-for", b"x-forwarded-proto",
    b"x-real-ip", b"forwarded", b"trivet-claim",
}  # fmt: skip


@dataclass
class Figures:
    """`forwarded` as the front's log has it, `ran` as the application has."""

    connections: int = 0
    requests: int = 0
    refused: int = 0
    forwarded: int = 0
    ran: int = 0
    hung: int = 0
    tracebacks: int = 0
    failures: list[tuple[bytes, str]] = field(default_factory=list)


def run(folder: Path, connections: int, seed: int, tell: Callable[[Figures], None]) -> Figures:
    """So many connections, one to four inputs on each. `tell` hears of the figures after each batch."""
    figures = Figures()
    with running(folder, CONFIG, witness=APPLICATION) as site:
        fuzz = _Fuzz(site, Witness(folder), figures)
        for start in range(0, connections, _BATCH):
            fuzz.fire(f"{seed}:{start}", min(_BATCH, connections - start))
            tell(figures)
        fuzz.compare_with_log()
        figures.tracebacks = site.said().count("Traceback")
    return figures


class _Fuzz:
    def __init__(self, site: Site, witness: Witness, figures: Figures) -> None:
        self._site = site
        self._witness = witness
        self._figures = figures
        self._ran: dict[str, list[str]] = defaultdict(list)  # by client, as in the log

    def fire(self, seed: str, count: int) -> None:
        mutator, chance = Mutator(seed), random.Random(seed)
        data = [mutator.connection() for _ in range(count)]
        shots, verdicts = [], []
        for one, source in zip(data, sources(count, 60), strict=True):
            verdict = read([one], at_eof=False)
            # A client ends its side when it has all it is owed; where it is refused, the front ends it.
            answers = None if verdict.status else len(verdict.requests)
            pieces = mutator.cut(one) if one and chance.random() < 0.3 else [one]
            methods = [request.method for request in verdict.requests]
            shots.append(Shot(pieces, source, answers, methods))
            verdicts.append(read([one]))
        outcomes = fire(self._site.address, shots, _AT_ONCE, _PATIENCE)
        runs = self._witness.new_by_client()
        for one, shot, verdict, outcome in zip(data, shots, verdicts, outcomes, strict=True):
            self._judge(one, verdict, outcome, runs.pop(shot.source, []))
        if runs:
            self._figures.failures.append((b"", f"seed {seed}: nobody's requests were run: {runs}"))

    def _judge(self, data: bytes, verdict: Verdict, outcome: Outcome, runs: list[Run]) -> None:
        figures = self._figures
        figures.connections += 1
        figures.requests += len(verdict.requests) + bool(verdict.status)
        figures.refused += bool(verdict.status)
        figures.ran += len(runs)
        figures.hung += outcome.end == "open"
        for run in runs:
            self._ran[run.client].append(f"{run.ran.method.decode()} {run.ran.target.decode()}")
        fault = _fault(verdict, outcome, runs)
        if fault:
            figures.failures.append((data, fault))

    def compare_with_log(self) -> None:
        """What the front says that it gave to a slot, by client and in order, is what was run."""
        path = self._site.folder / "access.log"
        wait_until(lambda: len(self._forwarded(path)) >= self._figures.ran, 5, "the log's last lines")
        lines = self._forwarded(path)
        self._figures.forwarded = len(lines)
        forwarded: dict[str, list[str]] = defaultdict(list)
        for client, what in lines:
            forwarded[client].append(what)
        for client in {*forwarded, *self._ran}:
            if forwarded[client] != self._ran[client]:
                why = f"{client}: forwarded {forwarded[client]}, ran {self._ran[client]}"
                self._figures.failures.append((b"", why))

    def _forwarded(self, path: Path) -> list[tuple[str, str]]:
        found = []
        for line in path.read_text().splitlines():
            if " upstream=" in line and " upstream=- " not in line:
                words = logged(line)
                found.append((line.split(" ", 1)[0], f"{words['method']} {words['target']}"))
        return found


def _fault(verdict: Verdict, outcome: Outcome, runs: list[Run]) -> str:
    asked = list(zip(verdict.requests, verdict.heads, strict=True))
    statuses = [_status(one, head) for one, head in asked]
    answered = zip(asked, statuses, outcome.answers, strict=False)
    run_ones = [(*pair, answer) for pair, status, answer in answered if status == 200]
    expected = [ran(one.method, one.target, one.body) for one, _, _ in run_ones]
    if [run.ran for run in runs] != expected:
        return f"expected {verdict}, but {[run.ran for run in runs]} were run"
    is_told = verdict.status and verdict.why != "bad_head:tls"  # who speaks TLS is not answered in plain text
    if is_told:
        # `*` is below no route: nobody reads the body that has the fault in it.
        is_unread = (verdict.why or "").startswith("bad_body") and outcome.statuses[-1:] == [404]
        statuses.append(404 if is_unread else verdict.status)
    if outcome.statuses != statuses or outcome.rest:
        return f"expected {verdict}, but the answers are {outcome}"
    if outcome.end == "open" or (is_told and outcome.answers[-1].headers["connection"] != "close"):
        return f"expected {verdict} and an end, but {outcome}"
    for (one, head, answer), run in zip(run_ones, runs, strict=True):
        if answer.body != (b"" if one.method == b"HEAD" else answer_of(run.ran)):
            return f"{one} got the answer {answer}"
        if fault := _fields_fault(one, head, run):
            return f"{one}: {fault}"
    return ""


def _status(request: Request, head: RequestHead) -> int:
    """`*` is below no route, and a pool switches no protocols: neither is run."""
    if request.target == b"*":
        return 404
    return 501 if head.upgrade is not None else 200


def _fields_fault(request: Request, head: RequestHead, run: Run) -> str:
    """Every field that has to arrive has, whole; and no other."""
    expected: dict[str, str] = {}
    for name, value in head.headers:
        if name in _NOT_PASSED_ON or name in head.hop_by_hop:
            continue
        key = name.decode().upper().replace("-", "_")
        key = key if key == "CONTENT_TYPE" else f"HTTP_{key}"
        joint = "; " if key == "HTTP_COOKIE" else ","
        text = value.decode("latin-1")
        expected[key] = f"{expected[key]}{joint}{text}" if key in expected else text
    found = {key: value for key, value in run.fields.items() if key not in _OURS and key != "CONTENT_LENGTH"}
    if found != expected:
        return f"fields {found}, expected {expected}"
    if run.fields["HTTP_HOST"] != (head.authority.decode() or "localhost"):
        return f"host {run.fields['HTTP_HOST']}"
    if run.fields.get("CONTENT_LENGTH", "0") != str(len(request.body)):
        return f"length {run.fields.get('CONTENT_LENGTH')}"
    return "" if run.fields["HTTP_X_REAL_IP"] == run.client else f"client {run.fields['HTTP_X_REAL_IP']}"
