"""Clients that check their own answers: each request carries a mark, and only an answer with it is right.

Owns the threads and their visits. Knows neither processes nor what the application wrote down.
"""

import http.client
import re
import ssl
import threading
import time
from collections import Counter
from typing import NamedTuple

from tests.whole.over import SecureAddress, client_context

_WHY = re.compile(rb"reason: (\S+)")


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Visit(NamedTuple):
    """One request as its client saw it. `outcome`: "200", "502 worker_died", "wrong", or how it was lost."""

    mark: str
    method: str
    sent: float
    ended: float
    outcome: str
    said: bytes


class Browser:
    """One client with one connection, kept or fresh."""

    def __init__(self, address: tuple[str, int], keeps: bool = True, timeout: float = 20.0) -> None:
        self._keeps = keeps
        self._connection = (
            http.client.HTTPSConnection(*address, timeout=timeout, context=client_context())
            if isinstance(address, SecureAddress)
            else http.client.HTTPConnection(*address, timeout=timeout)
        )

    def ask(self, path: str = "/", method: str = "GET", body: bytes | None = None) -> Answer:
        """Raises OSError or http.client.HTTPException when no whole answer came."""
        try:
            headers = {} if self._keeps else {"Connection": "close"}
            if self._connection.sock is None:
                self._connection.connect()  # apart: a handshake that is cut keeps its name
            self._send(method, path, body, headers)
            answer = self._connection.getresponse()
            whole = Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except BaseException:
            self._connection.close()
            raise
        if not self._keeps:
            self._connection.close()
        return whole

    def _send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> None:
        try:
            self._connection.request(method, path, body, headers)
        except ssl.SSLEOFError as error:
            # What CPython calls EPIPE and ECONNRESET of SSL_write_ex, which returns 0 and not -1.
            raise BrokenPipeError("sent over TLS to who has closed") from error

    def connect_is_refused(self) -> bool:
        """Whether nobody listens there any more."""
        self._connection.close()
        try:
            self._connection.connect()
        except ConnectionRefusedError:
            return True
        return False

    def close(self) -> None:
        self._connection.close()


class Crowd:
    """Clients that ask one thing after the other until they are told to leave: `with Crowd(...) as crowd:`.

    Every other client sends POSTs, and every other pair keeps its connection.
    """

    def __init__(
        self, address: tuple[str, int], count: int, timeout: float = 20.0, pause: float = 0.0
    ) -> None:
        self._address = address
        self._pause = pause  # between two requests of a client, in seconds
        self._timeout = timeout
        self._is_over = threading.Event()
        self._visits: list[list[Visit]] = [[] for _ in range(count)]
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(count)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join(self._timeout + 10)
            assert not thread.is_alive(), "a client hangs"

    @property
    def visits(self) -> list[Visit]:
        """All so far, in the order in which they ended."""
        return sorted((visit for one in self._visits for visit in list(one)), key=lambda visit: visit.ended)

    def outcomes(self) -> Counter[str]:
        return Counter(visit.outcome for visit in self.visits)

    def failures(self) -> list[Visit]:
        return [visit for visit in self.visits if visit.outcome != "200"]

    def keeps(self, visit: Visit) -> bool:
        """Whether its client keeps its connection."""
        return _keeps(int(visit.mark.split("-")[0]))

    def _run(self, number: int) -> None:
        method = ("GET", "POST")[number % 2]
        browser = Browser(self._address, keeps=_keeps(number), timeout=self._timeout)
        visits = self._visits[number]
        while not self._is_over.is_set():
            visit = _visit(browser, method, f"{number}-{len(visits)}")
            visits.append(visit)
            refused = visit.outcome == "ConnectionRefusedError"
            time.sleep(max(self._pause, 0.01 if refused else 0.0))
        browser.close()


def _keeps(number: int) -> bool:
    return number % 4 < 2


def _visit(browser: Browser, method: str, mark: str) -> Visit:
    sent = time.monotonic()
    said = b""
    try:
        answer = browser.ask(f"/?mark={mark}", method, mark.encode() if method == "POST" else None)
    except (OSError, http.client.HTTPException) as error:
        outcome = type(error).__name__
    else:
        outcome, said = _judge(answer, mark), answer.body
    return Visit(mark, method, sent, time.monotonic(), outcome, said)


def _judge(answer: Answer, mark: str) -> str:
    if answer.status != 200:
        why = _WHY.search(answer.body)
        return f"{answer.status} {why[1].decode() if why else ''}".strip()
    return "200" if answer.body.split(b" ")[0] == mark.encode() else f"wrong: {answer.body!r:.80} for {mark}"
