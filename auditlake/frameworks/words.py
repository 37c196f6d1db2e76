"""The verdict on a framework in words, and its numbers in a sentence. There is no percentage anywhere."""

from __future__ import annotations

from collections.abc import Sequence

from auditlake.frameworks.model import ControlResult, Status
from auditlake.packs.model import State

_WORDS: dict[Status, str] = {
    "fail": "Not met", "not_evaluated": "Not evaluated in full", "no_data": "Too little data",
    "exception": "Met with exceptions", "pass": "Met, as far as a log can show", "not_applicable": "Not applicable",
}  # fmt: skip
_ENDED = ("superseded", "rescinded")


def verdict_of(status: Status, state: State | None) -> str:
    """Return the status in words that go with what the framework is as of as_of."""
    word = _WORDS[status]
    if state is not None and state.state == "in_force":
        return word
    if state is not None and state.state in _ENDED:
        return f"{word}; {state.state} since {state.since}"
    return f"{word}, were it in force"


def sentence_of(failing: int, applicable: int, showable: int, passing: int, only_logging: int) -> str:
    """Return the numbers in a sentence."""
    controls = f"{failing:,} of {applicable:,} controls {'fails' if failing == 1 else 'fail'}."
    shown = f"Of the {showable:,} that a log can show, {passing:,} {'passes' if passing == 1 else 'pass'}"
    word = "shows" if only_logging == 1 else "show"
    return f"{controls} {shown}, and {only_logging:,} of these {word} only that logging exists."


def reasons_of(status: Status, parts: Sequence[tuple[Status, Sequence[str]]]) -> tuple[str, ...]:
    """Return the reasons of what decides a status, in order, each once."""
    return tuple(dict.fromkeys(reason for own, reasons in parts if own == status for reason in reasons))


def numbers_of(controls: Sequence[ControlResult]) -> dict[str, int]:
    """Return the numbers that the sentence names."""
    applying = [each for each in controls if each.status != "not_applicable"]
    shown = [each for each in applying if each.shows != "nothing"]
    passing = [each for each in shown if each.status == "pass"]
    return {
        "applicable": len(applying), "failing": sum(each.status == "fail" for each in applying),
        "showable": len(shown), "passing": len(passing),
        "passing_only_logging": sum(each.shows == "logging" for each in passing),
    }  # fmt: skip
