"""Every request of the corpus on the wire: against the proxy alone, a slot alone, and both together.

A verdict is more than a status: the connection ends with it, nothing behind it is run, and what is accepted
is run exactly as often as it was asked, byte for byte. Each entry's test reads what one volley brought back.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.common.gate_driver import read
from tests.requests.corpus import Entry, accepted, refused
from tests.whole.running import Site, running
from tests.whole.strangers import free_port
from tests.whole.volley import TAIL, TAIL_TARGET, Address, Outcome, Shot, bytewise, fire, sources
from tests.whole.witness import APPLICATION, Ran, Run, Witness, answer_of, ran

REFUSED, ACCEPTED = refused(), accepted()
ENTRIES = REFUSED + ACCEPTED
SEED = 20261122
# Shorter than anybody's patience here: what is not judged at once shows itself as a 408.
LIMITS = "limits: {header_timeout: 1s, body_timeout: 1s}\n"
PROXY = f"{LIMITS}proxy: {{processes: 1}}\nroutes: [{{respond: well}}]\n"
POOL = LIMITS + "proxy: {processes: 2}\npools: {web: {app: witness, workers: 2, listen: '127.0.0.1:PORT'}}\n"
# The proxy adds some fields of its own: a head of exactly limits.headers must still get to a slot.
FOR_THE_PROXY_ALONE = {"many-fields"}
# No route's path, and nobody's folder: the server as such has no options. And a pool switches no protocols.
FOR_NO_POOL = {"options-star": 404, "upgrade-websocket": 501}


@dataclass
class Trial:
    """One entry's."""

    outcome: Outcome
    runs: list[Run]


@dataclass
class Pair:
    """Front and workers that write down what they run."""

    site: Site
    witness: Witness

    def fire(self, shots: list[Shot], address: Address | None = None, at_once: int = 16) -> list[Trial]:
        """Many at once, told apart by the address they come from."""
        outcomes = fire(address or self.site.address, shots, at_once)
        found = self.witness.new_by_client()
        return [
            Trial(outcome, found.pop(shot.source, [])) for shot, outcome in zip(shots, outcomes, strict=True)
        ]

    def fire_in_turn(self, shots: list[Shot], address: Address) -> list[Trial]:
        """One after the other: a Unix socket does not say who comes."""
        runs: list[list[Run]] = []
        outcomes = fire(address, shots, 1, after=lambda _: runs.append(self.witness.new_runs()))
        return [Trial(outcome, found) for outcome, found in zip(outcomes, runs, strict=True)]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder: Path = tmp_path_factory.mktemp("pair")
    with running(folder, POOL.replace("PORT", str(free_port())), witness=APPLICATION) as site:
        yield Pair(site, Witness(folder))
        assert "Traceback" not in site.said()


@pytest.fixture(scope="module")
def at_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Trial]]:
    with running(tmp_path_factory.mktemp("proxy"), PROXY, verb="proxy") as site:
        shots = [shot_of(entry) for entry in ENTRIES]
        yield named(ENTRIES, [Trial(outcome, []) for outcome in fire(site.address, shots)])
        assert "Traceback" not in site.said()


@pytest.fixture(scope="module")
def at_pair(pair: Pair) -> dict[str, Trial]:
    return named(ENTRIES, pair.fire(addressed([shot_of(entry) for entry in ENTRIES], 10)))


@pytest.fixture(scope="module")
def at_slot(pair: Pair) -> dict[str, Trial]:
    slot = str(sorted(pair.site.run_dir.glob("web/w*.0.sock"))[0])
    return named(ENTRIES, pair.fire_in_turn([shot_of(entry) for entry in ENTRIES], slot))


def named(entries: list[Entry], trials: list[Trial]) -> dict[str, Trial]:
    return {entry.name: trial for entry, trial in zip(entries, trials, strict=True)}


def addressed(shots: list[Shot], net: int) -> list[Shot]:
    return [
        Shot(shot.pieces, source, shot.answers, shot.methods)
        for shot, source in zip(shots, sources(len(shots), net), strict=True)
    ]


def shot_of(entry: Entry, cut: Callable[[bytes], list[bytes]] = lambda data: [data]) -> Shot:
    """The entry with a good request behind it: after a refused one it must not be run, after others it must.

    Only where the end of the connection is part of the entry nothing follows, and the client ends it.
    """
    methods = [request.method for request in entry.requests]
    if entry.at_eof:
        return Shot(cut(entry.data), answers=len(methods), methods=methods)
    return Shot(cut(entry.data + TAIL), methods=methods)


