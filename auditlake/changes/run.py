"""From one report to another in up to five evaluations, each of which changes one thing: so the differences add up.

====================  ==================  ===============================  ==========  =========
step                  period              rows                             judged by   decisions
====================  ==================  ===============================  ==========  =========
``reported``          of the earlier      the earlier snapshot             the earlier the earlier
``deleted``           of the earlier      the later, of the earlier's time the earlier the earlier
``late``              of the earlier      the later snapshot               the earlier the earlier
``policy``            of the earlier      the later snapshot               the later   the earlier
``decisions``         of the earlier      the later snapshot               the later   the later
``time``              of the later        the later snapshot               the later   the later
====================  ==================  ===============================  ==========  =========
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.changes.compare import compared, controls_changed, placed
from auditlake.changes.evaluate import Evaluation, evaluation_of
from auditlake.changes.model import Changes, Step, StepName
from auditlake.changes.points import Side, Which, sides
from auditlake.changes.words import why
from auditlake.context import LakeContext
from auditlake.display.text import count
from auditlake.errors import PackError, ReportError, SnapshotError
from auditlake.findings.decisions import Entry
from auditlake.findings.journal import concerning, is_about, read
from auditlake.frameworks.as_judged import AsJudged, Files
from auditlake.frameworks.run import JudgedFrameworks, Where
from auditlake.reports.reperform import told_apart
from auditlake.store.batches import batches_of
from auditlake.store.deltalog import row_changes

Judge = Callable[..., AbstractContextManager[JudgedFrameworks]]
_HINT = "reports on record keep what they are judged by; name a folder with the files of then with --policies"
_REWRITTEN = "The bytes of the earlier report are not given again, its numbers are"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one evaluation is about."""

    over: Side
    """Whose period, and whose runs on record."""
    snapshot: int
    arrived_by: int | None
    by: Side
    """Whose policies and packs."""
    decided: Side
    """Whose decisions."""


def changes(
    context: LakeContext,
    judge: Judge,
    subject: str,
    *,
    is_framework: bool,
    before: Which = None,
    after: Which = None,
    policies: str | Path | None = None,
) -> Changes:
    """Say what became different between two reports, and why.

    Args:
        context: The lake.
        judge: Judges policies and packs, as :meth:`auditlake.facets.frameworks.Frameworks.judged` does.
        subject: The policy, or the pack.
        is_framework: Whether it is a pack.
        before: The earlier report: the number of a run, or the path of its JSON; the last run of the same verb and
            schedule before the later one if None.
        after: The later report, likewise; the newest run if None.
        policies: A folder with the policies and packs as the earlier report was judged by; those that the lake has
            by their digests if None.

    Raises:
        ReportError: There are no two such reports, or what one was judged by is not there any more.
        SnapshotError: The later snapshot cannot be read exactly any more.
    """
    first, later = sides(context, subject, is_framework=is_framework, before=before, after=after)
    with TemporaryDirectory(prefix="auditlake-changes-") as folder:
        return _Comparison(context, judge, subject, is_framework, (first, later), Path(folder), policies).run()


