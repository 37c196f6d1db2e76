"""Cases of which a few are tested always, and all the others in ``make soak``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def mostly(cases: Iterable[Any], *, always: Iterable[Any]) -> list[Any]:
    """Return cases for ``parametrize`` of which only some are tested always.

    Args:
        cases: All of them; one with several values is a tuple.
        always: Those that are no soak.
    """
    stay = list(always)
    return [case if case in stay else _in_soak(case) for case in cases]


def _in_soak(case: Any) -> Any:
    values = case if isinstance(case, tuple) else (case,)
    return pytest.param(*values, marks=pytest.mark.soak)
