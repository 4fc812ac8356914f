"""Server-sent events (ASGI): twice a second the time at which the event was sent, in nanoseconds."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

EVERY = 0.5  # seconds

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    left = asyncio.ensure_future(_until_left(receive))
    try:
        while not left.done():
            event = b"data: %d\n\n" % time.monotonic_ns()
            await send({"type": "http.response.body", "body": event, "more_body": True})
            await asyncio.sleep(EVERY)
    except OSError:
        pass  # the client has left
    finally:
        left.cancel()


async def _until_left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
