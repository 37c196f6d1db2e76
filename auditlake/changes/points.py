"""The two reports that a change report lies between: found in the journal of runs, or named by their JSON."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auditlake.changes.model import Point
from auditlake.context import LakeContext
from auditlake.disk import evidence_json
from auditlake.disk.files import read_file
from auditlake.errors import ReportError
from auditlake.frameworks.document import check_framework
from auditlake.reports.document import check_report
from auditlake.reports.listing import findings_of
from auditlake.runs.journal import read
from auditlake.runs.model import Run
from auditlake.yaml_reader import near

_Beside = tuple[dict[str, Any], ...] | None
Which = int | str | Path | None
"""A run by its entry in the journal of runs, a report's JSON, or None for the usual one."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two reports."""

    point: Point
    document: dict[str, Any] | None
    """Its JSON, where it could be found."""
    findings: int | None = None
    """How many findings the run's line says that it has."""
    listed_beside: _Beside = None
    """All its findings, where its JSON lists some of them alone and the file of all of them lies beside it."""


def sides(context: LakeContext, subject: str, *, is_framework: bool, before: Which, after: Which) -> tuple[Side, Side]:
    """Return the earlier and the later report.

    Args:
        context: The lake.
        subject: The policy, or the pack.
        is_framework: Whether it is a pack.
        before: The earlier one; the last run of the same verb and schedule before the other if None.
        after: The later one; the newest run if None.

    Raises:
        ReportError: There is no such run, or what was named is no report of it on this lake.
    """
    judged = [each for each in read(context.layout) if isinstance(each, Run)]
    runs = [each for each in judged if subject in _answers(each, is_framework)]
    if not runs and not (before and after):
        names = {name for each in judged for name in (*each.answers, *each.packs)}
        message = f"no run on record judged {subject[:100]!r}"
        raise ReportError(message, hint=near(subject, names) if names else "auditlake report puts one on record")
    later = _side(context, subject, is_framework, runs, after, next(iter(runs[-1:]), None))
    number = later.point.run or len(runs) + 1
    earlier = [each for each in runs if later.point.run is None or each.number < number]
    like = next((each for each in runs if each.number == later.point.run), None)
    alike = [each for each in earlier if like is None or _line(each) == _line(like)]
    usual = next(iter((alike or earlier)[-1:]), None)
    first = _side(context, subject, is_framework, runs, before, usual)
    for name, what in (("as_of", "as of"), ("snapshot", "on snapshot"), ("journal", "with so many decisions:")):
        one, other = getattr(first.point, name), getattr(later.point, name)
        if one > other:
            message = f"the earlier report is {what} {one}, which is after the later one, {what} {other}"
            raise ReportError(message, hint="name the earlier one with --from and the later one with --to")
    return first, later


def _answers(run: Run, is_framework: bool) -> Any:
    return run.packs if is_framework else {k: v for k, v in run.answers.items() if v.status != "error"}


def _line(run: Run) -> tuple[str, Any]:
    """Return what runs of one row have in common: the verb, and the schedule where one asked."""
    return run.verb, getattr(run, "schedule", None)


def _side(
    context: LakeContext, subject: str, is_framework: bool, runs: Sequence[Run], which: Which, usual: Run | None
) -> Side:
    if isinstance(which, int) or (isinstance(which, str) and which.isascii() and which.isdigit() and len(which) < 19):
        usual = next((each for each in runs if each.number == int(which)), None)
        if usual is None:
            numbers = ", ".join(f"{each.number}" for each in runs[-5:]) or "none"
            message = f"run {which} did not judge {subject!r}"
            raise ReportError(message, hint=f"runs that did: {numbers}; auditlake runs lists all")
    elif which is not None:
        return _of_file(context, subject, is_framework, runs, Path(which))
    if usual is None:
        raise ReportError(
            f"no earlier run on record judged {subject!r}",
            hint="name a report's JSON with --from, or report again later",
        )
    return _of_run(context, subject, is_framework, usual)


