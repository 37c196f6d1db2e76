"""What the Linux kernel holds a process to, from now on and for ever: Landlock, a filter of system calls, limits.

All of it is asked for by number through ctypes, so that nothing has to be installed. It binds the calling thread and
what that starts later: it must be done before there is any other thread.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import struct
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from stat import S_ISDIR

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_NO_NEW_PRIVS, _SET_SECCOMP = 38, 22
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version of Landlock knows; later ones know as many as the last."""
_BIND_AND_CONNECT = 3
_ABSTRACT_SOCKETS_AND_SIGNALS = 3

_DENIED = {
    "x86_64": (0xC000003E, {
        "socket": 41, "connect": 42, "socketpair": 53, "fork": 57, "vfork": 58, "execve": 59, "ptrace": 101,
        "execveat": 322, "process_vm_readv": 310, "process_vm_writev": 311, "io_uring_setup": 425, "bpf": 321,
        "pidfd_getfd": 438, "kill": 62, "tkill": 200, "unshare": 272, "mount": 165, "add_key": 248, "keyctl": 250,
    }),
    "aarch64": (0xC00000B7, {
        "socket": 198, "connect": 203, "socketpair": 199, "execve": 221, "ptrace": 117, "execveat": 281,
        "process_vm_readv": 270, "process_vm_writev": 271, "io_uring_setup": 425, "bpf": 280, "pidfd_getfd": 438,
        "kill": 129, "tkill": 130, "unshare": 97, "mount": 40, "add_key": 217, "keyctl": 219,
    }),
}  # fmt: skip
"""Of each machine, its number for seccomp and what no query needs: sockets, programs, other processes."""


def landlock_version() -> int:
    """Which version of Landlock the kernel has; 0 if none, or if this is no Linux."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), 1)), 0)


def landlock(files: Sequence[str]) -> None:
    """Take from this process every right over files but to read these, and every right to TCP.

    Raises:
        OSError: The kernel cannot, or there are other threads already, which it would not bind.
    """
    version = landlock_version()
    if version < 1:
        raise OSError("the kernel has no Landlock")
    refuse_threads()
    handled = (1 << _FILE_RIGHTS[min(version, 5)]) - 1
    parts = [handled, _BIND_AND_CONNECT if version >= 4 else 0, _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0]
    attributes = struct.pack("=QQQ", *parts)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    ruleset = _checked(_libc().syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0))
    try:
        for path in files:
            with suppress(FileNotFoundError):
                _allow_reading(ruleset, path)
        no_new_privileges()
        _checked(_libc().syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rights = _READ_FILE | (_READ_FOLDER if S_ISDIR(os.fstat(descriptor).st_mode) else 0)
        rule = struct.pack("=Qi", rights, descriptor)
        _checked(_libc().syscall(_ADD_RULE, ruleset, 1, rule, 0))
    finally:
        os.close(descriptor)


def filter_calls() -> None:
    """Refuse the system calls that no query needs, with EPERM.

    Raises:
        OSError: The kernel cannot, this machine is not known, or there are other threads already.
    """
    machine = platform.machine()
    if not sys.platform.startswith("linux") or machine not in _DENIED:
        raise OSError(f"no filter of system calls is known for {sys.platform} on {machine}")
    refuse_threads()
    number, calls = _DENIED[machine]
    program = _program(number, sorted(calls.values()))
    code = ctypes.create_string_buffer(program, len(program))
    head = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(code))
    no_new_privileges()
    _checked(_libc().prctl(_SET_SECCOMP, ctypes.c_ulong(2), head, ctypes.c_ulong(0), ctypes.c_ulong(0)))


def _program(machine: int, calls: Sequence[int]) -> bytes:
    """Return a BPF program: other machines' calls end the process, listed ones fail, all others pass."""
    load, jump_if, jump_from, give = 0x20, 0x15, 0x35, 0x06
    kill, refuse, allow = 0x80000000, 0x00050001, 0x7FFF0000
    lines = [(load, 0, 0, 4), (jump_if, 1, 0, machine), (give, 0, 0, kill), (load, 0, 0, 0)]
    # The numbers of the x32 way into a 64-bit kernel would pass by the list.
    lines += [(jump_from, len(calls) + 1, 0, 0x40000000)]
    lines += [(jump_if, len(calls) - i, 0, call) for i, call in enumerate(calls)]
    lines += [(give, 0, 0, allow), (give, 0, 0, refuse)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def no_new_privileges() -> None:
    """Whatever is started from here gets no more rights than this process has."""
    _checked(_libc().prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))


def refuse_threads() -> None:
    """Make sure that there is no other thread: what follows would not bind it.

    Raises:
        OSError: There is one.
    """
    with suppress(FileNotFoundError):
        if (threads := len(os.listdir("/proc/self/task"))) > 1:  # noqa: PTH208 - a count
            raise OSError(f"there are {threads} threads already")


def limit(memory: int, files: int) -> None:
    """Let this process have so many more bytes of address space and so many open files, write no file, dump no core.

    Args:
        memory: Bytes beyond what it has now.
        files: How many may be open at once.
    """
    for what, most in (
        (resource.RLIMIT_AS, address_space() + memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, files),
        (resource.RLIMIT_CORE, 0),
    ):
        least = _within(most, resource.getrlimit(what)[1])
        resource.setrlimit(what, (least, least))


def limit_processor(seconds: float) -> None:
    """End this process once it has used so many more seconds of processor time; the parent ends it before that."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (_within(most, hard), hard))


def _within(wanted: int, hard: int) -> int:
    """Return what may be asked for of a limit that cannot be raised beyond ``hard``."""
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)


def address_space() -> int:
    """Bytes of address space that this process has; 0 where that cannot be told."""
    with suppress(OSError, ValueError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@cache
def _libc() -> ctypes.CDLL:
    """Return the C library, loaded once: for each rule of ten thousand files it would take two thirds of the time."""
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