class _Comparison:
    def __init__(
        self, context: LakeContext, judge: Judge, subject: str, is_framework: bool, two: tuple[Side, Side],
        folder: Path, policies: str | Path | None,
    ) -> None:  # fmt: skip
        self._context, self._judge, self._subject, self._is_framework = context, judge, subject, is_framework
        self._first, self._later = two
        self._as_judged, self._given = AsJudged(context, folder), policies
        self._files: dict[int, Files] = {}
        self._notes: list[str] = []

    def run(self) -> Changes:
        first, later = self._first.point, self._later.point
        made = version("auditlake")
        for point, which in ((first, "earlier"), (later, "later")):
            if point.version not in (None, made):
                self._notes.append(f"auditlake {point.version} made the {which} report; this is auditlake {made}.")
        if None not in (first.settings, later.settings) and first.settings != later.settings:
            self._notes.append(
                "lake.toml changed between the two reports: all is evaluated by the one that there is now."
            )
        reported, stopped = self._reported()
        steps = [Step("reported", why("reported", first, later), reported.numbers)]
        if not stopped:
            steps += self._steps(reported)
        names = self._later.document or self._first.document or {}
        return Changes(
            self._subject, names.get("policy_name") or names.get("framework") or self._subject, self._is_framework,
            self._context.config.id, first, later, tuple(steps), stopped, tuple(self._notes),
        )  # fmt: skip

    def _reported(self) -> tuple[Evaluation, str]:
        """Return the earlier report, and why nothing can be compared with it; empty where it can."""
        side = self._first
        then = evaluation_of(side.document, side.listed_beside) if side.document else None
        try:
            now, digest = self._evaluated(_Asked(side, side.point.snapshot, None, side, side))
        except SnapshotError as error:
            if then is None:
                raise ReportError(
                    f"the earlier report cannot be made again: {error}",
                    hint="name its JSON, if it was kept, with --from",
                ) from error
            if (every := then.numbers.findings) > (listed := len(then.found)):
                return then, f"its rows are gone, and its JSON lists {listed:,} of its {every:,} findings"
            self._notes.append(f"The earlier report is taken at its word: {error}.")
            return then, ""
        if digest == side.point.report:
            return now, ""
        if then is None:
            same = (now.numbers.status, now.numbers.findings) == (side.point.status, side.findings)
            if same:
                self._notes.append(f"{_REWRITTEN}.")
            return now, "" if same else f"made again, it has the status {now.numbers.status}, not {side.point.status}"
        numbers, _ = told_apart(then.document, now.document)
        if numbers:
            first = numbers[0]
            return then, f"made again, it differs in {len(numbers)} places: {first.where} was {first.then!r}"
        self._notes.append(f"{_REWRITTEN}: the statements behind them are written in another way.")
        return now, ""

    def _steps(self, last: Evaluation) -> Iterator[Step]:
        first, later = self._first, self._later
        newest, old = later.point.snapshot, first.point.snapshot
        asked = {
            "deleted": _Asked(first, newest, old, first, first),
            "late": _Asked(first, newest, None, first, first),
            "policy": _Asked(first, newest, None, later, first),
            "decisions": _Asked(first, newest, None, later, later),
            "time": _Asked(later, newest, None, later, later),
        }
        digest, wanted = "", self._differing()
        names: tuple[StepName, ...] = ("deleted", "late", "policy", "decisions", "time")
        for name in (each for each in names if each in wanted):
            try:
                now, digest = self._evaluated(asked[name])
            except PackError as error:  # a weaker value that was decided between the reports
                if name != "policy" or "decisions" not in wanted:
                    raise
                self._notes.append(f"What the pack and the decisions changed cannot be told apart: {error}.")
                continue
            found = compared(last.found, now.found)
            said = why(
                name, first.point, later.point, last, now, files=(self._judged_by(first), self._judged_by(later)),
                entries=self._concerned(), subject=self._subject,
            )  # fmt: skip
            step = Step(
                name, said, now.numbers,
                placed(found, first.point, later.point) if name == "time" else found,
                controls_changed(last.controls, now.controls, now.was),
            )  # fmt: skip
            if name in ("policy", "decisions", "time") or step.changes or step.controls or now.numbers != last.numbers:
                yield step
            last = now
        if not digest:
            last, digest = self._evaluated(asked["time"])
        self._compare_later(last, digest)

    def _compare_later(self, made: Evaluation, digest: str) -> None:
        """Note where the later report says otherwise than its evaluation."""
        side = self._later
        if digest == side.point.report:
            return
        if side.document is not None:
            if numbers := told_apart(side.document, made.document)[0]:
                self._notes.append(
                    f"The later report, made again, differs in {count(len(numbers), 'place')}: "
                    f"{numbers[0].where} was {numbers[0].then!r}."
                )
        elif (made.numbers.status, made.numbers.findings) != (side.point.status, side.findings):
            self._notes.append(
                f"The later report said {side.point.status!r} with {count(side.findings or 0, 'finding')}; "
                f"made again it says {made.numbers.status!r} with {count(made.numbers.findings, 'finding')}."
            )

    def _concerned(self) -> tuple[Entry, ...]:
        """Return the decisions between the two reports that are about the policy, or the framework."""
        lines = read(self._context.layout)
        between = lines[self._first.point.journal : self._later.point.journal]
        if self._is_framework:
            return tuple(line.entry for line in between if self._is_of_pack(line.entry))
        return tuple(line.entry for line in between if is_about(line.entry, self._subject, lines))

    def _is_of_pack(self, entry: Entry) -> bool:
        """Return whether a decision may be about the framework: one about another pack, or a policy of one, is not."""
        pack = getattr(entry, "pack", None)
        named = str(pack or getattr(getattr(entry, "subject", None), "policy_id", ""))
        is_of_a_pack = pack is not None or "--" in named or "/" in named
        return (
            not is_of_a_pack or named == self._subject or named.startswith((f"{self._subject}/", f"{self._subject}--"))
        )

    def _differing(self) -> set[str]:
        """Return the steps in which something differs, as far as that is known without evaluating."""
        layout, first, later = self._context.layout, self._first.point, self._later.point
        differs = {
            "deleted": bool(row_changes(layout, later.snapshot, since=first.snapshot)),
            "late": batches_of(layout, first.snapshot) != batches_of(layout, later.snapshot),
            "policy": self._judged_by(self._first) != self._judged_by(self._later),
            "decisions": self._decided(first.journal) != self._decided(later.journal),
            "time": (first.as_of, first.since, first.until) != (later.as_of, later.since, later.until)
            or (self._is_framework and self._runs(self._first) != self._runs(self._later)),
        }
        return {name for name, is_so in differs.items() if is_so}

    def _decided(self, entries: int) -> int:
        lines = read(self._context.layout)
        return entries if self._is_framework else concerning(lines, self._subject, entries=entries).entries

    def _evaluated(self, asked: _Asked) -> tuple[Evaluation, str]:
        """Evaluate; return what it gives, and ``sha256:`` of the canonical JSON."""
        over, by = asked.over.point, self._judged_by(asked.by)
        decided_by = None if asked.decided is asked.over else asked.decided.point.as_of
        named: tuple[Any, ...] = ((), (self._subject,)) if self._is_framework else ((self._subject,), None)
        with self._judge(
            *named, only=self._is_framework, again=True, pages=False, arrived_by=asked.arrived_by,
            where=Where(by.packs, self._runs(asked.over), decided_by) if self._is_framework else None,
            as_of=over.as_of, since=over.since, until=over.until, generated_at=over.generated_at,
            snapshot=asked.snapshot, entries=asked.decided.point.journal, policies=self._as_judged.folder(by),
        ) as made:  # fmt: skip
            for faults in made.faults.values():
                raise PackError(faults)
            if self._is_framework:
                data = every = made.frameworks[0].json()
            else:
                report = made.judged.reports[0]
                data = report.json()
                every = report.relisted(len(report.report.violations)).json() if report.whole else data
        document = json.loads(data)
        made_again = evaluation_of(document if every is data else json.loads(every))
        return replace(made_again, document=document), "sha256:" + hashlib.sha256(data).hexdigest()

    def _judged_by(self, side: Side) -> Files:
        """Return the files that a report was judged by.

        Raises:
            ReportError: One is not there any more.
        """
        if id(side) not in self._files:
            given = self._given if side is self._first else None
            if self._is_framework:
                files = self._as_judged.framework(side.document or {}, given)
            else:
                files = self._as_judged.policy(self._subject, side.point.policy, given)
            for name, digest in files.missing.items():
                raise ReportError(f"{name} as it was judged by is not there any more: {digest}", hint=_HINT)
            self._files[id(side)] = files
        return self._files[id(side)]

    def _runs(self, side: Side) -> int | None:
        return None if side.document is None else side.document["evidence"]["runs"]["entries"]
