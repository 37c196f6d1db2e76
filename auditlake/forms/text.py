"""Plain text for a mail: the verdict first, what needs doing, and where the page is. At most sixty lines.

It names no person: what policies found by group is counted, and the page has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from auditlake.display.text import count, instant_name, moment, period_name, visible
from auditlake.findings.finding import Finding
from auditlake.forms.model import Check, FormOptions, Item, Judgement
from auditlake.forms.words import OUTCOME_WORDS, subject

LINES, WIDTH = 60, 78
_OPEN = ("fail", "not_evaluated", "no_data")
_LONGEST = 300
_NAMED = 12
"""How many controls a line names."""


def render(judgement: Judgement, options: FormOptions) -> bytes:
    """Return the text in UTF-8."""
    head = [
        *_wrapped(f"{subject(judgement)}: {judgement.verdict}", ""), "", *_wrapped(judgement.sentence, ""), "",
        *_wrapped(f"Period: {_period(judgement)}", ""), f"As of {instant_name(judgement.as_of)}",
    ]  # fmt: skip
    foot = ["", *_place(judgement, options), f"Snapshot {judgement.snapshot} of the lake {judgement.lake_id}"]
    needs = list(_needs(judgement))
    body = ["", f"What needs doing ({len(needs):,}):" if needs else "Nothing needs doing."]
    for number, need in enumerate(needs):
        lines = _wrapped(need, "- ")
        rest = len(needs) - number
        if len(head) + len(body) + len(lines) + len(foot) + (rest > 1) > LINES:
            body.append(f"- and {rest:,} more: see the page")
            break
        body += lines
    return ("\n".join([*head, *body, *foot]) + "\n").encode("utf-8")


def _wrapped(text: str, mark: str) -> list[str]:
    cut = visible(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
    return wrap(cut, WIDTH, initial_indent=mark, subsequent_indent=" " * len(mark), break_on_hyphens=False) or [mark]


def _period(judgement: Judgement) -> str:
    bounds = f"after {moment(judgement.since)}, until {moment(judgement.until)}"
    name = period_name(judgement.since, judgement.until)
    return f"{name} ({bounds})" if name else bounds


def _place(judgement: Judgement, options: FormOptions) -> list[str]:
    if options.page:
        return [f"Page: {options.page}, beside this file"]
    named = f"--framework {judgement.id}" if judgement.kind == "framework" else judgement.id
    bounds = (judgement.since, judgement.until, judgement.as_of)
    since, until, as_of = (f"{each:%Y-%m-%dT%H:%M:%S.%fZ}" for each in bounds)
    return [
        "The page is made by:",
        f"  auditlake report {named} --format html,json \\",
        f"    --since {since} --until {until} \\",
        f"    --as-of {as_of}",
    ]


def _needs(judgement: Judgement) -> Iterator[str]:
    """Yield what keeps the report from being clean, each cause once, what fails first."""
    if judgement.kind == "policy":
        yield from _of_policy(judgement.items[0])
        return
    causes: dict[tuple[str, str], list[str]] = {}
    for outcome in _OPEN:
        for item in (each for each in judgement.items if each.outcome == outcome and (each.checks or not each.parts)):
            reasons = [_cause(each) for each in item.checks if each.outcome == outcome] or list(item.reasons)
            for reason in reasons:
                causes.setdefault((outcome, reason), []).append(item.id)
    for (outcome, reason), controls in causes.items():
        more = f" and {len(controls) - _NAMED:,} more" if controls[_NAMED:] else ""
        yield f"{OUTCOME_WORDS[outcome]}, {', '.join(controls[:_NAMED])}{more}: {reason}"  # type: ignore[index]


def _cause(check: Check) -> str:
    found = [each for each in check.findings if each.accepted is None]
    if check.policy and any(each.group and "field" not in each.group for each in found):
        return f"{count(len(found), 'finding')} of {check.policy}"
    return check.reason


def _of_policy(item: Item) -> Iterator[str]:
    if item.outcome == "pass":
        return
    found = [each for each in item.findings if each.accepted is None]
    if not found and item.outcome in _OPEN:
        yield item.reason
    for each in found:
        yield f"{each.kind} {each.id}{_span(each)}: deal with it, or accept it (auditlake finding show {each.id})"


def _span(finding: Finding) -> str:
    about = f" of {finding.event_type}" if finding.event_type else ""
    if finding.start is None:
        return about
    return f"{about}, {finding.start:%Y-%m-%d %H:%M} to {f'{finding.end:%Y-%m-%d %H:%M}' if finding.end else 'now'} UTC"
