"""The program ``auditlake``, also as ``python -m auditlake``."""

import atexit
import dataclasses
import gc
import os
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any


class _WithoutPandas(MetaPathFinder):
    """Keeps pandas out: Arrow imports it wherever it is installed, which takes half of a small ingest."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:  # noqa: ARG002
        """Refuse pandas, and leave every other module to the next finder."""
        if fullname == "pandas" and "pyspark" not in sys.modules:  # whose client does not start without it
            raise ModuleNotFoundError("the command line does without pandas", name=fullname)


def _end(codes: Sequence[int]) -> None:
    """End the process with its exit code as it is: to take it apart, as Python does, takes a sixth of a short verb."""
    for code in codes:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


def _compiled_later(create: Callable[..., Any]) -> Callable[..., Any]:
    """Return what makes a method of a data class that is compiled when it is called first, which few of them are.

    Others may ask for the signatures of theirs, so only classes of auditlake get such methods.
    """

    def later(name: str, *how: Any, **more: Any) -> Any:
        if not (more.get("globals") or {}).get("__name__", "").startswith("auditlake."):
            return create(name, *how, **more)
        compiled = cache(lambda: create(name, *how, **more))

        def method(self: Any, *values: Any, **named: Any) -> Any:
            for each in type(self).__mro__:
                if vars(each).get(name) is method:  # else it is within another one
                    setattr(each, name, compiled())
            return compiled()(self, *values, **named)

        method.__name__ = name
        return method

    return later


def prepare() -> None:
    """Let this process do without pandas, look for garbage seldom, since most of what a start makes stays, and compile
    methods of data classes when they are called: Python before 3.13 takes long to compile each, used or not.
    """
    gc.set_threshold(500_000)
    sys.meta_path.insert(0, _WithoutPandas())
    if create := getattr(dataclasses, "_create_fn", None):
        vars(dataclasses)["_create_fn"] = _compiled_later(create)


def run() -> None:
    """Import the command line, which :func:`prepare` is to come before, and run it."""
    from auditlake.cli import main as command_line

    command_line()


def main() -> None:
    """Run the command line in a process of its own."""
    codes: list[int] = []
    atexit.register(_end, codes)  # before all others, so it is called after them
    prepare()
    try:
        run()
    except SystemExit as end:
        codes.append(int(end.code or 0))
        raise


if __name__ == "__main__":
    main()
