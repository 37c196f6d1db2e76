"""Alerts in Slack and in Microsoft Teams: webhooks with messages that people read.

Values of events are in no place where either of them takes markup: Slack gets objects of plain text, Teams runs of
text. Slack's notification, which takes markup, has it escaped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import time
from typing import Any, ClassVar

from auditlake.alerts.notice import Notice, NoticeFact, notice_of
from auditlake.alerts.secrets import Secret
from auditlake.alerts.webhook import Webhook
from auditlake.display.templates import Document, render_values

_LONGEST_SECTION = 2_900
"""Characters of a section; Slack takes 3,000."""
_MOST_TEAMS = 24_000
"""Bytes of a message; Teams takes 28 KB."""


@dataclass(frozen=True, slots=True)
class SlackMessage:
    """A message to an incoming webhook of Slack."""

    template: ClassVar[str] = "alerts/slack.json"

    text: str
    """What a notification says, as mrkdwn."""
    title: str
    """The heading."""
    sections: tuple[str, ...]
    """Paragraphs."""
    source: str
    """Where it comes from."""


@dataclass(frozen=True, slots=True)
class TeamsMessage:
    """An Adaptive Card to a workflow of Teams that posts it into a channel or chat."""

    template: ClassVar[str] = "alerts/teams.json"

    title: str
    """The heading."""
    tone: str
    """Its colour."""
    text: str
    """What happened."""
    facts: tuple[NoticeFact, ...]
    """Facts."""
    lines: tuple[str, ...]
    """Of the alerts of a day: what they say."""
    source: str
    """Where it comes from."""


class _Chat(Webhook):
    """A webhook whose body is made for people.

    Args:
        url: The secret that is the URL.
        digest: When the alerts of a day are posted as one message, in UTC; each at once if None.
        options: How long to wait: see :class:`Webhook`.
    """

    def __init__(self, url: Secret, *, digest: time | None = None, **options: float) -> None:
        super().__init__(url, digest=digest, **options)  # type: ignore[arg-type] # lengths of time only

    def body(self, document: Mapping[str, Any]) -> bytes:
        """Return what is posted."""
        return _packed(self.message(notice_of(document, self.lake)))

    def message(self, notice: Notice) -> Document:
        """Return the message of a notice."""
        raise NotImplementedError


class Slack(_Chat):
    """Posts each alert to an incoming webhook of Slack."""

    name = "slack"

    def message(self, notice: Notice) -> SlackMessage:
        """Return the message of a notice."""
        facts = [f"{fact.label}: {fact.value}" for fact in notice.facts]
        sections = (notice.text, *_sections(facts), *_sections(notice.lines))
        return SlackMessage(escaped(f"{notice.title}: {notice.text}"), notice.title, sections, notice.source)


class Teams(_Chat):
    """Posts each alert to a workflow of Microsoft Teams, as an Adaptive Card."""

    name = "teams"

    def message(self, notice: Notice) -> TeamsMessage:
        """Return the message of a notice, no longer than Teams takes it."""
        facts = tuple(NoticeFact(f"{_inert(fact.label)}: ", _inert(fact.value)) for fact in notice.facts)
        made = TeamsMessage(
            _inert(notice.title), notice.tone.capitalize(), _inert(notice.text), facts,
            tuple(map(_inert, notice.lines)), notice.source,
        )  # fmt: skip
        while made.lines and len(_packed(made)) > _MOST_TEAMS:
            made = replace(made, lines=(*made.lines[: len(made.lines) * 3 // 4 - 1], "and more"))
        return made


def escaped(text: str) -> str:
    """Return a text for Slack's mrkdwn, in which nothing mentions, links or quotes."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _inert(text: str) -> str:
    """Return a text in which a card finds no function, such as ``{{DATE(…)}}``."""
    return text.replace("{{", "{ {")


def _sections(lines: Sequence[str]) -> list[str]:
    """Return lines as few paragraphs."""
    sections: list[str] = []
    for line in lines:
        if sections and len(sections[-1]) + 1 + len(line) <= _LONGEST_SECTION:
            sections[-1] += f"\n{line}"
        else:
            sections.append(line)
    return sections


def _packed(message: Document) -> bytes:
    return json.dumps(render_values(message), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
