"""The topmost process of a site: starts the proxy's master and one master a pool, and starts them again.

Owns their order in a start, a reload and a stop. Knows no request; the sockets are the premises'.
"""

import json
import os
import time
from collections.abc import Callable
from typing import Any

import setproctitle

from trivet_common import __version__, pulse
from trivet_common.channel import Channel
from trivet_common.children import Child, Pause
from trivet_common.config import Settings
from trivet_common.control import ControlServer
from trivet_common.inherited import Inherited
from trivet_common.logs import ErrorLog, without_trace
from trivet_common.pool.figures import figures
from trivet_common.prefork import QUIT_GRACE, Master, Phase

from . import running, screen
from .development import Development, without_prepare
from .halves import open_log, run_pool, run_proxy
from .premises import Premises
from .refusal import FAILED
from .roll_call import RollCall
from .rollout import Rollout, needs_restart
from .site import Site
from .upgrade import choose_run_dir
from .versions import Versions
from .watcher import CANNOT_WATCH, run_watcher
from .words import ending

PROXY = "proxy"
WATCHER = "watcher"
# How long (s) a start may take before it explains itself.
PATIENCE = 10.0


def serve(site: Site, started: float, *, proxy: bool = True) -> int:
    """Serve until told to stop; `started` is when the command began (time.monotonic). Raises Refusal."""
    run_dir = choose_run_dir(site.run_dir, Inherited.read(os.environ))
    premises = Premises(site.settings, run_dir, proxy=proxy, pools=site.settings.pools)
    premises.take()
    try:
        log = open_log(site.settings, "serve")
        screen.tell(screen.overview(site, premises))
        screen.warn(site.settings)
        return ServeMaster(site, premises, log, started).run()
    finally:
        premises.leave()


