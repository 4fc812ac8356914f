"""The proxy's master: as many proxy processes as the configuration says, each on its own listening sockets.

Owns their order in a start, a reload and a stop. Never touches a client.
"""

from __future__ import annotations

import dataclasses
import functools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import setproctitle

from trivet_common import pulse
from trivet_common.channel import Channel
from trivet_common.children import AT_ONCE, Child, Pause
from trivet_common.config import Settings
from trivet_common.config.sighting import Sighting
from trivet_common.control import ControlServer
from trivet_common.listeners import Listeners
from trivet_common.logs import ErrorLog
from trivet_common.pool.places import RunDir
from trivet_common.prefork import Master
from trivet_common.reloads import Source

from .custody import Custody
from .doors import Doors, Problems, read_problems
from .front import run_front
from .front_board import FrontView, read_front_board
from .lookout import Lookout
from .rollover import PATIENCE, Rollover
from .standings import Standings, by_server, read_standings

RunFront = Callable[..., int]  # as run_front; `doors` only where there are any

# A pause above this one means that a process has died at once twice running.
_SHORT = 0.1  # seconds

# What is bound or shared with other programs is there for the whole run.
_FIXED: dict[str, Callable[[Settings], object]] = {
    "listen": lambda settings: [listen.fixed for listen in settings.listen],
    "proxy.processes": lambda settings: settings.proxy.processes,
    "run_dir": lambda settings: settings.run_dir,
}


def run_proxy(
    settings: Settings,
    run_dir: RunDir,
    listeners: Listeners,
    log: ErrorLog,
    parent: Channel | None,
    reload_source: Source[Settings] | None = None,
) -> int:
    """Run the proxy until it is told to leave; the exit status."""
    return ProxyMaster(
        settings,
        listeners,
        run_dir,
        log,
        parent=parent,
        reload_source=reload_source,
        doors=Doors(settings.listen),
    ).run()


