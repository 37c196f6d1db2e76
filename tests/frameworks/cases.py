"""Packs, reports and decisions made by hand, for tests of the pure function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from auditlake.events.durations import Duration, parse_duration
from auditlake.findings.decisions import Acceptance, Subject
from auditlake.findings.finding import Finding
from auditlake.frameworks.facts import Facts
from auditlake.frameworks.records.model import Case
from auditlake.packs.model import Control, Pack, Parameter, Source, State, qualified
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.reports.model import Evidence, Report
from auditlake.runs.model import Answer, Run, Verification

UNTIL = datetime(2026, 9, 30, 23, 59, 59, 999_999, tzinfo=UTC)
SINCE = datetime(2026, 8, 31, 23, 59, 59, 999_999, tzinfo=UTC)
QUESTION = Question(UNTIL, SINCE, UNTIL)
DAY = timedelta(days=1)
WHO = {"by": "ana", "system_user": "root"}
RECEIVED = Facts(received=True, first_event=datetime(2024, 1, 1, tzinfo=UTC))


def length(text: str) -> Duration:
    """Return a length of time."""
    return parse_duration(text, "retention_period")


def policy(name: str, *types: str, pack: str = "p", **more: Any) -> Policy:
    """Return a policy of a pack."""
    return Policy(qualified(pack, name), name, "", types or ("login",), digest=f"sha256:{name}", **more)


def found(kind: str, number: int = 0, *, start: datetime | None = None, end: datetime | None = None) -> Finding:
    """Return a finding."""
    return Finding(f"{number:016x}", kind, f"{kind} {number}", event_type=f"type{number}", start=start, end=end)


def report(policy_id: str, findings: Iterable[Finding] = (), *, error: str | None = None) -> Report:
    """Return what a policy's report says."""
    evidence = Evidence("lake", 1, "sha256:00", 1, 1, "sha256:00", ())
    violations = tuple(findings)
    status: Any = "error" if error else "violation" if violations else "compliant"
    return Report(
        policy_id, policy_id, "", "high", {}, UNTIL, UNTIL, SINCE, UNTIL, status, None, 7, {"login": 7},
        {"login": None}, violations, None, CoverageAnswer(None, ()), None, evidence, error,
    )  # fmt: skip


def accepted(policy_id: str, finding: Finding, number: int = 1, *, until: datetime = UNTIL + DAY) -> Acceptance:
    """Return an acceptance of a finding."""
    subject = Subject(policy_id, finding.kind, "", finding.event_type or "")
    at = SINCE + DAY
    return Acceptance(number, at, finding.id, subject, finding.start, at, UNTIL, until, "known", "bea", **WHO)


def pack(
    *controls: Control, policies: Iterable[Policy] = (), parameters: Mapping[str, Parameter] | None = None, **more: Any
) -> Pack:
    """Return a pack ``p``."""
    parameters = parameters or {}
    values = {name: each.default for name, each in parameters.items()}
    return Pack(**{
        "id": "p", "framework": "Rules", "edition": "1", "publisher": "us", "about": "", "revision": "2026-01-01.1",
        "recheck": date(2027, 1, 1), "states": (State(date(2020, 1, 1), "in_force", ("S",)),),
        "sources": (Source("S", "the rules", "primary"),), "controls": controls,
        "policies": {each.name: each for each in policies}, "parameters": parameters, "values": values, **more,
    })  # fmt: skip


def case(of: Pack, **more: Any) -> Case:
    """Return what a pack is judged by."""
    usual = {"question": QUESTION, "policies": tuple(of.policies.values()), "facts": RECEIVED}
    return Case(of, **{**usual, **more})


def run(
    number: int, at: datetime, *policies: str, since: datetime, until: datetime, status: str = "compliant",
    state: Any = "ok", findings: int = 0,
) -> Run:  # fmt: skip
    """Return a line of the journal of runs."""
    answers = {each: Answer("sha256:00", since, until, status, findings, 0, 1, "sha256:00") for each in policies}
    return Run(number, "0" * 16, at, at, "report", "0", "root", until, until, 1, 1, 0, None, state, None, answers)


def verification(
    number: int, at: datetime, *, problems: int = 0, level: Any = "full", kept: bool = False
) -> Verification:
    """Return a line of the journal of runs."""
    return Verification(number, at, at, "0", "root", level, kept, 1, 1, problems)
