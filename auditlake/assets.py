"""Where the SQL and the templates lie: inside the installed package, or beside it in a checkout."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


@cache
def folder(name: str) -> Path:
    """Return the folder ``sql`` or ``reports_templates``.

    A wheel carries both under ``auditlake/_assets``; a checkout has them at its top level.

    Raises:
        FileNotFoundError: The installation is broken.
    """
    for candidate in (_PACKAGE / "_assets" / name, _PACKAGE.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"auditlake is installed without its folder {name!r}; install it again")