class ProxyMaster(Master):
    """The loop. `front` runs in each child (tests put something simpler there)."""

    def __init__(
        self,
        settings: Settings,
        listeners: Listeners,
        run_dir: RunDir,
        log: ErrorLog,
        *,
        parent: Channel | None = None,
        reload_source: Source[Settings] | None = None,
        front: RunFront = run_front,
        doors: Doors | None = None,
    ) -> None:
        super().__init__(
            f"proxy {settings.name}",
            log,
            parent=parent,
            stop_timeout=settings.stop_timeout,
            reload_source=reload_source,
        )
        # for the process
        self._listeners = listeners
        self._run_dir = run_dir
        self._front = front
        self._pauses = [Pause() for _ in range(settings.proxy.processes)]
        self._starts = [0] * settings.proxy.processes
        self._ready: set[int] = set()
        self._doors = doors if doors is not None else Doors()
        for shortcoming in self._doors.shortcomings:
            log.warning(shortcoming)
        self._lookout = Lookout(
            self._doors, self.call_later, lambda is_good, text: (log.info if is_good else log.error)(text)
        )
        self._problems: dict[int, Problems] = {}  # with certificates, as each process has them, by its pid
        self._standings: dict[int, Standings] = {}  # of upstreams' servers, likewise
        self._custody = Custody(listeners, settings.proxy.processes)
        self._was_ready = False
        # this configuration
        self.settings = settings
        self._rollover: Rollover | None = None
        self._owed: Counter[int] = Counter()  # answers to reloads, by pid

    def __repr__(self) -> str:
        return f"<ProxyMaster {self.settings.name} {len(self.children)} of {len(self._pauses)}>"

    # ------------------------------------------------------------------ what the loop calls

    def start(self) -> None:
        self._run_dir.front_board.unlink(missing_ok=True)  # a killed run's
        self.open_control(ControlServer(self._run_dir.proxy_control))
        if self.parent is None:
            self._beat()
        for index in range(len(self._pauses)):
            self._start(index)
        if self._doors:
            self._lookout.watch()

    def _beat(self) -> None:
        """Our processes answer for themselves: who asks one of them for its health hears it."""
        pulse.beat(self._run_dir.pulse)
        self.call_later(pulse.EVERY, self._beat)

    def child_said(self, child: Child, message: bytes) -> None:
        verb, _, rest = message.partition(b" ")
        text = rest.decode("utf-8", "replace")
        if verb == b"ready":
            self._became_ready(child.index)
        elif verb == b"failed":
            self._failed(text)
        elif verb == b"closed":
            self._stopped_accepting(child.index)
        elif verb == b"doors":
            self._problems[child.pid] = read_problems(rest)
        elif verb == b"upstreams":
            self._standings[child.pid] = read_standings(rest)
        elif verb in (b"ok", b"no"):
            self._answered(child, None if verb == b"ok" else text)

    def child_exited(self, child: Child, status: int) -> None:
        was_ready = child.index in self._ready
        self._ready.discard(child.index)
        self._owed.pop(child.pid, None)
        self._problems.pop(child.pid, None)
        self._standings.pop(child.pid, None)
        ending = f"proxy process {child.index} ended ({_ending(status)})"
        if self._rollover is not None:
            self._rollover.lost(child, ending)
        if self.is_leaving():
            self._stopped_accepting(child.index)
            return
        if not self._was_ready:
            self._failed(f"{ending} while it started")
            return
        self._custody.replace(child, self._siblings())
        pause = self._pauses[child.index].after(time.monotonic() - child.started, was_ready)
        if pause > _SHORT:
            self._custody.lend(child.index, self._siblings())
        self.log.error(f"{ending}; starting it again" + (f" in {pause:g} s" if pause else ""))
        self.call_later(pause, lambda: self._start(child.index))

    def reload(self, settings: Settings, done: Callable[[str | None], None]) -> None:
        problem = needs_restart(self.settings, settings)
        if problem is not None:
            done(problem)
            return
        # Before the processes read them, so that nothing is waited for between their switch and ours.
        self._lookout.read(settings.listen, functools.partial(self._roll_over, settings, done), done)

    def _roll_over(self, settings: Settings, done: Callable[[str | None], None], sighting: Sighting) -> None:
        if self.is_leaving():
            done(self.why_no_reload())
            return

        def finished(problem: str | None) -> None:
            self._rollover = None
            if problem is None:
                self.settings = settings
                self._lookout.take(settings.listen, sighting)
                self.stop_timeout = settings.stop_timeout
            done(problem)

        self._rollover = Rollover(self._placed(settings), self.children, self._ask, finished)
        self.call_later(PATIENCE, self._rollover.expire)
        self._rollover.begin()

    def status(self) -> dict[str, Any]:
        return {
            "what": "proxy",
            "name": self.settings.name,
            "phase": self.phase.name.lower(),
            "reloading": self._rollover is not None,
            "listen": [listener.text for listener in self._listeners],
            "processes": self._processes(),
            "certificates": self._certificates(),
            "upstreams": by_server(
                {one.index: self._standings[one.pid] for one in self.children if one.pid in self._standings}
            ),
        }

    def summary(self) -> str:
        rows = _read_board(self._run_dir)
        connections, waiting = sum(row.connections for row in rows), sum(row.waiting for row in rows)
        return (
            f"{self.phase.name.lower()}; {len(self._ready)} of {len(self._pauses)} processes, "
            f"{connections} connections, {waiting} waiting, {sum(row.requests for row in rows)} requests"
        )

    def drain(self) -> None:
        self._custody.end_inflow()
        super().drain()

    def succeeded(self) -> None:
        self._listeners.lend()

    def alone(self) -> None:
        self._listeners.lend(False)

    def cleanup(self) -> None:
        self._run_dir.front_board.unlink(missing_ok=True)

    # ------------------------------------------------------------------ private

    def _processes(self) -> list[dict[str, Any]]:
        """What runs, with what each shows on the board of itself."""
        now = time.monotonic()
        rows = {row.pid: row for row in _read_board(self._run_dir)}
        found = []
        for child in sorted(self.children, key=lambda child: child.index):
            row = rows.get(child.pid)
            found.append(
                {
                    "index": child.index,
                    "pid": child.pid,
                    "uptime": now - child.started,
                    "starts": self._starts[child.index],
                    "ready": child.index in self._ready,
                    "waiting": row.waiting if row else 0,
                    "oldest_wait": now - row.oldest_since / 1e9 if row and row.oldest_since else 0.0,
                    "connections": row.connections if row else 0,
                    "idle": row.idle if row else 0,
                    "requests": row.requests if row else 0,
                }
            )
        return found

    def _certificates(self) -> list[dict[str, Any]]:
        """As we have them, and which of our processes does not."""
        found: list[dict[str, Any]] = []
        for row in self._doors.status():
            here = {
                child.index: text
                for child in self.children
                for listen, certificate, text in self._problems.get(child.pid, ())
                if (listen, certificate) == (row["listen"], row["certificate"])
            }
            found.append({**row, "processes": here})
        return found

    def _start(self, index: int) -> None:
        if self.is_leaving():
            return
        self._starts[index] += 1
        child = self.spawn("proxy", index, lambda channel: self._run_child(index, channel))
        if self._rollover is not None:
            self._rollover.joined(child)

    def _run_child(self, index: int, channel: Channel) -> int:
        setproctitle.setproctitle(f"trivet: proxy {self.settings.name} process {index}")
        settings = self._placed(self.settings)
        front = functools.partial(self._front, doors=self._doors) if self._doors else self._front
        return front(index, len(self._pauses), settings, self._listeners, channel, self.log)

    def _placed(self, settings: Settings) -> Settings:
        """The settings as a process needs them: it does not know where the run directory is by default."""
        return dataclasses.replace(settings, run_dir=self._run_dir.path)

    def _ask(self, child: Child, message: bytes) -> None:
        self._owed[child.pid] += 1
        child.tell(message)

    def _answered(self, child: Child, problem: str | None) -> None:
        self._owed[child.pid] -= 1
        # One that was given up on answers late, and that answer is not about the reload of now.
        if self._owed[child.pid] == 0 and self._rollover is not None:
            self._rollover.heard(child, problem)

    def _siblings(self) -> list[Child]:
        return [child for child in self.children if child.index in self._ready]

    def _stopped_accepting(self, index: int) -> None:
        """One is leaving: alone, or as all are."""
        if self.is_leaving():
            self._custody.shut(index)
        else:
            self._custody.lend(index, self._siblings())

    def _take_back(self, index: int, starts: int) -> None:
        """It has lived long enough, if it is still the same."""
        if index in self._ready and self._starts[index] == starts:
            self._custody.take_back(index)

    def _became_ready(self, index: int) -> None:
        self._ready.add(index)
        self.call_later(AT_ONCE, functools.partial(self._take_back, index, self._starts[index]))
        if not self._was_ready and len(self._ready) == len(self._pauses):
            self._was_ready = True
            self.announce_ready()

    def _failed(self, text: str) -> None:
        """At the first start there is nothing to fall back to; later there is the pause and the next try."""
        self.log.error(text)
        if self._was_ready or self.is_leaving():
            return
        self.tell_parent(b"failed " + text.encode())
        self.status_code = 1
        self.quit()


def needs_restart(old: Settings, new: Settings) -> str | None:
    """What a reload cannot change, in one sentence; None if there is nothing of the kind."""
    changed = [key for key, read in _FIXED.items() if read(old) != read(new)]
    return f"needs a restart: {', '.join(changed)} changed" if changed else None


def _read_board(run_dir: RunDir) -> list[FrontView]:
    try:
        return read_front_board(run_dir.front_board)
    except OSError:
        return []  # no process has shown anything yet


def _ending(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"