def expected_runs(entry: Entry) -> list[Ran]:
    """The entry's own, and the one behind it unless the connection ends before."""
    verdict = read([entry.data + (b"" if entry.status else TAIL)])
    count = len(entry.requests)
    assert tuple(verdict.requests[:count]) == entry.requests
    return [ran(one.method, one.target, one.body) for one in verdict.requests]


def check_refused(entry: Entry, trial: Trial, status: int | None = None) -> None:
    *before, last = trial.outcome.answers
    assert [answer.status for answer in before] == [200] * len(entry.requests)
    assert last.status == (status or entry.status)
    assert last.headers["connection"] == "close"
    check_end(trial)


def check_refused_in_front(entry: Entry, trial: Trial) -> None:
    """By the proxy, which says nothing in plain text to who speaks TLS."""
    if entry.data.startswith(b"\x16"):
        assert (trial.outcome.answers, trial.outcome.rest) == ([], b"")
        assert trial.outcome.end in ("closed", "reset")
    else:
        check_refused(entry, trial)


def check_accepted(expected: list[Ran], trial: Trial) -> None:
    assert [run.ran for run in trial.runs] == expected
    assert trial.outcome.statuses == [200] * len(expected)
    for one, answer in zip(expected, trial.outcome.answers, strict=True):
        assert answer.body == (b"" if one.method == b"HEAD" else answer_of(one))
    # Who goes on sending after its own `Connection: close` may see a reset, behind a whole answer.
    check_end(trial, "closed" if expected[-1].target == TAIL_TARGET else trial.outcome.end)
    assert trial.outcome.end != "open"


def check_end(trial: Trial, end: str = "closed") -> None:
    assert (trial.outcome.end, trial.outcome.rest) == (end, b"")


def is_in_body(entry: Entry) -> bool:
    """Whether the head is good, and the fault stands behind it."""
    why = read([entry.data], at_eof=entry.at_eof).why or ""
    return why.startswith("bad_body") or (why == "too_large" and b"chunked" in entry.data)


def variables(entry: Entry) -> set[str]:
    """Where the fields that must not reach the application would be found."""
    found = {"HTTP_" + name.decode().upper().replace("-", "_") for name in entry.without}
    return found - {"HTTP_CONTENT_LENGTH", "HTTP_TRANSFER_ENCODING"}


# The proxy alone.


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_proxy_refuses(entry: Entry, at_proxy: dict[str, Trial]) -> None:
    trial = at_proxy[entry.name]
    if not is_in_body(entry):
        check_refused_in_front(entry, trial)
        return
    # `respond` reads no body: it answers, and then the connection with the fault in it ends all the same.
    assert trial.outcome.statuses == [200] * (len(entry.requests) + 1)
    assert entry.at_eof or trial.outcome.answers[-1].headers["connection"] == "close"
    check_end(trial)


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_proxy_accepts(entry: Entry, at_proxy: dict[str, Trial]) -> None:
    trial = at_proxy[entry.name]
    answers = len(expected_runs(entry))
    if b"\ntransfer-encoding:" in entry.data.lower():
        answers = 1  # of an unread body without a length nobody knows what it costs to read
    assert trial.outcome.statuses == [200] * answers
    check_end(trial)


# Front and worker.


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_pair_refuses(entry: Entry, at_pair: dict[str, Trial]) -> None:
    check_refused_in_front(entry, at_pair[entry.name])
    assert [run.ran for run in at_pair[entry.name].runs] == expected_runs(entry)


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_pair_accepts(entry: Entry, at_pair: dict[str, Trial]) -> None:
    trial = at_pair[entry.name]
    if entry.name in FOR_NO_POOL:
        assert trial.outcome.statuses == [FOR_NO_POOL[entry.name], 200]
        return
    check_accepted(expected_runs(entry), trial)
    ours = {"HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED_PROTO", "HTTP_X_REQUEST_ID"}
    for run in trial.runs:
        assert not (variables(entry) - ours) & set(run.fields)
        assert run.fields["HTTP_X_FORWARDED_FOR"] == run.fields["HTTP_X_REAL_IP"] == run.client


# A slot by itself, as another front end or a curious operator would talk to it.


