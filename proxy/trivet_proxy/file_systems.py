"""What an open file lies on: asked without waiting for a disk or a server, where the kernel can be.

Remembers of each device what kind it is; `learn` may wait, and is for a thread. Knows no path and no HTTP.
"""

from __future__ import annotations

import ctypes
import os
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What may be done with its files in the loop."""

    MEMORY = "memory"  # everything
    LOCAL = "local"  # looking at what the kernel has in memory
    REMOTE = "remote"  # nothing: opening, looking and closing ask a server or another process


class Standing(NamedTuple):
    """Of stat, what the kernel knows without asking anybody."""

    mode: int
    size: int
    device: int


# statfs(2)
_MEMORY = {0x01021994, 0x858458F6}  # tmpfs, ramfs
_REMOTE = {
    0x65735546,  # fuse, virtiofs
    0x6969,  # nfs
    0xFF534D42, 0xFE534D42, 0x517B,  # cifs, smb2, smb
    0x00C36400,  # ceph
    0x01021997,  # 9p
    0x5346414F, 0x6B414653,  # afs
    0x0BD00BD0,  # lustre
    0x47504653,  # gpfs
    0x01161970, 0x7461636F,  # gfs2, ocfs2
    0x73757245,  # coda
    0x0187,  # autofs
}  # fmt: skip
_MOST_KNOWN = 256

_EMPTY_PATH, _DONT_SYNC, _BASIC = 0x1000, 0x4000, 0x7FF
_libc = ctypes.CDLL(None, use_errno=True)
_statx = getattr(_libc, "statx", None)
_fstatfs = getattr(_libc, "fstatfs", None)

_known: dict[int, Kind] = {}


class _Statx(ctypes.Structure):
    """statx(2): what of it is read here, in its place."""

    _fields_ = (
        ("_before_mode", ctypes.c_uint8 * 28),
        ("mode", ctypes.c_uint16),
        ("_before_size", ctypes.c_uint8 * 10),
        ("size", ctypes.c_uint64),
        ("_before_device", ctypes.c_uint8 * 88),
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("_rest", ctypes.c_uint8 * 112),
    )


def look(fd: int) -> Standing:
    """Raises OSError."""
    found = _Statx()
    if _statx is None or _statx(fd, b"", _EMPTY_PATH | _DONT_SYNC, _BASIC, ctypes.byref(found)):
        info = os.fstat(fd)  # an old kernel, or a container's filter
        return Standing(info.st_mode, info.st_size, info.st_dev)
    return Standing(found.mode, found.size, os.makedev(found.major, found.minor))


def known(device: int) -> Kind | None:
    """None: nobody has learnt it yet."""
    return _known.get(device)


def learn(fd: int) -> Kind:
    """For a thread."""
    device = look(fd).device
    kind = _known.get(device)
    if kind is None:
        if len(_known) >= _MOST_KNOWN:
            _known.clear()
        kind = _known[device] = _ask(fd)
    return kind


def _ask(fd: int) -> Kind:
    buffer = ctypes.create_string_buffer(
        256
    )  # twice what any struct statfs takes; its type is the first word
    if _fstatfs is None or _fstatfs(fd, buffer):
        return Kind.LOCAL
    number = ctypes.c_ulong.from_buffer(buffer).value & 0xFFFFFFFF
    return Kind.MEMORY if number in _MEMORY else Kind.REMOTE if number in _REMOTE else Kind.LOCAL
