"""The text of systemd units: sockets, one service for a whole site, or one for each half.

Owns the directives and why each is there. What differs from site to site comes from the plan.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from .systemd_plan import Plan, Sockets

# The halves' own users, and the group they share the run directory by.
PROXY_USER, APP_USER, GROUP = "trivet-proxy", "trivet", "trivet"
_WATCHDOG = 30  # seconds
# What systemd.syntax(7) gives a meaning, where a path or word stands as it is.
_ODD = re.compile(r"""[\s"'\\;]""")
_QUOTE = r"\""

# For whatever runs: nothing here takes anything away that a WSGI application could want.
_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
DevicePolicy=closed
UMask=0027
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown
SystemCallErrorNumber=EPERM"""

_INSTALL = "\n[Install]\nWantedBy=multi-user.target"
# Not `trivet reload`: each half's master obeys its own user and root only.
_HUP = "ExecReload=/bin/sh -c 'kill -HUP $MAINPID'"

# Not for a pool beside a proxy of another user: nobody there, and claims are believed by their uid.
_ALONE = "PrivateUsers=yes"
# The proxy runs our code only.
_PROXY_HARDENING = """\
ProcSubset=pid
MemoryDenyWriteExecute=yes"""
_MAKES_FOLDERS = "CapabilityBoundingSet=CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID\n"


def units(plan: Plan) -> dict[str, str]:
    """Files by name: the sockets and the service of a whole site."""
    return _sockets(plan, plan.name, plan.sockets) | {f"{plan.name}.service": _service(plan)}


def halves(plan: Plan) -> dict[str, str]:
    """Files by name: the sockets, the proxy, a template for the pools, their users and folder."""
    proxy = f"{plan.name}-proxy"
    made = _sockets(plan, proxy, plan.proxy_sockets)
    for pool, sockets in plan.pool_sockets:
        made |= _sockets(plan, f"{plan.name}-backend@{pool}", sockets)
    return made | {
        f"{proxy}.service": _proxy(plan, proxy),
        f"{plan.name}-backend@.service": _backend(plan),
        _folder_name(plan): _folder(plan),
        f"{plan.name}.sysusers.conf": _sysusers(plan),
    }


def _sockets(plan: Plan, service: str, sockets: Sequence[Sockets]) -> dict[str, str]:
    # Those of the whole site have the same addresses.
    others = [] if service == plan.name else _socket_names(plan.name, plan.sockets)
    names = _socket_names(service, sockets)
    return {name: _socket(plan, one, service, others) for name, one in zip(names, sockets, strict=True)}


def _socket_names(service: str, sockets: Sequence[Sockets]) -> list[str]:
    """The first is named for its service."""
    return [
        f"{service}-{one.name}.socket" if index else f"{service}.socket" for index, one in enumerate(sockets)
    ]


def _socket(plan: Plan, sockets: Sockets, service: str, others: Sequence[str]) -> str:
    lines = [
        "[Unit]",
        f"Description=Sockets of {plan.name}, kept open while Trivet is restarted",
        *([f"Conflicts={' '.join(others)}", f"After={' '.join(others)}"] if others else []),
        "",
        "[Socket]",
        *(f"ListenStream={address.replace('%', '%%')}" for address in sockets.addresses),
        f"FileDescriptorName={sockets.name}",
        f"Service={service}.service",
        "Backlog=4096",
    ]
    if any(address.startswith("[") for address in sockets.addresses):
        lines.append("BindIPv6Only=ipv6-only")
    if sockets.addresses[0].startswith("/"):
        mode = sockets.mode or (0o660 if sockets.group else 0o600)
        lines += [f"SocketUser={plan.user}", f"SocketMode={mode:04o}"]
        lines += [f"SocketGroup={sockets.group}"] if sockets.group else []
    else:
        lines.append("NoDelay=yes")
    # A pool's unit is a template, which cannot name them as the others do.
    wanted = f"WantedBy=sockets.target {service}.service" if "@" in service else "WantedBy=sockets.target"
    return "\n".join([*lines, "", "[Install]", wanted, ""])


def _service(plan: Plan) -> str:
    return _joined(
        _unit(f"{plan.name}, served by Trivet", _socket_names(plan.name, plan.sockets)),
        _run(plan, f"serve {_word(plan.file)}"),
        # Waits until the new workers serve, and fails with the reason where they do not.
        f"ExecReload={_program(plan.command)} reload {_word(plan.file)}",
        f"User={plan.user}",
        *_runtime(plan),
        f"StateDirectory={plan.name}",
        _limits(plan),
        _HARDENING,
        _ALONE,
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        _homes(plan.reads_home, plan.writes_home),
        _paths("ReadWritePaths", plan.writes),
        _INSTALL,
    )


def _proxy(plan: Plan, name: str) -> str:
    is_alone = not (plan.binds_itself or plan.reaches_out)
    return _joined(
        _unit(
            f"Proxy of {plan.name}",
            [*_socket_names(name, plan.proxy_sockets), _folder_name(plan)],
            _whole(plan),
        ),
        _run(plan, f"proxy {_word(plan.file)} --beside {plan.user}"),
        _HUP,
        f"User={PROXY_USER}\nGroup={GROUP}",
        f"Environment={_quoted(f'RUNTIME_DIRECTORY={plan.run_dir}')}",
        _limits(plan),
        _HARDENING,
        _ALONE,
        _PROXY_HARDENING,
        # What was passed to it is of the network outside; only an upstream over TCP would need another.
        "PrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX"
        if is_alone
        else "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        _homes(plan.reads_home + plan.writes_home, plan.proxy_writes_home),
        _paths("ReadWritePaths", (plan.run_dir, *plan.proxy_writes)),
        _INSTALL,
    )


def _backend(plan: Plan) -> str:
    return _joined(
        _unit(f"Pool %i of {plan.name}", [_folder_name(plan)], _whole(plan)),
        _run(plan, f"backend {_word(plan.file)} --pool %i --beside {PROXY_USER}"),
        _HUP,
        f"User={plan.user}\nGroup={GROUP}",
        f"Environment={_quoted(f'RUNTIME_DIRECTORY={plan.run_dir}')}",
        f"StateDirectory={plan.name}",
        _limits(plan),
        _HARDENING,
        "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
        _homes(plan.reads_home, plan.writes_home),
        _paths("ReadWritePaths", (plan.run_dir, *plan.writes)),
        _INSTALL,
    )


def _unit(description: str, needs: Sequence[str], others: Sequence[str] = ()) -> str:
    """`others` serve the same site from the same folder: who is started stops them, and then begins."""
    lines = [
        "[Unit]",
        f"Description={description}",
        "Wants=network-online.target",
        "After=network-online.target",
        # Five failures within ten seconds would be the last ones: nothing would bring it back but a hand.
        "StartLimitIntervalSec=0",
    ]
    if needs:
        lines += [f"Requires={' '.join(needs)}", f"After={' '.join(needs)}"]
    if others:
        lines += [f"Conflicts={' '.join(others)}", f"After={' '.join(others)}"]
    return "\n".join([*lines, ""])


def _whole(plan: Plan) -> list[str]:
    return [f"{plan.name}.service", *_socket_names(plan.name, plan.sockets)]


def _folder_name(plan: Plan) -> str:
    return f"{plan.name}-folder.service"


def _folder(plan: Plan) -> str:
    """Not RuntimeDirectory=: the first of two units to stop would take it away from the other."""
    common = Path("/run/trivet")
    folders = [f"-m 0755 {common}"] if common in plan.run_dir.parents else []
    # Sticky, so that neither user can put its own in place of the other's.
    folders.append(f"-m 3770 -o root -g {GROUP} {_word(plan.run_dir)}")
    others = " ".join(_whole(plan))
    return _joined(
        "[Unit]",
        f"Description=Folder that the halves of {plan.name} meet in",
        f"Conflicts={others}\nAfter={others}",
        "\n[Service]\nType=oneshot",
        *(f"ExecStart=/usr/bin/install -d {folder}" for folder in folders),
        _HARDENING.replace("CapabilityBoundingSet=\n", _MAKES_FOLDERS).replace("RestrictSUIDSGID=yes\n", ""),
        "PrivateNetwork=yes\nRestrictAddressFamilies=none",
        _paths("ReadWritePaths", [Path("/run") if common in plan.run_dir.parents else plan.run_dir.parent]),
    )


def _run(plan: Plan, arguments: str) -> str:
    return "\n".join(
        [
            "[Service]",
            "Type=notify",
            f"ExecStart={_program(plan.command)} {arguments}",
            f"EnvironmentFile=-/etc/default/{plan.name}",
            # The masters alone are told; they end their children in order.
            "KillMode=mixed",
            "Restart=always",
            "RestartSec=1",
            f"WatchdogSec={_WATCHDOG}",
        ]
    )


def _runtime(plan: Plan) -> list[str]:
    """Where `trivet status` looks as well; one outside of /run is among the paths that are written."""
    try:
        below = plan.run_dir.relative_to("/run")
    except ValueError:
        return []
    return [f"RuntimeDirectory={_quoted(str(below))}", "RuntimeDirectoryMode=0700"]


def _limits(plan: Plan) -> str:
    return "\n".join(
        [
            "# `prepare` may migrate a database.",
            "TimeoutStartSec=10min",
            f"TimeoutStopSec={round(plan.stop_timeout + 10)}",
            f"LimitNOFILE={plan.descriptors}",
            "\n# It may do nothing but this.",
        ]
    )


def _homes(reads: Sequence[Path], writes: Sequence[Path]) -> str:
    if not reads and not writes:
        return "ProtectHome=yes"
    # An empty home with what it needs in it: other users' files, and its own keys, are not to be seen.
    return "\n".join(
        ["ProtectHome=tmpfs", _paths("BindReadOnlyPaths", reads), _paths("BindPaths", writes)]
    ).strip("\n")


def _paths(directive: str, paths: Sequence[Path]) -> str:
    return "\n".join(f"{directive}={_escaped(path)}" for path in paths)


def _escaped(path: Path) -> str:
    """A percent sign begins a specifier, a colon in a bind a destination, a space another path."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace(":", "\\:")
    return f'"{text.replace(chr(34), _QUOTE)}"' if _ODD.search(str(path)) else text


def _word(path: Path) -> str:
    """An argument of a command: a dollar sign begins a variable besides."""
    return _quoted(str(path).replace("$", "$$"))


def _program(path: Path) -> str:
    """The first word of a command is taken as it is, but for specifiers."""
    return _quoted(str(path))


def _quoted(text: str) -> str:
    text = text.replace("%", "%%")
    return f'"{text.replace(chr(92), chr(92) * 2).replace(chr(34), _QUOTE)}"' if _ODD.search(text) else text


def _sysusers(plan: Plan) -> str:
    return f"""\
# /etc/sysusers.d/{plan.name}.conf: two users of one group, by which they share the run directory.
g {GROUP} -
u {PROXY_USER} - "Proxy of {plan.name}"
m {PROXY_USER} {GROUP}
""" + (
        f"""u {plan.user} -:{GROUP} "Pools of {plan.name}"
"""
        if plan.user == APP_USER
        else f"m {plan.user} {GROUP}\n"
    )


def _joined(*parts: str) -> str:
    return "\n".join(part for part in parts if part) + "\n"
