"""The process that does one kind of work and can do nothing else: it is told which, locks itself in, and serves.

All that the work needs is imported before the kernel's layers are on, or lies where the work may still read.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from auditlake.confined import kernel
from auditlake.confined.frames import HEAD, packed, read_exactly, send, send_data
from auditlake.confined.served import IN, OUT, begin, end_with_parent, listen, say

_OPEN_FILES = 256


class WorkError(Exception):
    """The work cannot be done; the message says why in one line, to the person who asked for it."""


def main() -> None:
    """Serve until the parent goes."""
    begin()
    try:
        opening = listen()
        _serve(opening, _opened(opening))
    except EOFError:
        pass
    os._exit(0)


def _opened(opening: Mapping[str, Any]) -> Callable[[Mapping[str, Any], Sequence[bytes]], bytes]:
    """Import the work, lock this process in, and say so."""
    try:
        module = importlib.import_module(opening["work"])
        readable = module.readable()
    except Exception as error:  # noqa: BLE001 - the parent tells it
        say({"broken": _one_line(error)})
        os._exit(1)
    kernel.limit(opening["memory"], _OPEN_FILES)
    holds = ["limits"]
    for name, put_on in (("calls", kernel.filter_calls), ("landlock", partial(kernel.landlock, readable))):
        try:
            put_on()
            holds.append(name)
        except OSError:  # a kernel without it: what runs here reads no file by itself
            pass
    end_with_parent()
    say({"ready": holds})
    work: Callable[[Mapping[str, Any], Sequence[bytes]], bytes] = module.work
    return work


def _serve(opening: Mapping[str, Any], work: Callable[[Mapping[str, Any], Sequence[bytes]], bytes]) -> None:
    while True:
        asked = listen()
        parts = [_data(size) for size in asked["sizes"]]
        kernel.limit_processor((opening["seconds"] + 1) * (os.cpu_count() or 1))
        try:
            made = work(asked["told"], parts)
        except MemoryError:
            # What is left of its memory is not known: the next piece of work begins in another process.
            send(OUT, packed({"failed": "it needed more memory than it may have", "last": True}))
            os._exit(1)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is told
            say({"failed": f"{error}" if isinstance(error, WorkError) else _one_line(error)})
        else:
            send_data(partial(send, OUT), made)
            say({"done": len(made)})


def _data(size: int) -> bytes:
    """Return so many bytes out of frames of data."""
    parts: list[bytes] = []
    while size:
        _, length = HEAD.unpack(read_exactly(IN, HEAD.size))
        parts.append(read_exactly(IN, length))
        size -= length
    return b"".join(parts)


def _one_line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:1000]
