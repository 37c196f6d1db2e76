"""What needs attention: one line a cause, with the controls of all frameworks that it keeps from passing.

It reads framework reports as JSON values, so that the list can be made of what lies in a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from auditlake.display.text import count
from auditlake.site.words import STATUS_WORDS, listed, plain

_OPEN = ("fail", "not_evaluated", "no_data")
_SLOTS = {"review": "review", "evaluation": "evaluation", "integrity": "verification"}
_NAMELESS = ("missing_required_type", "coverage_gap", "field_incomplete")
"""The kinds of findings of policies whose messages name no values of events."""
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Cause:
    """Something that keeps controls from passing."""

    words: str
    """What it is."""
    status: str
    """The worst status that it gives a control."""
    controls: tuple[tuple[int, str], ...]
    """The place of the framework among those given, and the control."""


@dataclass(slots=True)
class _Case:
    """Everything of one cause, while it is gathered."""

    say: Callable[[Sequence[Json]], str]
    checks: list[Json] = field(default_factory=list)
    findings: dict[str, Json] = field(default_factory=dict)
    controls: dict[tuple[int, str], str] = field(default_factory=dict)


def causes_of(frameworks: Sequence[Json]) -> tuple[Cause, ...]:
    """Return the causes: what fails first, and of those what concerns the most controls."""
    cases: dict[tuple[str, ...], _Case] = {}
    for place, framework in enumerate(frameworks):
        for control in framework["controls"]:
            if control["status"] not in _OPEN or (control["parts"] and not control["checks"]):
                continue
            for key, say, check, finding in _reasons(control):
                case = cases.setdefault(key, _Case(say))
                case.controls[place, control["id"]] = control["status"]
                case.checks.append(check)
                if finding:
                    case.findings[finding["id"]] = finding
    causes = [_cause(each) for each in cases.values()]
    order = list(STATUS_WORDS)
    return tuple(sorted(causes, key=lambda each: (order.index(each.status), -len(each.controls))))


def _cause(case: _Case) -> Cause:
    status = min(case.controls.values(), key=list(STATUS_WORDS).index)
    return Cause(case.say(list(case.findings.values()) or case.checks), status, tuple(case.controls))


def _reasons(control: Json) -> Iterator[tuple[tuple[str, ...], Callable[[Sequence[Json]], str], Json, Json | None]]:
    """Yield what keeps a control from passing: key, how to say it, the check, and the finding."""
    if not control["checks"]:
        if control["statement"] is None:
            yield ("unstated",), lambda _: "A statement is missing about what logs cannot show", control, None
        else:
            yield ("stated", control["reasons"][0]), lambda _: _sentence(control["reasons"][0]), control, None
    for check in control["checks"]:
        if check["status"] not in _OPEN:
            continue
        open_findings = [each for each in check["findings"] if not each.get("accepted")]
        if check["slots"]:
            yield ("slots", check["kind"]), lambda found, kind=check["kind"]: _missed(kind, found), check, None  # type: ignore[misc]
        elif check["kind"] == "response" and open_findings:
            for each in open_findings:
                yield ("response",), _unanswered, check, each
        elif open_findings and check["status"] == "fail":
            policy = check["policy"]
            for each in open_findings:
                if policy and each["kind"] not in _NAMELESS:  # its message may name a person: the policy's page has it
                    say = lambda found, policy=policy: f"{count(len(found), 'finding')} of {plain(policy)}"  # noqa: E731
                    yield ("policy", policy), say, check, each
                else:
                    yield _key(each), _found, check, each
        elif begins := check["measures"].get("begins") if check["status"] == "no_data" else None:
            words = f"The lake begins on {begins}: less can be shown than must be kept"
            yield ("begins", begins), lambda _, words=words: words, check, None  # type: ignore[misc]
        else:
            yield ("reason", check["reason"]), lambda _, reason=check["reason"]: _sentence(reason), check, None  # type: ignore[misc]


def _key(finding: Json) -> tuple[str, ...]:
    """Return what findings have in common that one cause gives: types never seen are one, gaps of a type are one."""
    kind = finding["kind"]
    if kind == "missing_required_type":
        return kind, finding["message"].partition(":")[0]
    return kind, finding.get("event_type") or "", str(sorted((finding.get("group") or {}).items()))


def _found(findings: Sequence[Json]) -> str:
    first = findings[0]
    kinds = first["kind"]
    if kinds == "missing_required_type":
        names = list(dict.fromkeys(each["event_type"] for each in findings))
        what = first["message"].partition(":")[0]
        return plain(f"{what}: {listed(names)}")
    if kinds == "coverage_gap" and len(findings) > 1:
        spans = dict.fromkeys(f"{str(each['start'])[:10]} to {str(each.get('end') or 'now')[:10]}" for each in findings)
        return plain(f"{count(len(spans), 'gap')} in {first['event_type']}: {listed(list(spans)[:4])}")
    messages = list(dict.fromkeys(each["message"] for each in findings))  # several frameworks may ask the same
    return _sentence(messages[0] + (f", and {len(messages) - 1:,} more like it" if messages[1:] else ""))


def _unanswered(findings: Sequence[Json]) -> str:
    return f"{count(len(findings), 'finding')} neither accepted nor dealt with in time"


def _missed(kind: str, checks: Sequence[Json]) -> str:
    """Say how many intervals were missed and are not accepted: those that several controls ask for count once."""
    slots = {(each["start"], each["end"]): each["state"] for check in checks for each in _open_slots(check)}
    number = {state: sum(each == state for each in slots.values()) for state in ("missed", "failed", "late")}
    words = {"missed": "missed", "failed": "ended with an error", "late": "late"}
    parts = [f"{count(number[state], _SLOTS[kind])} {said}" for state, said in words.items() if number[state]]
    return listed(parts) if parts else _sentence(checks[0]["reason"])


def _open_slots(check: Json) -> Iterator[Json]:
    """Yield the intervals of a check but those of accepted findings."""
    spans = [(each["start"], each["end"]) for each in check["findings"] if each.get("accepted") and each["end"]]
    yield from (slot for slot in check["slots"] if not any(start <= slot["start"] < end for start, end in spans))


def _sentence(text: str) -> str:
    shown = plain(text)
    return shown[:1].upper() + shown[1:]
