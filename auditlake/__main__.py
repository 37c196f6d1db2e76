"""The program ``auditlake``, also as ``python -m auditlake``."""

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


def main() -> None:
    """Run the command line in a process of its own."""
    sys.meta_path.insert(0, _WithoutPandas())
    run()


if __name__ == "__main__":
    main()