@pytest.mark.parametrize("entry", REFUSED, ids=str)
def test_slot_refuses(entry: Entry, at_slot: dict[str, Trial]) -> None:
    trial = at_slot[entry.name]
    if entry.name in FOR_THE_PROXY_ALONE:
        assert trial.outcome.statuses == [200, 200]
        return
    assert [run.ran for run in trial.runs] == expected_runs(entry)
    if entry.at_eof:
        assert trial.outcome.answers == []  # who has gone is owed no answer
        check_end(trial)
    else:
        check_refused(entry, trial)


@pytest.mark.parametrize("entry", ACCEPTED, ids=str)
def test_slot_accepts(entry: Entry, at_slot: dict[str, Trial]) -> None:
    check_accepted(expected_runs(entry), at_slot[entry.name])
    for run in at_slot[entry.name].runs:
        assert not variables(entry) & set(run.fields)


def test_pool_socket_and_tcp_judge_alike(pair: Pair) -> None:
    """They serve one request a connection, so there is one verdict: that on the first."""
    judged = [entry for entry in ENTRIES if entry.name not in FOR_THE_PROXY_ALONE]
    entries = random.Random(SEED).sample(judged, 120)
    shots = [shot_of(entry) for entry in entries]
    port = int(pair.site.file.read_text().rpartition("127.0.0.1:")[2].partition("'")[0])
    by_tcp = pair.fire(addressed(shots, 20), ("127.0.0.1", port))
    by_unix = pair.fire_in_turn(shots, str(pair.site.run_dir / "web" / "pool.sock"))
    for entry, *trials in zip(entries, by_tcp, by_unix, strict=True):
        for trial in trials:
            first = expected_runs(entry)[:1]
            assert [run.ran for run in trial.runs] == first, entry
            statuses = [200] if first else [] if entry.at_eof else [entry.status]
            assert trial.outcome.statuses == statuses, entry
            assert all(answer.headers["connection"] == "close" for answer in trial.outcome.answers)
            check_end(trial)


# However it is cut.


def test_verdict_does_not_depend_on_segments(pair: Pair) -> None:
    chance = random.Random(SEED)
    small = [entry for entry in ENTRIES if len(entry.data) < 400 and entry.name not in FOR_NO_POOL]
    entries = chance.sample(small, 60) + chance.sample(small, 120)

    def cut_somewhere(data: bytes) -> list[bytes]:
        cuts = [0, *sorted(chance.sample(range(1, len(data)), 4)), len(data)]
        return [data[start:end] for start, end in itertools.pairwise(cuts)]

    shots = [shot_of(entry, bytewise) for entry in entries[:60]]
    shots += [shot_of(entry, cut_somewhere) for entry in entries[60:]]
    for entry, trial in zip(entries, pair.fire(addressed(shots, 30)), strict=True):
        if entry.status:
            check_refused_in_front(entry, trial)
            assert [run.ran for run in trial.runs] == expected_runs(entry), entry
        else:
            check_accepted(expected_runs(entry), trial)


def test_s17_nothing_behind_a_bad_request_is_run_wherever_it_is_cut(pair: Pair) -> None:
    entry = next(entry for entry in REFUSED if entry.name == "bad-behind-good")
    data = entry.data + TAIL
    cuts = [(data[:at], data[at:]) for at in range(1, len(data))]
    for trial in pair.fire(addressed([Shot(cut) for cut in cuts], 40)):
        check_refused(entry, trial)
        assert [run.ran for run in trial.runs] == expected_runs(entry)


def test_what_is_not_finished_ends_in_408_or_a_close(pair: Pair) -> None:
    """Good requests cut off anywhere: no hang, and nothing is run that did not arrive whole."""
    chance = random.Random(SEED)
    entries = [entry for entry in ACCEPTED if len(entry.data) < 2000 for _ in range(2)]
    starts = [entry.data[: chance.randrange(1, len(entry.data))] for entry in entries]
    shots = addressed([Shot([start], methods=[b"GET"]) for start in starts], 50)
    for start, trial in zip(starts, pair.fire(shots, at_once=len(shots)), strict=True):
        verdict = read([start], at_eof=False)
        assert [run.ran for run in trial.runs] == [ran(r.method, r.target, r.body) for r in verdict.requests]
        assert trial.outcome.statuses[len(verdict.requests) :] in ([], [408]), start
