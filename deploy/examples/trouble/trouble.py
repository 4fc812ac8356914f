"""An application that misbehaves on request. docs/pool.md uses it to show what a pool does about it."""

import os
import signal
import time
from urllib.parse import parse_qs

KEPT: list[bytes] = []


def hang(seconds: float) -> str:
    """Waits in short steps for something that never comes: can be interrupted."""
    while True:
        time.sleep(0.01)


def stuck(seconds: float) -> str:
    """One long call into C, which no exception can end from outside."""
    time.sleep(seconds)
    return f"slept for {seconds:g} s"


def slow(seconds: float) -> str:
    print(f"a slow request began in {os.getpid()}", flush=True)
    time.sleep(seconds)
    return f"took {seconds:g} s"


def crash(seconds: float) -> str:
    os.kill(os.getpid(), signal.SIGKILL)
    return "never said"


def leak(seconds: float) -> str:
    KEPT.append(b"x" * 20_000_000)
    return f"keeps {20 * len(KEPT)} MB"


def big(seconds: float) -> str:
    return "x" * 20_000_000


def hello(seconds: float) -> str:
    return "hello"


PAGES = {
    "/": hello,
    "/hang": hang,
    "/stuck": stuck,
    "/slow": slow,
    "/crash": crash,
    "/leak": leak,
    "/big": big,
}


def application(environ, start_response):  # type: ignore[no-untyped-def]
    page = PAGES.get(environ["PATH_INFO"])
    query = parse_qs(environ.get("QUERY_STRING", ""))
    text = page(float(query.get("seconds", ["1"])[0])) if page else "there is no such page"
    start_response("200 OK" if page else "404 Not Found", [("Content-Type", "text/plain")])
    return [f"{text} (process {os.getpid()})\n".encode()]
