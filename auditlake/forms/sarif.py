"""SARIF 2.1.0 of mistakes in files of policies and packs, for code review and editors.

It is no form of a report: what is found in logs has no place in a file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from auditlake.display.canonical_json import canonical
from auditlake.forms.writing import shown_values

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
RULES = {
    "policy-file": "A policy's file must be one that auditlake can use.",
    "policy-test": "The tests that a policy carries must pass.",
    "pack-file": "A pack's file, and what frameworks.yaml sets of it, must be ones that auditlake can use.",
}
"""What is looked for, by the id of the rule."""
_PLACED = re.compile(r"(?P<file>.+?\.[a-z]+):(?P<line>[1-9]\d*)(?::(?P<column>[1-9]\d*))?: (?P<message>.*)", re.DOTALL)

_NEXT = re.compile(r"; (?=[^\s;]+\.[a-z]+:[1-9]\d*:[1-9]\d*: )")


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something that is wrong in a file."""

    rule: str
    """One of :data:`RULES`."""
    message: str
    file: Path | None = None
    """None where nothing is known of the place."""
    line: int = 0
    """From 1; 0 where it is about the whole file."""
    column: int = 0
    """From 1, in code points; 0 where it is about the whole line."""


def mistakes_of(problem: str, rule: str, place: Callable[[str], Path]) -> list[Mistake]:
    """Return mistakes that are spelled ``file:line:column: message``, with a semicolon between several.

    Args:
        problem: The text.
        rule: The rule.
        place: Gives the file that a name of a file stands for.
    """
    return [_mistake(each, rule, place) for each in _NEXT.split(problem)]


def _mistake(problem: str, rule: str, place: Callable[[str], Path]) -> Mistake:
    if (match := _PLACED.fullmatch(problem)) is None:
        return Mistake(rule, problem)
    return Mistake(rule, match["message"], place(match["file"]), int(match["line"]), int(match["column"] or 0))


def render(mistakes: Iterable[Mistake], folder: Path) -> bytes:
    """Return a log of one run.

    Args:
        mistakes: What was found.
        folder: The folder that files are named from, which is the root of a checkout as a rule.
    """
    rules = list(RULES)
    return canonical(shown_values({
        "$schema": SCHEMA, "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "auditlake",
                "rules": [{"id": each, "shortDescription": {"text": RULES[each]}} for each in rules],
            }},
            "columnKind": "unicodeCodePoints",
            "results": [
                {"ruleId": each.rule, "ruleIndex": rules.index(each.rule), "level": "error",
                 "message": {"text": each.message},
                 "locations": [{"physicalLocation": {
                     "artifactLocation": {"uri": _uri(each.file, folder)},
                     "region": _region(each) if each.line else None,
                 }}] if each.file else None}
                for each in mistakes
            ],
        }],
    }))  # fmt: skip


def _region(mistake: Mistake) -> dict[str, int | None]:
    return {"startLine": mistake.line, "startColumn": mistake.column or None}


def _uri(file: Path, folder: Path) -> str:
    """Return a file as a reference from the folder; as an absolute one where it lies elsewhere."""
    whole = folder / file
    if whole.is_relative_to(folder):
        return quote(whole.relative_to(folder).as_posix().encode("utf-8", "surrogateescape"))
    return whole.as_uri()
