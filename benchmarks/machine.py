"""The machine and the interpreter that figures come from. Without them a figure says nothing."""

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.peers import ROOT, Peers

_ASK = """
import json, platform, sys, sysconfig, time
def spin():
    table = {}
    for number in range(200000):
        table[number & 255] = str(number) + "x"
def once():
    began = time.process_time()
    spin()
    return time.process_time() - began
print(json.dumps({
    "version": platform.python_version(),
    "compiler": platform.python_compiler(),
    "configured": sysconfig.get_config_var("CONFIG_ARGS") or "",
    "prefix": sys.base_prefix,
    "loop_ms": round(min(once() for _ in range(5)) * 1000, 1),
}))
"""
# More than this much of each core was at work before we began: somebody else's figures come out.
BUSY = 0.25


def describe(peers: Peers) -> dict[str, Any]:
    said = subprocess.run([str(peers.python), "-c", _ASK], capture_output=True, timeout=60, check=True).stdout
    python = json.loads(said)
    python["optimised"] = optimised(python["configured"], python["prefix"], _distribution())
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "system": _distribution(),
        "python": python,
        "versions": peers.versions,
        "absent": peers.absent,
        "load_before": os.getloadavg()[0],
    }


def optimised(configured: str, prefix: str, system: str) -> str:
    """Whether the interpreter was built with profile-guided optimisation, and how we know."""
    if "--enable-optimizations" in configured:
        return "yes (--enable-optimizations)"
    if prefix == "/usr" and ("Debian" in system or "Ubuntu" in system):
        # Debian's rules build with profile and LTO by make targets of their own, and take the traces out.
        return "yes (the distribution's own build)"
    return "NO: its figures are not what users see"


def is_busy(machine: dict[str, Any]) -> bool:
    """Whether somebody was at work before we began."""
    return float(machine["load_before"]) > BUSY * int(machine["cores"])


def lines(machine: dict[str, Any]) -> list[str]:
    python, load = machine["python"], machine["load_before"]
    versions = ", ".join(f"{name} {version}" for name, version in sorted(machine["versions"].items()))
    said = [
        f"{machine['when']}, Trivet at {machine['commit']}",
        f"{machine['cores']} cores, {machine['processor']}, kernel {machine['kernel']}, {machine['system']}",
        f"Python {python['version']}, optimised: {python['optimised']}, test loop {python['loop_ms']} ms",
        versions,
        f"load before: {load:.2f}" + ("  NOT QUIET: do not believe what follows" if is_busy(machine) else ""),
    ]
    if "load_after" in machine:
        said.append(f"load after: {machine['load_after']:.2f}")
    return said + [f"absent: {why}" for why in machine["absent"].values()]


def _commit() -> str:
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except OSError:
        return "unknown"
    return said.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown"