class ServeMaster(Master):
    """The loop of the topmost process. A part is "proxy" or "pool NAME", and the kind of its child."""

    quit_grace = 2 * QUIT_GRACE

    def __init__(self, site: Site, premises: Premises, log: ErrorLog, started: float) -> None:
        settings = site.settings
        file = f" ({settings.file})" if settings.file else ""
        super().__init__(
            f"serve {settings.name}{file}", log, stop_timeout=settings.stop_timeout, reload_source=site.read
        )
        # for the process
        self.site = site
        self.premises = premises
        self.parts = [*(f"pool {name}" for name in premises.groups), *([PROXY] if premises.has_proxy else [])]
        self._began = started
        self._roll_call = RollCall()
        self._is_turning = True
        self._versions = Versions(
            self, self._loop, premises, lambda word: self._tell(PROXY, word), super().stop
        )
        self._pauses = {part: Pause() for part in (*self.parts, WATCHER)}
        # this release
        self.settings = settings
        self.ready: set[str] = set()
        self._was_ready = False
        self._rollout: Rollout | None = None
        self._only: list[str] | None = None  # the parts the next rollout is for, when not for all
        self._development = Development(settings, self, screen.tell) if site.is_development else None

    def __repr__(self) -> str:
        return f"<ServeMaster {self.settings.name} ready={sorted(self.ready)} of {self.parts}>"

    # ------------------------------------------------------------------ what the loop calls

    def start(self) -> None:
        self.open_control(ControlServer(self.premises.run.control, is_hidden=self.premises.predecessor > 0))
        self._versions.begin()
        for part in self.parts:
            self._start(part)
        if self._development is not None:
            self._start(WATCHER)
        self.call_later(PATIENCE, self._explain_wait)
        self._beat()

    def child_said(self, child: Child, message: bytes) -> None:
        verb, _, text = message.partition(b" ")
        if child.kind == WATCHER:
            self._watcher_said(verb, text)
        elif verb == b"ready":
            self._became_ready(child.kind)
        elif verb == b"turning":
            self._roll_call.heard(child)
        elif verb == b"failed":
            self._failed(child.kind, text.decode("utf-8", "replace"))
        elif verb == b"reloaded" and self._rollout is not None:
            self._rollout.answered(child.kind, text.decode("utf-8", "replace"))
        elif verb == b"progress" and self._rollout is not None:
            self._rollout.progressed(child.kind)
            self.report_progress(f"{child.kind}: {text.decode('utf-8', 'replace')}")

    def child_exited(self, child: Child, status: int) -> None:
        part = child.kind
        if part == WATCHER:
            self._watch_again(child, status)
            return
        was_ready = part in self.ready
        self.ready.discard(part)
        if self._rollout is not None:
            self._rollout.heard(part, f"its master ended ({ending(status)})")
        if self.is_leaving():
            self._tell_pools(b"drain") if part == PROXY and self.phase is Phase.DRAINING else None
        elif not self._was_ready:
            self._failed(part, f"its master ended while it started ({ending(status)})")
        else:
            pause = self._pauses[part].after(time.monotonic() - child.started, was_ready)
            self.log.error(f"the master of {part} ended ({ending(status)}); starting it again")
            self.call_later(pause, lambda: self._start(part))

    def reload(self, settings: Settings, done: Callable[[str | None], None]) -> None:
        problem = needs_restart(self.settings, settings)
        if problem:
            done(problem)
            return

        def finished(problem: str | None) -> None:
            self._rollout = None
            if problem is None and is_whole:
                self._adopt(settings)
            done(problem)

        is_whole = self._only is None
        self._rollout = Rollout(settings, self._only or self.parts, self._tell, self.call_later, finished)
        self._rollout.begin()

    def is_renewing(self) -> bool:
        """Whether a change of files must wait: for the start, or for the renewal before."""
        return self.is_reloading() or not self._was_ready

    def renew(self, pools: list[str] | None, done: Callable[[str | None], None]) -> None:
        """Since files changed: these pools, or everything with a configuration that is read again."""
        if pools is None:
            self.request_reload(done)
            return
        self._only = [f"pool {name}" for name in pools]
        try:
            self.begin_reload(without_prepare(self.settings), done)
        finally:
            self._only = None

    def more(self) -> None:
        self._tell_pools(b"more")

    def less(self) -> None:
        self._tell_pools(b"less")

    def upgrade(self) -> None:
        if self.is_leaving() or not self._was_ready or self.is_reloading():
            self.log.warning("no upgrade now: a start, a reload or a stop is going on")
            return
        self._versions.upgrade()

    def why_no_reload(self) -> str | None:
        return "an upgrade is going on" if self._versions.is_upgrading else super().why_no_reload()

    def stop(self, status: int = 0) -> None:
        self._versions.stop()
        super().stop(status)

    def quit(self) -> None:
        self._versions.quit()
        super().quit()

    def has_finished(self) -> bool:
        return super().has_finished() and not self._versions.holds

    def drain(self) -> None:
        """The proxy first: what it has accepted may still need the pools."""
        self._tell(WATCHER, b"quit")
        if not self._tell(PROXY, b"drain"):
            self._tell_pools(b"drain")

    def status(self) -> dict[str, Any]:
        return {
            "version": __version__,
            "name": self.settings.name,
            "file": os.fspath(self.settings.file) if self.settings.file else None,
            "pid": os.getpid(),
            "uptime": time.monotonic() - self._began,
            "phase": self.phase.name.lower(),
            "ready": not self.is_leaving() and all(map(running.has_live_slot, self.premises.places.values())),
            "reloading": self.is_reloading(),
            "listen": [listener.text for listener in self.premises.listeners or ()],
            "masters": [{"what": child.kind, "pid": child.pid} for child in self.children],
        }

    def summary(self) -> str:
        pools = [f"{name}: {figures(places)}" for name, places in self.premises.places.items()]
        return "; ".join([self.phase.name.lower(), *pools])

    def is_turning(self) -> bool:
        return self._is_turning

    def cleanup(self) -> None:
        self.premises.leave()

    # ------------------------------------------------------------------ private

    def _beat(self) -> None:
        """For `health: live`, and for the service manager's watchdog: one question to all masters."""
        self._is_turning = self._roll_call.call(self.children)
        if self._is_turning:
            pulse.beat(self.premises.run.pulse)
        self.call_later(pulse.EVERY, self._beat)

    def _adopt(self, settings: Settings) -> None:
        self.settings = settings
        self.stop_timeout = settings.stop_timeout
        if self._development is not None:
            before = self._development.watched
            self._development.adopt(settings)
            if self._development.watched != before:
                self._tell(WATCHER, b"quit")  # it is started again with the new folders

    def _watcher_said(self, verb: bytes, text: bytes) -> None:
        assert self._development is not None
        if verb == b"changed":
            self._development.note(json.loads(text))
        elif verb == b"warning":
            screen.tell(f"warning: {text.decode('utf-8', 'replace')}")

    def _watch_again(self, child: Child, status: int) -> None:
        if status == CANNOT_WATCH or self.is_leaving():
            return  # it has said why
        pause = self._pauses[WATCHER].after(time.monotonic() - child.started, True)
        self.call_later(pause, lambda: self._start(WATCHER))

    def _start(self, part: str) -> None:
        if not self.is_leaving():
            self.spawn(part, 0, lambda channel: self._run_part(part, channel))

    def _run_part(self, part: str, channel: Channel) -> int:
        """In the child."""
        self.premises.keep_only(part)
        self._versions.close_in_child()
        if part == WATCHER:
            assert self._development is not None
            setproctitle.setproctitle(f"trivet: watcher of {self.settings.name}")
            return run_watcher(self._development.watched, channel)
        log = open_log(self.settings, part)
        if part == PROXY:
            return run_proxy(self.settings, self.premises, log, channel)
        return run_pool(self.settings, part.removeprefix("pool "), self.premises, log, channel)

    def _tell(self, part: str, message: bytes) -> bool:
        found = [child for child in self.children if child.kind == part]
        for child in found:
            child.tell(message)
        return bool(found)

    def _tell_pools(self, message: bytes) -> None:
        for part in self.parts:
            if part != PROXY:
                self._tell(part, message)

    def _became_ready(self, part: str) -> None:
        self.ready.add(part)
        if not self._was_ready and self.ready >= set(self.parts):
            self._was_ready = True
            self.notifier.ready()
            self._versions.ready()
            screen.tell(f"ready in {time.monotonic() - self._began:.1f} s")

    def _explain_wait(self) -> None:
        """Say what a start waits for, before its user wonders."""
        if not self._was_ready and not self.is_leaving():
            waiting = ", ".join(part for part in self.parts if part not in self.ready)
            screen.tell(f"still waiting for {waiting}; what it does is in the error log")

    def _failed(self, part: str, text: str) -> None:
        """At the first start nothing old can go on serving: say why and leave."""
        if self._was_ready or self.is_leaving():
            return  # the part's own log has it
        # A traceback stands in the part's log; here it would be the second one on the screen.
        brief = without_trace(text) if self.settings.log.error == "stderr" else text
        screen.tell(f"trivet: {part}: {brief}")
        self.status_code = FAILED
        self.quit()
