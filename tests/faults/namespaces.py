"""Disks and rights of a process of its own, by Linux: nothing of it is seen outside, and it ends with the process."""

import ctypes
import errno
import os
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
CAPABILITY_VERSION_3 = 0x20080522
OVER_RIGHTS = (1 << 1) | (1 << 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH, by which root reads and writes what is forbidden."""


def own_mounts() -> bool:
    """Let this process mount what nobody else sees; False where the system does not allow it."""
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    flags = CLONE_NEWNS if user == 0 else CLONE_NEWNS | CLONE_NEWUSER
    if libc.unshare(flags):
        return False
    if user:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"0 {user} 1")
        Path("/proc/self/gid_map").write_text(f"0 {group} 1")
    return not libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)


def mount_small_disk(folder: Path, size: int) -> None:
    """A disk of so many bytes in memory in place of a folder; mounted again it only changes its size."""
    flags = MS_REMOUNT if os.path.ismount(folder) else 0
    _mount(b"tmpfs", folder, b"tmpfs", flags, f"size={size}".encode())


def make_read_only(folder: Path, *, read_only: bool) -> None:
    """Let nobody write below a folder, or again everybody. Fails with EBUSY while a file is open for writing."""
    if not os.path.ismount(folder):
        _mount(os.fsencode(folder), folder, None, MS_BIND, None)
    _mount(b"none", folder, None, MS_REMOUNT | MS_BIND | (MS_RDONLY if read_only else 0), None)


def drop_rights_over_files() -> None:
    """Make root one to whom folders can be forbidden, as they can to anybody else."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(2):
        data[place] &= ~OVER_RIGHTS
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


def _mount(source: bytes, target: Path, kind: bytes | None, flags: int, data: bytes | None) -> None:
    if ctypes.CDLL(None, use_errno=True).mount(source, os.fsencode(target), kind, flags, data):
        number = ctypes.get_errno()
        raise OSError(number, f"mount: {errno.errorcode.get(number, number)}", str(target))
