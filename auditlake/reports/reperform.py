"""A report done again: the same policy on the same snapshot, compared number by number."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from auditlake.disk import evidence_json
from auditlake.disk.files import read_file
from auditlake.display.canonical_json import instant
from auditlake.errors import PolicyNotFoundError, ReportError, SnapshotError
from auditlake.policies.question import BEFORE_ALL
from auditlake.reports.document import check_report

if TYPE_CHECKING:
    from auditlake.reports.compliance import ComplianceReport


Signer = Literal["", "own", "earlier", "unknown", "none"]


class _Nothing:
    """Is where a report does not have a place, and equal to no value."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()
"""What a report says in a place that it does not have."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A value that is not what it was."""

    where: str
    """Its place in the report, e.g. ``threshold.episodes``; findings are named by their ids."""
    then: Any
    """What the report says; :data:`NOTHING` where it does not have that place."""
    now: Any
    """What it would say now."""


@dataclass(frozen=True, slots=True)
class Reperformance:
    """What doing a report again gave."""

    policy_id: str
    """The policy's id, or that of a pack."""
    as_of: str
    snapshot: int
    identical: bool
    """Whether every number is the same, in the meaning that it has in the report's own form."""
    differences: tuple[Difference, ...]
    """What is not the same; statements apart."""
    reasons: tuple[str, ...]
    """Why, as far as the report and the lake tell."""
    statements: tuple[Difference, ...] = ()
    """Where the SQL behind the numbers is written in another way, or binds other values, as it does by another version
    of auditlake or with other holds, or where that wrote the same list of findings into a file of other bytes."""
    signer: Signer = ""
    """Who signed the evidence pack: the lake's key, an ``earlier`` key of it while it was the lake's, one of which the
    lake does not know (``unknown``), or ``none``; empty of a report that is in no pack."""


def reperform(
    path: Path,
    lake_id: str,
    judge: Callable[..., Sequence[ComplianceReport]],
    *,
    policies: str | Path | None = None,
) -> Reperformance:
    """Do a report again.

    Args:
        path: Its JSON.
        lake_id: The lake's id.
        judge: Makes reports, as :meth:`auditlake.AuditLake.reports` does.
        policies: A folder with the policies as they were then; the lake's if None.

    Raises:
        ReportError: The file is no report, or one of another lake.
    """
    then = read_report(path)
    evidence = then["evidence"]
    if evidence["lake_id"] != lake_id:
        message = f"{path} is a report of lake {evidence['lake_id']}, not of this one, {lake_id}"
        raise ReportError(message, hint="name the lake that it was made from with --lake")
    which = (then["policy_id"], then["as_of"], evidence["snapshot"])
    try:  # a period may begin the microsecond before 1970, which is no time of an event
        period = {name: datetime.fromisoformat(text) for name, text in then["period"].items()}
    except ValueError as error:
        raise ReportError(f"{path} is no report of auditlake: its period has a day that there is not") from error
    try:
        (made,) = judge(
            then["policy_id"], as_of=then["as_of"], **period, snapshot=evidence["snapshot"],
            generated_at=then["generated_at"], entries=evidence.get("journal", {}).get("entries", 0), pages=False,
            policies=policies,
        )  # fmt: skip
        form = then["report_version"]  # it is written as the other was: in its form, with as many findings listed
        listed = len(then["violations"]) if form > 1 and then["more_findings"] else len(made.findings)
        now = json.loads(made.relisted(listed).json(form))
        _clip_cutoff(then, now)
    except (PolicyNotFoundError, SnapshotError, ReportError) as error:  # the last: it has no report of that form now
        return Reperformance(*which, identical=False, differences=(), reasons=(str(error),))
    differences, statements = told_apart(then, now)
    return Reperformance(*which, not differences, differences, tuple(_reasons(differences, statements)), statements)


