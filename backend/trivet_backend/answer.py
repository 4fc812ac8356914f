"""One run of the application: what it says is sent, what it raises is answered; it always ends.

Knows no framing and no socket; the response does.
"""

from __future__ import annotations

import traceback
from typing import Any

from trivet_backend import offspring
from trivet_backend.application import WsgiApplication
from trivet_backend.input import BodyLost
from trivet_backend.interrupt import Alarm
from trivet_backend.response import ClientLeft, Response

_OURS = {code.co_filename for code in (Alarm.guard.__code__, Response.run.__code__)}
_WITHOUT_CLOSE = (list, tuple)


def answer(application: WsgiApplication, environ: dict[str, Any], response: Response) -> None:
    """Run the application and send what it says; whatever it does, this returns."""
    alarm = response.alarm
    error = alarm.guard(response.run, application, environ)
    if alarm.is_late:
        response.expire()  # whatever else it raised when it was interrupted
    elif error is not None:
        _settle(error, response)
    if type(response.iterable) not in _WITHOUT_CLOSE:
        alarm.renew()
        error = alarm.guard(response.close)
        if alarm.is_late:
            response.expire()
        elif error is not None:
            response.note(f"close() of the response failed: {_trace(error)}")
    response.end()


def _settle(error: BaseException, response: Response) -> None:
    if isinstance(error, (ClientLeft, BodyLost)):
        response.abandon(error)
        return
    # sys.exit() in a view ends the request, not the worker.
    if offspring.is_copy and isinstance(error, SystemExit):
        offspring.leave(error)
    response.fail(_trace(error))


def _trace(error: BaseException) -> str:
    """Without our own frames at the top: what lies above the application says nothing to its author."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
