"""What the service manager is told of a topmost master: sd_notify(3) datagrams, and the watchdog's pulse.

Owns the socket and the words. Knows nothing of what a master does, and says nothing where nobody asked.
"""

import os
import socket
import time
from collections.abc import Callable, MutableMapping

# Figures change all the time; nobody reads them more often.
STATUS_EVERY = 5.0  # seconds
_LONGEST_STATUS = 500

Later = Callable[[float, Callable[[], None]], None]


class Notifier:
    """Tells the manager that `$NOTIFY_SOCKET` names; without one it is mute.

    `pulse_every` (s) is how often it wants a sign of life, None if it wants none.
    """

    __slots__ = ("_address", "_is_turning", "_last_status", "_later", "_socket", "_summary", "pulse_every")

    def __init__(self, address: str | None = None, pulse_every: float | None = None) -> None:
        self._address = _kernel_address(address)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if self._address else None
        self._last_status = ""
        self.pulse_every = pulse_every if self._socket is not None else None
        if self._socket is not None:
            self._socket.setblocking(False)  # a manager that does not read holds nobody up

    def __repr__(self) -> str:
        return f"<Notifier {self._address!r} pulse_every={self.pulse_every}>"

    @classmethod
    def take(cls, environ: MutableMapping[str, str] = os.environ, pid: int | None = None) -> "Notifier":
        """Read the variables and remove them: applications are not the ones who were asked.

        sd_watchdog_enabled(3): the interval counts only for the process in $WATCHDOG_PID.
        """
        address = environ.pop("NOTIFY_SOCKET", None)
        micros = environ.pop("WATCHDOG_USEC", "")
        meant = environ.pop("WATCHDOG_PID", "")
        is_ours = meant in ("", str(os.getpid() if pid is None else pid))
        # A fourth, not the half that systemd recommends: one pulse may be given to asking the masters below.
        every = int(micros) / 4e6 if micros.isdecimal() and int(micros) and is_ours else None
        return cls(address, every)

    @property
    def environment(self) -> dict[str, str]:
        """What was taken, for a successor that will be the one who is asked."""
        if self._socket is None or self._address is None:
            return {}
        every = {"WATCHDOG_USEC": str(round(self.pulse_every * 4e6))} if self.pulse_every else {}
        address = "@" + self._address[1:] if self._address[0] == "\0" else self._address
        return {"NOTIFY_SOCKET": address, **every}

    def begin(self, later: Later, summary: Callable[[], str], is_turning: Callable[[], bool]) -> None:
        """From now on show figures and give signs of life, out of the loop that `later` belongs to.

        `is_turning` says whether the loops below that one turn too: if not, no sign is given.
        """
        self._later, self._summary, self._is_turning = later, summary, is_turning
        if self._socket is not None:
            self._show_figures()
        if self.pulse_every is not None:
            self._pulse()

    def ready(self) -> None:
        """Started, or a reload is over."""
        if self._socket is not None:
            self.status(self._summary())
            self._send("READY=1")

    def reloading(self) -> None:
        """A reload begins; the time is what Type=notify-reload orders messages by (systemd 253)."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`; the same again is not said again."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._last_status:
            self._last_status = line
            self._send(f"STATUS={line}")

    def main_pid(self, pid: int) -> None:
        """Another process goes on in our place."""
        self._send(f"MAINPID={pid}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _show_figures(self) -> None:
        self.status(self._summary())
        self._later(STATUS_EVERY, self._show_figures)

    def _pulse(self) -> None:
        assert self.pulse_every is not None
        if self._is_turning():
            self._send("WATCHDOG=1")
        self._later(self.pulse_every, self._pulse)

    def _send(self, text: str) -> None:
        if self._socket is None or self._address is None:
            return
        try:
            self._socket.sendto(text.encode("utf-8", "replace"), self._address)
        except OSError:
            pass  # a manager that is gone or busy: nothing that should keep anyone from serving


def _kernel_address(address: str | None) -> str | None:
    """A path, or an abstract name, which systemd writes with @ (sd_notify(3)); others are not spoken to."""
    if not address or address[0] not in "/@" or len(os.fsencode(address)) > 107:
        return None
    return "\0" + address[1:] if address[0] == "@" else address
