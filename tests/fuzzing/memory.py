"""The gate and h11 on the same bytes, in memory: what one input shows, and many inputs on every processor.

Three things may not be: an exception that is no verdict, a verdict that depends on how the bytes were cut,
and a request that we take and h11 does not, or takes for another one.
"""

import os
import re
import traceback
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.common.gate_driver import Verdict, bytewise, read
from tests.common.h11_driver import disagreement
from tests.requests.mutations import Mutator
from trivet_common.http1.request import HeadLimits, RequestHead
from trivet_proxy.forwarded import build_upstream_head
from trivet_proxy.request import Client

_BATCH = 5000
# A slot allows for the fields that the proxy adds.
_AT_SLOTS = HeadLimits(64 * 1024, 200)
_CLIENT = Client("127.0.0.1", "127.0.0.1", "http", 80, "127.0.0.1", False)


@dataclass
class Figures:
    inputs: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    accepted: int = 0
    failures: list[tuple[bytes, str]] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        self.inputs += other.inputs
        self.verdicts += other.verdicts
        self.accepted += other.accepted
        self.failures += other.failures


def run(inputs: int, seed: int, tell: Callable[[Figures], None]) -> Figures:
    """So many inputs, in batches that each know their seed. `tell` hears of the figures now and then."""
    total = Figures()
    batches = [(f"{seed}:{start}", min(_BATCH, inputs - start)) for start in range(0, inputs, _BATCH)]
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        for figures in processes.map(run_batch, *zip(*batches, strict=True)):
            total.add(figures)
            tell(total)
    return total


def run_batch(seed: object, inputs: int) -> Figures:
    mutator, figures = Mutator(seed), Figures()
    for number in range(inputs):
        data = mutator.input() if number % 4 else mutator.connection(3)
        figures.inputs += 1
        try:
            verdict = read([data])
            fault = judge(data, verdict, mutator, is_thorough=number % 16 == 0)
        except Exception:  # the gate's, whatever it is: that is what we look for
            fault = traceback.format_exc()
        else:
            figures.accepted += len(verdict.requests)
            figures.verdicts[verdict.why or ("waits" if verdict.is_waiting else "accepted")] += 1
        if fault:
            figures.failures.append((data, f"seed {seed}, input {number}: {fault}"))
    return figures


def judge(data: bytes, verdict: Verdict, mutator: Mutator, *, is_thorough: bool = False) -> str:
    """What is wrong with this verdict, or nothing."""
    pieces = mutator.cut(data) if data else []
    if read(pieces) != verdict:
        return f"whole: {verdict}, cut as {pieces}: {read(pieces)}"
    if is_thorough and read(bytewise(data)) != verdict:
        return f"whole: {verdict}, byte by byte: {read(bytewise(data))}"
    for request, names in zip(verdict.requests, verdict.names, strict=True):
        if not (_METHOD.fullmatch(request.method) and _TARGET.fullmatch(request.target)):
            return f"taken: {request}"
        if any(not _NAME.fullmatch(name) or name == b"proxy" for name in names):
            return f"taken: {names}"
    if not verdict.requests:
        return ""
    return disagreement(data, verdict) or _forwarded_otherwise(verdict)


_METHOD, _TARGET = re.compile(rb"[A-Z]+"), re.compile(rb"(/[!$-;=?-\[\]_a-z~]*|\*)")
_NAME = re.compile(rb"[a-z0-9][a-z0-9-]*")


def _forwarded_otherwise(verdict: Verdict) -> str:
    """The head the proxy writes must mean to the next server what the client's meant to us."""
    for head, request in zip(verdict.heads, verdict.requests, strict=True):
        length = len(request.body)
        framing = b"\r\ncontent-length: %d" % length if length else b""
        forwarded = build_upstream_head(_Forwarded(head), framing) + request.body  # type: ignore[arg-type]
        seen = read([forwarded], limits=_AT_SLOTS)
        if seen.requests != [request] or seen.why or seen.is_waiting:
            return f"{request} is forwarded as {forwarded!r}, and that is {seen}"
        if fault := disagreement(forwarded, seen):
            return f"{request} is forwarded as {forwarded!r}: {fault}"
    return ""


class _Forwarded:
    """As much of a request as its head needs on the way to an upstream."""

    client = _CLIENT
    request_id = "0"
    hidden: frozenset[bytes] = frozenset()
    added: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, head: RequestHead) -> None:
        self.head = self.asked = head
