"""Whether what policies found was dealt with in time, threshold episodes too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from auditlake.events.durations import length_of
from auditlake.events.times import MICROSECOND
from auditlake.findings.decisions import Seen
from auditlake.findings.finding import Finding, subject_id
from auditlake.frameworks.model import CheckResult, Status
from auditlake.frameworks.records.model import NOTHING_CAME, Case, Found, result
from auditlake.packs.model import Control, RecordCheck
from auditlake.runs.known import Known


@dataclass(frozen=True, slots=True)
class _Due:
    """A finding that was to be dealt with by as_of."""

    policy: str
    finding: Finding
    by: datetime
    at: datetime | None
    """When it was; None if it was not."""


def check_response(check: RecordCheck, control: Control, case: Case) -> CheckResult:
    """Judge the findings of policies: each was accepted or marked as dealt with, in time."""
    ids = case.named(check.of)
    unjudged = [each for each in ids if each not in case.reports or case.reports[each].error is not None]
    due = list(_due(check, case, [each for each in ids if each not in unjudged]))
    in_time = [each for each in due if each.at is not None and each.at <= each.by]
    found = [_found(each, check) for each in due if each not in in_time]
    reason = f"{len(in_time):,} of {len(due):,} findings that were due were dealt with within {check.within}"
    late = sum(each.kind == "response_late" for each in found)
    measures = {"due": len(due), "in_time": len(in_time), "late": late, "missing": len(found) - late}
    otherwise: Status = "pass" if due or case.facts.received else "no_data"
    reason = reason if otherwise == "pass" else NOTHING_CAME
    made = result(check, control, case, reason, found, otherwise=otherwise, measures=measures)
    if unjudged and made.status != "fail":  # what is accepted of the others does not answer for these
        why = f"{', '.join(unjudged)} could not be judged: what it would find is not known"
        return replace(made, status="not_evaluated", reason=why)
    return made


def _due(check: RecordCheck, case: Case, ids: list[str]) -> Iterator[_Due]:
    known = Known(case.runs, ids)
    for policy_id in ids:
        for finding in case.reports[policy_id].violations:
            seen = case.seen(policy_id, finding)
            by = _known(known, seen) + timedelta(microseconds=length_of(check.within))
            if by <= case.question.as_of:
                yield _Due(policy_id, finding, by, _dealt_with(case, seen))


def _known(known: Known, seen: Seen) -> datetime:
    """Return since when a finding is known: the first run that found it, be it cut by another period.

    Without one, it is known since its end, or since the end of the period. What has no start stretches over its period.
    """
    start, end = seen.start or seen.period_since, seen.end or seen.period_until + MICROSECOND
    first = known.first(seen.subject.policy_id, subject_id(seen.subject), start, end)
    return first or seen.end or seen.period_until


def _dealt_with(case: Case, seen: Seen) -> datetime | None:
    """Return when a finding was first accepted or marked as dealt with; an acceptance that has ended counts."""
    accepted = (
        each.at for each in case.decisions.acceptances
        if each.covers(replace(seen, as_of=min(seen.as_of, each.until)))
    )  # fmt: skip
    resolved = (each.at for each in case.decisions.resolutions if each.deals_with(seen))
    return min([*accepted, *resolved], default=None)


def _found(due: _Due, check: RecordCheck) -> Found:
    finding = due.finding
    late = due.at is not None
    said = "Dealt with late" if late else f"Nobody dealt with it within {check.within}"
    measures = {"finding": finding.id, "policy": due.policy, "due": due.by, "at": due.at}
    return Found(
        "response_late" if late else "response_missing", f"{said}: {finding.message}", finding.start, finding.end,
        finding.event_type, {"policy": due.policy, "kind": finding.kind, **(finding.group or {})}, measures,
    )  # fmt: skip
