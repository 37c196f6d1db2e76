"""What scale.md computes follows from the constants that it names."""

from __future__ import annotations

import re

from tests.docs.generate import FOLDER

_PAGE = (FOLDER / "scale.md").read_text(encoding="utf-8")
_NAMED = re.compile(r"^\| `(\w+)` \| [^|]+ \| (?:`([^`|]+)` \| )?([^|]+) \|$", re.MULTILINE)
_BREAKS = re.compile(r"^\| 10[^|]+ \| [^|]+ \| `([^`|]+)` \| ([^|]+) \|", re.MULTILINE)


def shown(number: float) -> str:
    """Return a number with two digits that count."""
    rounded = float(f"{number:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"


def test_each_number_follows_from_its_formula() -> None:
    """Every computed number is what its formula gives over the names before it, whichever constant changes."""
    values: dict[str, float] = {}
    computed = []
    for name, formula, value in _NAMED.findall(_PAGE):
        values[name] = eval(formula, {}, values) if formula else float(value.replace(",", ""))
        computed += [(formula, value)] if formula else []
    computed += _BREAKS.findall(_PAGE)

    assert len(computed) > 35
    assert computed == [(formula, shown(eval(formula, {}, values))) for formula, _ in computed]
