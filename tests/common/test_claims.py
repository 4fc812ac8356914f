"""The claim rules against interleavings of lost, doubled and stale tokens, dying slots and dying proxies.

Nothing here forks: slots, proxies, pipe and master are plain lists moved one step at a time by hypothesis,
and the only code under test are the rules of trivet_common.pool.claims.
"""

from collections import Counter
from itertools import combinations, count

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from trivet_common.pool.board import CLAIM_WORDS, ENTERED, NONCE, NUMBER
from trivet_common.pool.claims import (
    OVERTAKEN,
    UNREAD,
    Claim,
    Repair,
    SlotClaims,
    is_passed_over,
    is_unread,
    was_entered,
)
from trivet_common.pool.idle import Token

SLOTS = 3
PROXIES = 2


class Line:
    """A connection from a proxy to a slot: what was sent and not read yet, and what was answered."""

    def __init__(self) -> None:
        self.sent: tuple[Claim, bool] | None = None  # and whether the whole body arrives
        self.answer: str | None = None
        self.is_open = True
        self.is_ended = False  # the proxy's side; what it sent before can still be read


class Slot:
    def __init__(self, incarnation: int) -> None:
        self.incarnation = incarnation
        self.words = [0] * CLAIM_WORDS
        self.words[NUMBER] = 1
        self.claims = SlotClaims(self.words)
        self.lines: list[Line] = []
        self.step = "start"
        self.running: tuple[Line, Claim, bool] | None = None
        self.is_alive = True


class Exchange:
    def __init__(self, request: int, slot: Slot, claim: Claim, line: Line) -> None:
        self.request, self.slot, self.line = request, slot, line
        self.number, self.nonce, self.sent = claim


class Proxy:
    def __init__(self) -> None:
        self.queue: list[int] = []
        self.in_hand: tuple[Token, int] | None = None
        self.in_flight: list[Exchange] = []


