"""Kinds of work for the tests of confined processes; a child imports this module."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from auditlake.confined.work import WorkError


def readable() -> Sequence[str]:
    return [os.environ["READABLE"]] if "READABLE" in os.environ else []


def work(told: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
    match told["do"]:
        case "turn":
            return b"".join(part[::-1] for part in parts)
        case "refuse":
            raise WorkError("this cannot be done")
        case "break":
            raise ValueError("a\nmistake")
        case "memory":
            return bytes(told["bytes"])
        case "wait":
            time.sleep(60)
        case "spin":
            while True:
                pass
        case "read":
            with open(told["path"], "rb") as file:  # noqa: PTH123 - a plain look
                return file.read()
        case "write":
            with open(told["path"], "wb") as file:  # noqa: PTH123 - a plain try
                file.write(b"x")
        case "connect":
            socket.create_connection(("127.0.0.1", told["port"]), 1)
        case "print":
            print("what prints is not read")
            os.write(1, b"neither is this")
        case "end":
            os._exit(3)
    return b""
