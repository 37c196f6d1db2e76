"""The program ``auditlake``, also as ``python -m auditlake``."""

import atexit
import gc
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

from auditlake.cli import main as run


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


def prepare() -> None:
    """Let this process do without pandas, and look for garbage seldom: most of what a start makes stays."""
    gc.set_threshold(500_000)
    sys.meta_path.insert(0, _WithoutPandas())


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
