"""The file of a policy that is made from a rule, as a person reads it; and what it says of where it came from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

from auditlake.display.text import visible
from auditlake.sigma.conversion import Converted
from auditlake.sigma.logic import AllOf, AnyOf, Comparison, Not, sql_of
from auditlake.sigma.model import Origin, Rule
from auditlake.yaml_reader import digest_of

_MARK = "# Made from a Sigma rule; whoever edits this file keeps it from being replaced: "
_FROM = "# from "
_RULE = "# rule "
_LICENCE = "not named (rules of SigmaHQ have the Detection Rule License, DRL 1.1)"
_SEVERITIES = {"informational": "low", "low": "low", "medium": "medium", "high": "high", "critical": "critical"}
_WIDTH = 110
_CONDITIONS = (Comparison, AllOf, AnyOf, Not)
_ATTACK = re.compile(r"attack\.(?P<name>t\d{4}(?:\.\d{3})?|[gs]\d{4}|[a-z][a-z_-]*)")


@dataclass(frozen=True, slots=True)
class Made:
    """What a policy's file says of the rule that it was made from."""

    key: str
    """What the rule is known by: its id, or its path."""
    origins: tuple[Origin, ...]
    """The files that it was made from."""
    is_edited: bool


def made_from(text: str) -> Made | None:
    """Return what a policy's file says of its rule; None where it was made from none."""
    first, _, rest = text.partition("\n")
    if not first.startswith(_MARK):
        return None
    lines = rest.splitlines()
    key = next((line.removeprefix(_RULE) for line in lines if line.startswith(_RULE)), "")
    named = (line.removeprefix(_FROM).rpartition(" ") for line in lines if line.startswith(_FROM))
    return Made(
        key,
        tuple(Origin(path, digest) for path, _, digest in named),
        first.removeprefix(_MARK) != digest_of(rest.encode()),
    )


def policy_text(rule: Rule, converted: Converted, event_types: Iterable[str]) -> str:
    """Return the file of a policy.

    Args:
        rule: What it is made from.
        converted: What it asks.
        event_types: The types of the events that it governs.
    """
    rest = "\n".join([*_comments(rule, converted), *_body(rule, converted, sorted(event_types)), ""])
    return f"{_MARK}{digest_of(rest.encode())}\n{rest}"


def _comments(rule: Rule, converted: Converted) -> Iterator[str]:
    yield f"{_RULE}{visible(rule.key)}"
    yield from (f"{_FROM}{visible(origin.path)} {origin.digest}" for origin in rule.origins)
    for source in dict.fromkeys(part.source for part in converted.parts):
        yield f"# events of the source {source}:"
        spots = {name: spot for part in converted.parts if part.source == source for name, spot in part.spots.items()}
        yield from (f"#   {visible(name)}: {', '.join(spot.shown)}" for name, spot in spots.items())
    yield from (f"# note: {each}" for each in _absences(converted))
    yield from (f"# note: {visible(note)}" for note in converted.notes)


def _body(rule: Rule, converted: Converted, event_types: Sequence[str]) -> Iterator[str]:
    level = rule.parsed.level.name.lower() if rule.parsed.level else "medium"
    yield f"name: {_quoted(' '.join(visible(rule.title).split()))}"
    yield from _block("description", _description(rule, converted))
    yield f"severity: {_SEVERITIES.get(level, 'medium')}"
    if controls := _controls(rule):
        yield "controls:"
        yield from (f"  {_quoted(name)}: [{', '.join(map(_quoted, ids))}]" for name, ids in controls.items())
    yield "required_events:"
    yield from wrap(
        f"[{', '.join(event_types)}]", _WIDTH, initial_indent="  ", subsequent_indent="   ", break_on_hyphens=False
    )
    yield "coverage: optional"
    for key, value in converted.keys.items():
        yield from _entry(key, value, "")


def _absences(converted: Converted) -> tuple[str, ...]:
    """Return in words which logsources no source of the lake had."""
    return tuple(dict.fromkeys(
        f"When this was made, no source of the lake had the logsource {visible(part.absent)}; "
        f"it asks for events of a source {part.source}."
        for part in converted.parts if part.absent
    ))  # fmt: skip


def _description(rule: Rule, converted: Converted) -> str:
    """Return what the rule says of itself, and where it came from."""
    parsed = rule.parsed
    paragraphs = [str(parsed.description or ""), *_absences(converted)]
    if parsed.falsepositives:
        paragraphs.append("False positives: " + "; ".join(map(str, parsed.falsepositives)))
    if parsed.references:
        paragraphs.append("\n".join(["References:", *(f"- {each}" for each in parsed.references)]))
    others = [str(tag) for tag in parsed.tags or () if not _ATTACK.fullmatch(str(tag)) and tag.namespace != "cve"]
    if others:
        paragraphs.append(f"Tags: {', '.join(others)}")
    licence = rule.extra.get("license") or _LICENCE
    facts = {
        "Sigma rule": rule.id or "without an id", "author": parsed.author or "not named", "licence": licence,
        "status": parsed.status and parsed.status.name.lower(), "date": parsed.date, "modified": parsed.modified,
    }  # fmt: skip
    told = "; ".join(f"{name} {value}" if name == "Sigma rule" else f"{name}: {value}" for name, value in facts.items()
                     if value)  # fmt: skip
    paragraphs.append("\n".join([told, *(f"{origin.path} {origin.digest}" for origin in rule.origins)]))
    return "\n\n".join(filter(None, (visible(each, keep="\n").strip() for each in paragraphs)))


def _controls(rule: Rule) -> dict[str, tuple[str, ...]]:
    """Return the controls that the rule's tags name, by framework."""
    found: dict[str, dict[str, None]] = {}
    for tag in map(str, rule.parsed.tags or ()):
        if match := _ATTACK.fullmatch(tag):
            name = match["name"]
            is_number = any(each.isdigit() for each in name)
            label = name.upper() if is_number else re.sub(r"[_-]", " ", name).title()
            found.setdefault("MITRE ATT&CK", {})[label] = None
        elif tag.startswith("cve."):
            found.setdefault("CVE", {})[f"CVE-{tag.removeprefix('cve.').replace('.', '-').upper()}"] = None
    return {framework: tuple(labels) for framework, labels in found.items()}


# YAML


def _entry(key: str, value: Any, indent: str) -> Iterator[str]:
    """Yield the lines of one key of a policy."""
    if isinstance(value, _CONDITIONS):
        yield from _block(key, sql_of(value), indent)
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        yield f"{indent}{key}:"
        for step in value:
            lines = [line for name, item in step.items() for line in _entry(name, item, f"{indent}    ")]
            yield f"{indent}  - {lines[0].strip()}"
            yield from lines[1:]
    elif isinstance(value, list):
        yield f"{indent}{key}:"
        for item in value:
            yield f"{indent}  - {_quoted(item)}"
    elif isinstance(value, str) and not re.fullmatch(r"[0-9.]+|[0-9]+[a-z]+", value):
        yield f"{indent}{key}: {_quoted(value)}"
    else:
        yield f"{indent}{key}: {value}"


def _block(key: str, text: str, indent: str = "") -> Iterator[str]:
    """Yield a text as a block of lines that stays as it is."""
    first = text.split("\n", 1)[0]
    blanks = "2" if first.startswith(" ") else ""
    yield f"{indent}{key}: |{blanks}-"
    yield from (f"{indent}  {line}" if line else "" for line in text.split("\n"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
