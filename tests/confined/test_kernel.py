"""What the kernel holds a process to, each by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from auditlake.confined import kernel

ROOT = Path(__file__).resolve().parents[2]
TRY = """
import ctypes, os, signal, socket, subprocess, sys
def tried(name, action):
    try:
        action()
    except OSError as error:
        print(name, "no", error)
    else:
        print(name, "yes")
from auditlake.confined import kernel
granted, foreign, listening = sys.argv[2:5]
def tcp():
    socket.create_connection(("127.0.0.1", int(listening)), 300).close()
tried("before", tcp)
eval(sys.argv[1])
tried("granted", lambda: open(granted).close())
tried("foreign", lambda: open(foreign).close())
tried("write", lambda: open(granted, "r+").close())
tried("truncate", lambda: open(granted, "w").close())
tried("create", lambda: open(foreign + ".new", "w").close())
tried("unlink", lambda: os.unlink(foreign))
tried("rename", lambda: os.rename(granted, granted + ".moved"))
tried("tcp", tcp)
tried("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close())
tried("unix", lambda: socket.socket(socket.AF_UNIX).close())
tried("exec", lambda: os.execv("/bin/true", ["/bin/true", "x"]) if sys.argv[1].startswith("kernel.filter") else 1/1)
tried("kill", lambda: os.kill(os.getppid(), 0))
"""


def attempts(put_on: str, tmp_path: Path) -> dict[str, str]:
    """Return what a process can still do once it has put something on: yes, or no and why."""
    import socket

    granted, foreign = tmp_path / "granted", tmp_path / "foreign"
    granted.write_text("x")
    foreign.write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        command = [sys.executable, "-c", TRY, put_on, str(granted), str(foreign), str(port)]
        told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return dict(line.split(maxsplit=1) for line in told.splitlines())


def assert_refused(found: dict[str, str], *names: str) -> None:
    """Assert that the kernel refused each of these."""
    assert not {name: found[name] for name in names if not found[name].startswith("no ")}


needs_landlock = pytest.mark.skipif(kernel.landlock_version() < 4, reason="the kernel has no Landlock with TCP")


@needs_landlock
def test_landlock(tmp_path: Path) -> None:
    """Landlock leaves the reading of what was granted, and takes every other file, all writing, and TCP."""
    found = attempts("kernel.landlock([granted])", tmp_path)

    assert found.pop("before") == found.pop("granted") == "yes"
    assert_refused(found, "foreign", "write", "truncate", "create", "unlink", "rename", "tcp")


def test_calls(tmp_path: Path) -> None:
    """The filter of system calls takes sockets of every kind, programs, and signals to others."""
    if kernel.platform.machine() not in kernel._DENIED:
        pytest.skip("this machine's calls are not known")
    found = attempts("kernel.filter_calls()", tmp_path)

    assert found.pop("before") == "yes"
    assert_refused(found, "tcp", "udp", "unix", "exec", "kill")


def test_limits(tmp_path: Path) -> None:
    """The limits end whoever writes a file, and refuse memory."""
    code = f"""
from auditlake.confined import kernel
kernel.limit(50_000_000, 64)
try:
    bytearray(200_000_000)
except MemoryError:
    print("no memory", flush=True)
import os
os.write(os.open({str(tmp_path / "x")!r}, os.O_WRONLY | os.O_CREAT), b"x")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "no memory" in done.stdout
    assert done.returncode != 0
    assert (tmp_path / "x").read_text() == ""


def test_threads_are_refused(tmp_path: Path) -> None:
    """Landlock and the filter bind no thread that is there before them: so there may be none."""
    code = """
import threading
from auditlake.confined import kernel
threading.Thread(target=threading.Event().wait, daemon=True).start()
for put_on in (lambda: kernel.landlock([]), kernel.filter_calls):
    try:
        put_on()
    except OSError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.count("threads already") == 2