def _of_run(context: LakeContext, subject: str, is_framework: bool, run: Run) -> Side:
    assert run.as_of is not None
    assert run.generated_at is not None
    assert run.snapshot is not None
    about: dict[str, Any] = {
        "as_of": run.as_of, "generated_at": run.generated_at, "snapshot": run.snapshot, "journal": run.journal or 0,
        "run": run.number, "version": run.version, "settings": run.settings,
    }  # fmt: skip
    if not is_framework:
        own = run.answers[subject]
        document, beside = _document(context, f"compliance_{subject}_", own.report)
        point = Point(
            since=own.since, until=own.until, policy=own.policy, status=own.status, report=own.report, **about
        )
        return Side(point, document, own.findings, beside)
    packed = run.packs[subject]
    document, _ = _document(context, f"framework_{subject}_", packed.report)
    if document is None:
        message = f"the JSON of the framework report of run {run.number} is not in {context.layout.reports}"
        raise ReportError(message, hint="name it by its path: what else it was judged by is said there alone")
    about |= {name: _instant(text) for name, text in document["period"].items()}
    return Side(Point(policy=packed.pack, status=packed.status, report=packed.report, **about), document)


def _document(context: LakeContext, begins: str, digest: str) -> tuple[dict[str, Any] | None, _Beside]:
    """Return the JSON with a digest among the lake's reports, and its list of findings; None if it is not there."""
    for path in sorted(context.layout.reports.glob(f"{begins}*.json")):
        try:
            data = read_file(path, within=context.layout.root)
            if "sha256:" + hashlib.sha256(data).hexdigest() == digest:
                parsed: dict[str, Any] = evidence_json.parse(data)
                return parsed, _beside(path, parsed)
        except (OSError, ValueError):
            continue
    return None, None


def _beside(path: Path, document: Mapping[str, Any]) -> _Beside:
    """Return all findings of a report that lists some of them; None where it lists all, or their file is not there."""
    if not (more := document.get("more_findings")):
        return None
    with suppress(OSError, ValueError):
        data = read_file(path.with_name(more["file"]))
        if "sha256:" + hashlib.sha256(data).hexdigest() == more["sha256"]:
            return tuple(findings_of(io.BytesIO(data)))
    return None


def _of_file(context: LakeContext, subject: str, is_framework: bool, runs: Sequence[Run], path: Path) -> Side:
    key = "pack_id" if is_framework else "policy_id"
    try:
        data = read_file(path)
        document = evidence_json.parse(data)
        (check_framework if is_framework else check_report)(document)
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, ReportError) as error:
        message = f"{path} is no report of {subject!r}: {' '.join(str(error).split())[:300]}"
        raise ReportError(message, hint="expected the JSON that auditlake report writes, or a run's number") from error
    evidence = document["evidence"]
    if (document[key], evidence["lake_id"]) != (subject, context.config.id):
        message = f"{path} is a report of {document[key]!r} of lake {evidence['lake_id']}"
        raise ReportError(message, hint=f"expected one of {subject!r} of lake {context.config.id}")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    run = next((each for each in runs if _answers(each, is_framework)[subject].report == digest), None)
    return Side(
        Point(
            as_of=_instant(document["as_of"]), since=_instant(document["period"]["since"]),
            until=_instant(document["period"]["until"]), generated_at=_instant(document["generated_at"]),
            snapshot=evidence["snapshot"], journal=evidence.get("journal", {}).get("entries", 0),
            policy=evidence["pack_digest" if is_framework else "policy_digest"], status=document["status"],
            report=digest, run=run.number if run else None, version=run.version if run else None,
            settings=run.settings if run else None,
        ),
        document, None, _beside(path, document),
    )  # fmt: skip


def _instant(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise ReportError(f"the report has an instant that there is not: {text!r}") from error
