"""What one warm keep-alive request may cost, in things that can be counted without noise: one table for all.

A change that makes a number grow must say in its commit why it is worth it, and raise it here. One that makes
it fall lowers it here: what was gained must not creep back. (Times are for benchmarks/.)
"""

from dataclasses import dataclass

HELLO = b"Hello, world!\n"
FILE = b"x" * 1023 + b"\n"
REQUEST = (
    b"GET %s HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0\r\nAccept: text/html\r\n"
    b"Accept-Language: en\r\nCookie: sessionid=0123456789abcdef\r\n\r\n"
)
CONFIG = """
listen: 127.0.0.1:0
run_dir: run
proxy: {{processes: 1}}
log: {{access: access.log}}
routes:
  - {{path: /static/, files: static}}
  - {{path: /behind, upstream: "http://127.0.0.1:{port}"}}
  - {{path: /, pool: web}}
pools: {{web: {{app: hello, workers: 1}}}}
"""
# The application: at ?begin it begins to count the calls that its thread makes into our packages, at ?end it
# says how many there were. Between them lie as many requests as were asked, the half of each end's included.
APPLICATION = """
import sys
from pathlib import Path
import trivet_backend, trivet_common

OURS = tuple(str(Path(package.__path__[0])) for package in (trivet_backend, trivet_common))
calls = 0

def count(frame, event, argument):
    global calls
    if event == "call" and frame.f_code.co_filename.startswith(OURS):
        calls += 1

def application(environ, start_response):
    global calls
    body = b"Hello, world!\\n"
    if environ["QUERY_STRING"] == "begin":
        calls = 0
        sys.setprofile(count)
    elif environ["QUERY_STRING"] == "end":
        sys.setprofile(None)
        body = b"%d calls\\n" % calls
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
# What the server behind the upstream route answers.
BEHIND = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\n" + HELLO


@dataclass(frozen=True)
class Budget:
    """Of one request on one kind of route. Calls are those of Python functions of our packages."""

    path: str
    body: bytes
    switches: int  # of trio's tasks
    calls: int  # in the proxy; a coroutine's resumption counts too
    system_calls: dict[str, int]  # of the proxy process, all its threads
    worker_calls: int = 0  # in the thread that runs the application
    worker_system_calls: dict[str, int] | None = None
    is_new: bool = False  # each request has fields that no other one had


# Measured on Python 3.11 and trio 0.35; later versions of Python make fewer calls, never more.
BUDGETS = {
    "file": Budget(
        "/static/one.txt",
        FILE,
        switches=1,
        calls=61,
        system_calls={"epoll_wait": 1, "epoll_ctl": 1, "recvfrom": 1, "sendto": 1},
    ),
    "file, new fields": Budget(
        "/static/one.txt",
        FILE,
        switches=1,
        calls=80,
        system_calls={"epoll_wait": 1, "epoll_ctl": 1, "recvfrom": 1, "sendto": 1},
        is_new=True,
    ),
    "pool": Budget(
        "/hello",
        HELLO,
        switches=2,
        calls=108,
        system_calls={"epoll_wait": 2, "epoll_ctl": 2, "recvfrom": 2, "poll": 1, "sendto": 2, "read": 1},
        worker_calls=42,
        worker_system_calls={"epoll_wait": 1, "recvfrom": 1, "sendto": 1, "write": 1},
    ),
    "upstream": Budget(
        "/behind",
        HELLO,
        switches=2,
        calls=130,
        system_calls={"epoll_wait": 2, "epoll_ctl": 2, "recvfrom": 2, "poll": 1, "sendto": 2},
    ),
}
