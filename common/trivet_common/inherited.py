"""Listening sockets that stood before us: systemd's (sd_listen_fds(3)), or those of the version before ours.

Owns which descriptors they are and what they are bound to. Knows nothing of who will accept on them.
"""

import contextlib
import os
import socket
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path

# sd_listen_fds(3): the first descriptor passed.
_FIRST = 3
_MOST = 1024
_NOWHERE = Path()
# The names of descriptors that a version of ours passes to the next.
OWN, FOREIGN = "own", "foreign"
# And of the line on which the two talk.
LINE = "predecessor"
# Set by the version before ours: it bound the sockets, so they are ours to unlink and to shut.
_PREDECESSOR = "TRIVET_PREDECESSOR"
_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Inherited:
    """Numbers and names of passed descriptors. `take` gives one out, once.

    `is_ours`: passed on by the version before ours, not lent by systemd.
    """

    __slots__ = ("_names", "foreign", "is_ours", "predecessor", "predecessor_dir")

    def __init__(self, names: dict[int, str], predecessor: int = 0, predecessor_dir: Path = _NOWHERE) -> None:
        self._names = names
        # The process that passed them on, 0 if there was none, and its run directory.
        self.predecessor = predecessor
        self.predecessor_dir = predecessor_dir
        self.is_ours = predecessor > 0
        # Those that systemd made, also where our predecessor passed them on.
        self.foreign = frozenset(
            number for number, name in names.items() if not predecessor or name == FOREIGN
        )

    def __repr__(self) -> str:
        return f"<Inherited {self._names} predecessor={self.predecessor}>"

    @classmethod
    def read(cls, environ: MutableMapping[str, str], pid: int | None = None) -> "Inherited":
        """What was passed to this process; nothing if it was to another (a parent of ours, for instance)."""
        if environ.get("LISTEN_PID") != str(os.getpid() if pid is None else pid):
            return cls({})
        names = environ.get("LISTEN_FDNAMES", "").split(":")
        told = environ.get("LISTEN_FDS", "")
        count = min(int(told), _MOST) if told.isdecimal() else len(names)
        names += ["unknown"] * (count - len(names))  # as sd_listen_fds_with_names(3) calls them
        before, _, run_dir = environ.get(_PREDECESSOR, "").partition(":")
        return cls(
            {_FIRST + index: name for index, name in enumerate(names[:count])},
            int(before) if before.isdecimal() else 0,
            Path(run_dir),
        )

    @staticmethod
    def forget(environ: MutableMapping[str, str]) -> None:
        """Applications and what they start were passed nothing."""
        for name in (*_VARIABLES, _PREDECESSOR):
            environ.pop(name, None)

    @staticmethod
    def environment(pid: int, names: Sequence[str], predecessor: int, run_dir: Path) -> dict[str, str]:
        """The variables that pass descriptors 3, 4, ... to our successor."""
        return {
            "LISTEN_PID": str(pid),
            "LISTEN_FDS": str(len(names)),
            "LISTEN_FDNAMES": ":".join(names),
            _PREDECESSOR: f"{predecessor}:{run_dir}",
        }

    @staticmethod
    def name_of_path(path: str) -> str:
        """A descriptor's name that says where the socket is found; a colon would divide names."""
        return "unix-" + os.fsencode(path).hex()

    @property
    def names(self) -> list[str]:
        """Of what has not been taken yet."""
        return list(self._names.values())

    def named(self, name: str) -> list[int]:
        """Take the descriptors of that name."""
        return self._take([number for number, each in self._names.items() if each == name])

    def at(self, family: int, address: object) -> list[int]:
        """Take the listening stream sockets bound to that address (host and port, or a path)."""
        name = self.name_of_path(address) if self.is_ours and isinstance(address, str) else None
        return self._take(
            [
                number
                for number, bound in self._bound()
                if bound == (family, address) or self._names[number] == name
            ]
        )

    def at_both(self, port: int) -> list[int]:
        """Take those that serve a port for both families at once: systemd's way with a bare port."""
        found = []
        for number, bound in self._bound():
            if bound == (socket.AF_INET6, ("::", port)):
                with socket.socket(fileno=os.dup(number)) as sock:
                    if not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
                        found.append(number)
        return self._take(found)

    def strangers(self) -> list[str]:
        """Addresses of systemd's listening sockets that nobody has wanted so far: it keeps them open."""
        found = []
        for number, (family, address) in self._bound():
            if number in self.foreign:
                host, port = address if isinstance(address, tuple) else (address, None)
                host = f"[{host}]" if family == socket.AF_INET6 else host
                found.append(f"unix:{host}" if port is None else f"{host}:{port}")
        return found

    def close_rest(self) -> list[str]:
        """Close what nobody wanted, so that its clients do not wait for nobody; the names."""
        left = self.names
        for number in self._take(list(self._names)):
            with contextlib.suppress(OSError):  # it was not there: the variables lied
                os.close(number)
        return left

    def _bound(self) -> Iterator[tuple[int, tuple[int, object]]]:
        for number in list(self._names):
            try:
                with socket.socket(fileno=os.dup(number)) as sock:
                    if sock.type == socket.SOCK_STREAM:
                        name = sock.getsockname()
                        yield number, (sock.family, name[:2] if isinstance(name, tuple) else name)
            except OSError:
                continue  # closed, or no socket: whoever names it is told so

    def _take(self, numbers: list[int]) -> list[int]:
        for number in numbers:
            del self._names[number]
        return numbers