class Pool(RuleBasedStateMachine):
    @initialize()
    def begin(self) -> None:
        self.now = 1
        self.fifo: list[Token] = []
        self.repair = Repair()
        self.incarnations = count(1)
        self.requests = count(1)
        self.nonces = count(1000)
        self.runs: Counter[int] = Counter()
        self.numbers_run: Counter[tuple[int, int]] = Counter()
        self.request_of_nonce: dict[int, int] = {}
        self.lost_with_proxy: set[int] = set()
        self.done: set[int] = set()
        self.failed: set[int] = set()
        self.slots = [Slot(next(self.incarnations)) for _ in range(SLOTS)]
        self.proxies = [Proxy() for _ in range(PROXIES)]

    # ------------------------------------------------------------ slots, one step at a time

    def step_slot(self, slot: Slot) -> None:
        if slot.step in ("start", "finished"):
            number = slot.claims.become_idle(self.now)
            slot.step = ("announce", number)
        elif slot.step[0] == "announce":
            self.fifo.append(Token(0, slot.incarnation, slot.step[1]))
            slot.step = "idle"
        elif slot.step == "idle":
            self.read_request(slot)
        elif slot.step == "committed":
            self.look_at_line(slot)
        elif slot.step == "looked":
            self.enter_or_give_up(slot)
        elif slot.step == "entered":
            self.finish(slot)

    def read_request(self, slot: Slot) -> None:
        for line in slot.lines:
            if line.sent is None or not line.is_open:
                continue
            claim, whole = line.sent
            line.sent = None
            if not slot.claims.accepts(claim.number):
                line.answer = "stale"
                return
            slot.claims.commit(claim.nonce)
            self.numbers_run[slot.incarnation, claim.number] += 1
            slot.running = (line, claim, whole)
            slot.step = "committed"
            return

    def look_at_line(self, slot: Slot) -> None:
        assert slot.running is not None
        line, claim, _ = slot.running
        if claim.is_old(self.now) and line.is_ended:
            line.answer = "stale"
            slot.running = None
            slot.step = "finished"
        else:
            slot.step = "looked"

    def enter_or_give_up(self, slot: Slot) -> None:
        assert slot.running is not None
        line, claim, whole = slot.running
        if not whole:
            line.is_open = False
            slot.running = None
            slot.step = "finished"
            return
        slot.claims.enter()
        self.runs[self.request_of_nonce[claim.nonce]] += 1
        slot.step = "entered"

    def finish(self, slot: Slot) -> None:
        assert slot.running is not None
        slot.running[0].answer = "done"
        slot.running = None
        slot.step = "finished"

    @rule(index=st.integers(0, SLOTS - 1))
    def slot_steps(self, index: int) -> None:
        self.now += 1_000_000
        self.step_slot(self.slots[index])

    @rule(index=st.integers(0, SLOTS - 1))
    def slot_dies(self, index: int) -> None:
        """kill -9 between any two steps; the board keeps the last words, a successor starts."""
        slot = self.slots[index]
        slot.is_alive = False
        for line in slot.lines:
            line.is_open = False
        self.slots[index] = Slot(next(self.incarnations))

    @rule(index=st.integers(0, SLOTS - 1))
    def slot_retires(self, index: int) -> None:
        """An idle slot leaves: first its number moves, then it answers 409 to what still comes."""
        slot = self.slots[index]
        if slot.step != "idle":
            return
        slot.claims.retire()
        self.read_request(slot)
        assert slot.step == "idle", "a retiring slot began a request"
        self.slot_dies(index)

    # ------------------------------------------------------------ tokens

    @rule(at=st.integers(0, 10))
    def token_is_lost(self, at: int) -> None:
        if self.fifo:
            self.fifo.pop(at % len(self.fifo))

    @rule(at=st.integers(0, 10))
    def token_is_doubled(self, at: int) -> None:
        if self.fifo and len(self.fifo) < 50:
            self.fifo.append(self.fifo[at % len(self.fifo)])

    @rule(incarnation=st.integers(1, 8), number=st.integers(0, 6))
    def token_is_made_up(self, incarnation: int, number: int) -> None:
        if len(self.fifo) < 50:
            self.fifo.insert(0, Token(0, incarnation, number))

    # ------------------------------------------------------------ proxies

    @rule(index=st.integers(0, PROXIES - 1))
    def request_arrives(self, index: int) -> None:
        self.proxies[index].queue.append(next(self.requests))

    def claim(self, proxy: Proxy) -> None:
        """Take tokens until one names a slot that would still run it. Sending is a step of its own."""
        while self.fifo and proxy.queue and proxy.in_hand is None:
            token = self.fifo.pop(0)
            slot = self.find(token.incarnation)
            if slot is not None and slot.words[NUMBER] == token.number:
                proxy.in_hand = (token, proxy.queue.pop(0))

    def send(self, proxy: Proxy, whole: bool) -> None:
        assert proxy.in_hand is not None
        (token, request), proxy.in_hand = proxy.in_hand, None
        slot = self.find(token.incarnation)
        if slot is None:  # connect refused
            proxy.queue.insert(0, request)
            return
        nonce = next(self.nonces)
        self.request_of_nonce[nonce] = request
        line = Line()
        claim = Claim(token.number, nonce, self.now)
        line.sent = (claim, whole)
        slot.lines.append(line)
        proxy.in_flight.append(Exchange(request, slot, claim, line))

    @rule(index=st.integers(0, PROXIES - 1))
    def proxy_claims(self, index: int) -> None:
        self.claim(self.proxies[index])

    @rule(index=st.integers(0, PROXIES - 1), whole=st.booleans())
    def proxy_sends(self, index: int, whole: bool) -> None:
        if self.proxies[index].in_hand is not None:
            self.send(self.proxies[index], whole)

    @rule(index=st.integers(0, PROXIES - 1))
    def proxy_hears(self, index: int) -> None:
        proxy = self.proxies[index]
        for exchange in list(proxy.in_flight):
            line = exchange.line
            if line.answer == "done":
                proxy.in_flight.remove(exchange)
                self.done.add(exchange.request)
            elif line.answer == "stale":
                proxy.in_flight.remove(exchange)
                proxy.queue.insert(0, exchange.request)
            elif not line.is_open:
                proxy.in_flight.remove(exchange)
                if was_entered(exchange.slot.words, exchange.number, exchange.nonce):
                    self.failed.add(exchange.request)
                else:
                    proxy.queue.insert(0, exchange.request)

    @rule(index=st.integers(0, PROXIES - 1))
    def proxy_sweeps(self, index: int) -> None:
        proxy = self.proxies[index]
        for exchange in list(proxy.in_flight):
            passed = is_passed_over(exchange.slot.words, exchange.number, exchange.nonce)
            if passed and exchange.line.answer is None and exchange.line.is_open:
                exchange.line.is_open = False
                proxy.in_flight.remove(exchange)
                proxy.queue.insert(0, exchange.request)

    @rule(index=st.integers(0, PROXIES - 1))
    def proxy_ends_what_is_unread(self, index: int) -> None:
        for exchange in self.proxies[index].in_flight:
            if is_unread(exchange.slot.words, exchange.number, exchange.sent, self.now):
                exchange.line.is_ended = True

    @rule(index=st.integers(0, PROXIES - 1))
    def proxy_takes_back_what_is_unread(self, index: int) -> None:
        """A step of its own: the slot may wake up in between."""
        proxy = self.proxies[index]
        for exchange in list(proxy.in_flight):
            if exchange.line.is_ended and exchange.slot.words[NUMBER] == exchange.number:
                proxy.in_flight.remove(exchange)
                proxy.queue.insert(0, exchange.request)

    @rule(passed=st.sampled_from([UNREAD * 2 // 5, UNREAD * 11 // 10]))
    def nothing_happens(self, passed: int) -> None:
        self.now += passed

    @rule(index=st.integers(0, PROXIES - 1), whole=st.booleans())
    def proxy_dies(self, index: int, whole: bool) -> None:
        """kill -9: what it sent is in the slots' buffers, whole or cut off; what it claimed is lost."""
        proxy = self.proxies[index]
        self.lost_with_proxy.update(proxy.queue, (e.request for e in proxy.in_flight))
        if proxy.in_hand is not None:
            self.lost_with_proxy.add(proxy.in_hand[1])
        for exchange in proxy.in_flight:
            if exchange.line.sent is not None:
                claim, was_whole = exchange.line.sent
                exchange.line.sent = (claim, was_whole and whole)
            exchange.line.is_ended = True
        self.proxies[index] = Proxy()

    # ------------------------------------------------------------ the master

    @rule(passed=st.sampled_from([1, 200_000_000]))
    def master_ticks(self, passed: int) -> None:
        self.now += passed
        alive = [(slot.incarnation, 0, slot.words) for slot in self.slots]
        self.fifo.extend(self.repair.tick(not self.fifo, alive))

    # ------------------------------------------------------------ what must hold

    @invariant()
    def nothing_ran_twice(self) -> None:
        assert all(times == 1 for times in self.runs.values()), self.runs

    @invariant()
    def a_number_runs_one_request(self) -> None:
        assert all(times == 1 for times in self.numbers_run.values())

    @invariant()
    def a_failure_was_entered(self) -> None:
        """A 502 is given only to a request that the application has seen."""
        for request in self.failed:
            assert self.runs[request] == 1

    def teardown(self) -> None:
        """Let everything settle: every request is answered, and traffic brings every slot into use again."""
        if not hasattr(self, "fifo"):
            return
        # A turn serves at least one, so those who wait already are given as many turns more.
        for turn in range(40 + sum(len(proxy.queue) for proxy in self.proxies)):
            if turn == 20:
                before = {slot.incarnation: slot.words[NUMBER] for slot in self.slots}
            if turn < 35:
                self.request_arrives(turn % PROXIES)
            self.settle()
        for proxy in self.proxies:
            assert not proxy.queue, "a request waits while every slot is free"
            assert not proxy.in_flight
        for slot in self.slots:
            assert slot.words[NUMBER] > before[slot.incarnation], f"slot {slot.incarnation} is lost"
        self.nothing_ran_twice()

    def settle(self) -> None:
        self.master_ticks(200_000_000)
        for index in range(PROXIES):
            self.proxy_claims(index)
            if self.proxies[index].in_hand is not None:
                self.send(self.proxies[index], True)
        for slot in self.slots:
            for _ in range(5):
                self.now += 1_000_000
                self.step_slot(slot)
        for index in range(PROXIES):
            self.proxy_hears(index)
            self.proxy_sweeps(index)

    def find(self, incarnation: int) -> Slot | None:
        return next((slot for slot in self.slots if slot.incarnation == incarnation), None)


TestPool = Pool.TestCase
TestPool.settings = settings(
    max_examples=150, stateful_step_count=60, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.parametrize(
    ("words", "entered"),
    [
        # number, nonce, entered of the board; the claim was number 5 with nonce 77
        ((5, 1, 5), False),  # the slot never saw it
        ((6, 77, 5), False),  # committed, its body not read yet
        ((6, 77, 6), True),  # running
        ((6, 12, 6), False),  # somebody else's request took number 5
        ((6, 12, 5), False),  # the slot retired with our request unread
        ((7, 12, 7), True),  # two numbers on: not to be told any more
        ((7, 77, 6), True),
        ((4, 77, 0), True),  # impossible: the answer that runs nothing twice
    ],
)
def test_was_entered(words: tuple[int, int, int], entered: bool) -> None:
    row = [0] * CLAIM_WORDS
    row[NUMBER], row[NONCE], row[ENTERED] = words
    assert was_entered(row, 5, 77) is entered


def test_repair_waits_for_a_second_tick_and_then_announces_once() -> None:
    words = [0] * CLAIM_WORDS
    words[NUMBER] = 3
    SlotClaims(words).become_idle(100)
    repair = Repair()
    assert repair.tick(True, [(9, 1, words)]) == []
    assert repair.tick(True, [(9, 1, words)]) == [Token(1, 9, 3)]
    assert repair.tick(False, [(9, 1, words)]) == []


def test_a_slot_that_takes_nothing_is_announced_ever_less_and_deaf() -> None:
    words = [0] * CLAIM_WORDS
    words[NUMBER] = 3
    claims = SlotClaims(words)
    claims.become_idle(100)
    repair = Repair()
    announced = [tick for tick in range(1, 120) if repair.tick(True, [(9, 1, words)])]
    assert announced == [2, 6, 14, 30, 62, 94]
    assert repair.deaf == [Token(1, 9, 3)]
    claims.commit(4)  # it was stopped, and goes on
    claims.enter()
    claims.become_idle(2)
    assert [tick for tick in range(1, 7) if repair.tick(True, [(9, 1, words)])] == [2, 6]
    assert repair.deaf == []


def test_repair_sees_a_token_that_was_overtaken() -> None:
    lost, busy = [0] * CLAIM_WORDS, [0] * CLAIM_WORDS
    lost[NUMBER] = busy[NUMBER] = 1
    SlotClaims(lost).become_idle(1)
    other = SlotClaims(busy)
    other.become_idle(OVERTAKEN + 2)
    other.commit(5)
    rows = [(1, 0, lost), (2, 0, busy)]
    repair = Repair()
    assert repair.tick(False, rows) == []
    assert repair.tick(False, rows) == [Token(0, 1, 1)]


def test_a_request_in_between_clears_the_suspicion() -> None:
    words = [0] * CLAIM_WORDS
    words[NUMBER] = 1
    claims = SlotClaims(words)
    claims.become_idle(1)
    repair = Repair()
    repair.tick(True, [(1, 0, words)])
    claims.commit(4)
    claims.enter()
    claims.become_idle(2)
    assert repair.tick(True, [(1, 0, words)]) == []


class DyingWords(list[int]):
    """Words whose writer is killed at its n-th write."""

    writes_left = 1 << 30

    def __setitem__(self, at: object, value: object) -> None:
        if self.writes_left == 0:
            raise InterruptedError
        self.writes_left -= 1
        super().__setitem__(at, value)  # type: ignore[call-overload]


@pytest.mark.parametrize("writes", range(8))
def test_killed_between_two_writes_of_a_commit(writes: int) -> None:
    """At no point of a commit does a request look entered; the first write of `enter` makes it so."""
    words = DyingWords([0] * CLAIM_WORDS)
    words[NUMBER] = 5
    claims = SlotClaims(words)
    claims.become_idle(1)
    words.writes_left = writes
    try:
        claims.commit(77)
        committed = True
    except InterruptedError:
        committed = False
    assert was_entered(words, 5, 77) is False
    assert was_entered(words, 5, 78) is False, "the request that lost the race"
    if committed:
        words.writes_left = 1
        with pytest.raises(InterruptedError):
            claims.enter()
        assert was_entered(words, 5, 77) is True, "the first write of enter decides"


@pytest.mark.parametrize(
    ("value", "claim"),
    [
        (b"5 77", Claim(5, 77)),
        (b"5 77 123456789", Claim(5, 77, 123456789)),
        (b"18446744073709551615 18446744073709551616 1", Claim(2**64 - 1, 0, 1)),
        *[
            (value, Claim(0, 0))
            for value in (
                b"",
                b"5",
                b"5 ",
                b" 5 77",
                b"5 x",
                b"-5 77",
                b"5 7_7",
                b"5  77",
                b"5 77 -1",
                b"5 77 1 1",
            )
        ],
        (b"1" * 62 + b" 1 1", Claim(0, 0)),
    ],
)
def test_what_a_claim_says(value: bytes, claim: Claim) -> None:
    assert Claim.parse(value) == claim


def test_a_claim_is_old_well_before_it_may_have_been_taken_back() -> None:
    sent = 7 * UNREAD
    words = [0] * CLAIM_WORDS
    words[NUMBER] = 5
    for age, old, unread in ((0, False, False), (UNREAD * 3 // 4, True, False), (UNREAD + 1, True, True)):
        assert Claim(5, 77, sent).is_old(sent + age) is old
        assert is_unread(words, 5, sent, sent + age) is unread
    assert not Claim(5, 77).is_old(sent)
    words[NUMBER] = 6
    assert not is_unread(words, 5, sent, sent + 2 * UNREAD)


SLOT_STEPS, PROXY_STEPS = ("commit", "look", "enter"), ("end", "take back")


@pytest.mark.parametrize("places", list(combinations(range(5), 2)))
@pytest.mark.parametrize("jump", range(6))
def test_what_stands_unread_is_run_or_taken_back_in_every_order(places: tuple[int, int], jump: int) -> None:
    """The steps of both sides in every order, and before one of them the slot stands still for long."""
    words = [0] * CLAIM_WORDS
    words[NUMBER] = 5
    slot, claim, now = SlotClaims(words), Claim(5, 77, 1000), 1000
    slot.become_idle(now)
    is_ended = is_told_stale = is_run = is_back = False
    slot_steps, proxy_steps = iter(SLOT_STEPS), iter(PROXY_STEPS)
    for at in range(5):
        now += 2 * UNREAD if at == jump else 1
        match next(proxy_steps if at in places else slot_steps):
            case "commit":
                assert slot.accepts(claim.number)
                slot.commit(claim.nonce)
            case "look":
                is_told_stale = claim.is_old(now) and is_ended
            case "enter" if not is_told_stale:
                slot.enter()
                is_run = True
            case "end":
                is_ended = is_unread(words, claim.number, claim.sent, now)
            case "take back":
                is_back = is_ended and words[NUMBER] == claim.number
    assert is_run is not (is_back or is_told_stale)
    assert is_back <= is_told_stale, "taken back, and run all the same if the slot had been a moment later"
