"""Markdown for pull requests and tickets: the verdict, a sentence, and what there is as a table."""

from __future__ import annotations

from collections.abc import Iterator

from auditlake.display.markdown import escaped, row
from auditlake.display.text import count, instant_name, moment
from auditlake.forms.model import FormOptions, Item, Judgement
from auditlake.forms.words import OUTCOME_WORDS, SHOWS_WORDS, subject

_CELL = 300
_ROWS = 200
"""How many findings of a policy are listed: a comment on GitHub has 65,536 characters."""


def render(judgement: Judgement, _: FormOptions) -> bytes:
    """Return the report as Markdown of GitHub's kind; everything that others wrote is escaped."""
    return "".join(_parts(judgement)).encode("utf-8")


def _parts(judgement: Judgement) -> Iterator[str]:
    yield f"## {escaped(subject(judgement))}\n\n"
    yield f"**{escaped(judgement.verdict)}.** {escaped(judgement.sentence)}\n\n"
    yield f"Period: after {moment(judgement.since)}, until {instant_name(judgement.until)}. "
    yield f"As of {instant_name(judgement.as_of)}.\n\n"
    yield from _controls(judgement) if judgement.kind == "framework" else _findings(judgement.items[0])
    pack = f"pack `{judgement.id}` {escaped(judgement.revision)}" if judgement.revision else f"policy `{judgement.id}`"
    yield f"\nLake `{judgement.lake_id}`, snapshot {judgement.snapshot}, {pack}; "
    yield f"JSON `{judgement.stem}.json`, `{judgement.report}`.\n"


def _controls(judgement: Judgement) -> Iterator[str]:
    yield row(["Control", "Status", "What it asks", "What a log shows", "Why"])
    yield "|---|---|---|---|---|\n"
    for item in judgement.items:
        shows = SHOWS_WORDS[item.shows] if item.shows else ""
        yield row([escaped(item.id), OUTCOME_WORDS[item.outcome], escaped(item.title), shows, _cut(item.reason)])


def _findings(item: Item) -> Iterator[str]:
    found = item.findings
    if not found:
        return
    yield row(["Finding", "Kind", "From", "To", "What was found"])
    yield "|---|---|---|---|---|\n"
    for each in found[:_ROWS]:
        bounds = [moment(when) if when else "" for when in (each.start, each.end)]
        said = each.message + (f" (accepted by {each.accepted.owner})" if each.accepted else "")
        yield row([f"`{each.id}`", escaped(each.kind), *bounds, _cut(said)])
    if found[_ROWS:]:
        yield f"\n{count(len(found) - _ROWS, 'more finding')} in the JSON.\n"


def _cut(text: str) -> str:
    return escaped(text if len(text) <= _CELL else f"{text[: _CELL - 1]}…")
