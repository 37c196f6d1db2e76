"""The child's side of the pipes: what every confined process does with them."""

from __future__ import annotations

import json
import os
import select
import threading
from collections.abc import Mapping
from typing import Any

from auditlake.confined.frames import HEAD, packed, read_exactly, send

IN = 0
OUT = os.dup(1)


def begin() -> None:
    """Let nothing that prints print into what the parent reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def say(message: Mapping[str, Any]) -> None:
    """Tell the parent."""
    send(OUT, packed(message))


def listen() -> dict[str, Any]:
    """Return what the parent says next.

    Raises:
        EOFError: It has gone.
    """
    _, length = HEAD.unpack(read_exactly(IN, HEAD.size))
    message: dict[str, Any] = json.loads(read_exactly(IN, length))
    return message


def end_with_parent() -> None:
    """End this process as soon as no process holds the other end of its input, whatever it is doing.

    That takes a thread, so it comes after what binds only processes without one.
    """
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    poll = select.poll()
    poll.register(IN, 0)
    poll.poll()
    os._exit(1)