def _clip_cutoff(then: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Let the cutoff be what it was in the first form where it lay before 1970: the instant ahead of all events."""
    first = instant(BEFORE_ALL)
    if then["report_version"] == 1 and then["retention"]["cutoff"] == first > now["retention"]["cutoff"]:
        now["retention"]["cutoff"] = first


def told_apart(
    then: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[tuple[Difference, ...], tuple[Difference, ...]]:
    """Return the differences in numbers, and those in the statements that gave them.

    What a query binds is part of it, as its statement is: a hold that names another pseudonym by now changes no number.
    A query whose statement is the same has to give as many rows; one that is written in another way may give others.
    """
    queries = (_named(each["evidence"]["queries"]) for each in (then, now))
    before, after = ({name: query["sql"] for name, query in each.items()} for each in queries)
    rewritten = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    lists = [(each.get("more_findings") or {}).get("digest") for each in (then, now)]
    files = {"more_findings.file", "more_findings.sha256"} if lists[0] == lists[1] else set()
    numbers: list[Difference] = []
    statements: list[Difference] = []
    for each in _differences(then, now):
        name = each.where.removeprefix("evidence.queries[").partition("]")[0]
        of_query = each.where.startswith("evidence.queries")
        is_rows = each.where == f"evidence.queries[{name}].rows" and name not in rewritten
        of_statement = (of_query and not is_rows) or each.where in files
        (statements if of_statement else numbers).append(each)
    return tuple(numbers), tuple(statements)


def read_report(path: Path) -> dict[str, Any]:
    """Return a report's JSON.

    Raises:
        ReportError: It cannot be read, or is none.
    """
    try:
        report = evidence_json.parse(read_file(path))
        check_report(report)
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError, ReportError) as error:
        message = f"{path} is no report of auditlake: {' '.join(str(error).split())[:300]}"
        raise ReportError(message, hint="expected the JSON that auditlake report writes") from error
    assert isinstance(report, dict)
    return report


def _differences(then: Any, now: Any, where: str = "") -> Iterator[Difference]:
    if isinstance(then, dict) and isinstance(now, dict):
        for key in dict.fromkeys((*then, *now)):
            place = f"{where}.{key}" if where else str(key)
            yield from _differences(then.get(key, NOTHING), now.get(key, NOTHING), place)
    elif isinstance(then, list) and isinstance(now, list):
        items, others = _named(then), _named(now)
        for key in dict.fromkeys((*items, *others)):
            yield from _differences(items.get(key, NOTHING), others.get(key, NOTHING), f"{where}[{key}]")
        before, after = [key for key in items if key in others], [key for key in others if key in items]
        if before != after:
            yield Difference(f"{where}, in this order", before, after)
    elif not _same(then, now):
        yield Difference(where, then, now)


def _same(then: Any, now: Any) -> bool:
    """Return whether two values say the same: true is no number in JSON, and a whole number may be a double."""
    if isinstance(then, bool) is not isinstance(now, bool):
        return False
    return bool(then == now or (isinstance(then, float) and isinstance(now, int) and then == float(now)))


def _named(listed: list[Any]) -> dict[str, Any]:
    """Return the items of a list by what names them: findings by id, days by date, queries by name, others by place."""
    for name in ("id", "date", "name"):
        keys = [item.get(name) for item in listed if isinstance(item, dict)]
        if len(keys) == len(listed) and None not in keys and len(set(keys)) == len(keys):
            return {str(key): item for key, item in zip(keys, listed, strict=True)}
    return {str(place): item for place, item in enumerate(listed)}


def _reasons(differences: Sequence[Difference], statements: Sequence[Difference]) -> Iterator[str]:
    by_place = {each.where: each for each in differences}
    if changed := by_place.get("evidence.policy_digest"):
        yield f"the policy has changed: it was {changed.then}, and is {changed.now}"
    if changed := by_place.get("evidence.rows"):
        yield f"the rows of the snapshot have changed: there were {changed.then:,}, and are {changed.now:,}"
    if "evidence.journal.digest" in by_place:
        yield "the journal of findings has changed before the entry that the report names"
    if statements:
        why = "another version of auditlake made the report, or the policy or the holds of the lake have changed"
        yield f"the statements differ: {why}"
    if any(place.startswith("retention.") for place in by_place):
        yield "retention depends on the lake's other policies and holds, which are those of now"
    if differences and not {"evidence.policy_digest", "evidence.rows"} & set(by_place):
        same = "the policy file and the number of rows are the same"
        yield f"{same}: what no other reason explains was changed in the report or in the data"
