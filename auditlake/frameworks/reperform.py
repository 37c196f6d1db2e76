"""A framework report done again: the same pack, settings and journals on the same snapshot, compared value by value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.context import LakeContext
from auditlake.disk import evidence_json
from auditlake.disk.files import read_file
from auditlake.display.text import count
from auditlake.errors import HoldError, LakeFormatError, PackError, PolicyError, ReportError, SnapshotError
from auditlake.frameworks.as_judged import AsJudged, Files
from auditlake.frameworks.document import check_framework
from auditlake.frameworks.run import JudgedFrameworks, Where
from auditlake.ledger.keys import read_public_key
from auditlake.packs.effective import LakePacks, read_packs
from auditlake.policies.holds import binding, holds_in
from auditlake.reports.evidence_pack import Unpacked, unpacked
from auditlake.reports.reperform import Difference, Reperformance, Signer, read_report, reperform, told_apart
from auditlake.verify.tree import earlier_keys

Judge = Callable[..., AbstractContextManager[JudgedFrameworks]]
_SAID = {
    "evidence.pack_digest": "the pack has changed", "evidence.base_digest": "the pack that it extends has changed",
    "evidence.settings_digest": "frameworks.yaml has changed",
    "evidence.journal.digest": "the journal of findings has changed before the entry that the report names",
    "evidence.runs.digest": "the journal of runs has changed before the entry that the report names",
    "evidence.rows": "the rows of the snapshot have changed",
    "evidence.holds": "the legal holds are other ones: one was added, removed or changed, or a person was erased",
    "evidence.places_digest": "where personal data lies is said otherwise now, by lake.toml or by a mapping",
}  # fmt: skip
_EARLIER = "it is judged by policies as they were then: the lake has others now"
_REPORT = re.compile(r"policies\[(.*)\]\.report")
"""Why a report differs, by the place that tells."""


def reperform_any(
    context: LakeContext, judge: Judge, path: Path, *, policies: str | Path | None = None
) -> Reperformance:
    """Do a report of a policy or of a framework again.

    Args:
        context: The lake.
        judge: Judges policies and packs, as :meth:`auditlake.facets.frameworks.Frameworks.judged` does.
        path: The report's JSON, or an evidence pack (``.zip``), which is checked first.
        policies: A folder with the policies as they were then; those in the pack, else the lake's, if None.

    Raises:
        ReportError: The file is no report or whole pack, or one of another lake.
    """
    if path.suffix != ".zip":
        return _any(context, judge, path, None, policies)
    with unpacked(path) as pack:
        there = policies or pack.folder / "policies"
        done = [_any(context, judge, pack.folder / each, pack.folder, there) for each in pack.reports]
        signer, said = _signer(context, pack)
    whole = done[0] if len(done) == 1 else _together(done)
    return replace(whole, reasons=(*whole.reasons, said) if said else whole.reasons, signer=signer)


def _signer(context: LakeContext, pack: Unpacked) -> tuple[Signer, str]:
    """Return who signed a pack, and what a reader must know of that."""
    if not (key := pack.signed_by):
        return "none", "no key signed the pack: what it is judged by is what its maker put into it"
    own = read_public_key(context.layout)
    if own is not None and str(own) == key:
        return "own", ""
    if (entry := earlier_keys(context.layout).get(key)) is None:
        return "unknown", f"the lake knows no key {key}, which signed the pack: compare it with those that were kept"
    if not pack.entries:
        return "unknown", "an earlier key of the lake signed the pack, which has no checkpoint that says when"
    if pack.entries > entry:
        counted = count(pack.entries, "entry", "entries")
        since = f"its checkpoint counts {counted}, and another key followed at entry {entry}"
        return "unknown", f"an earlier key of the lake signed the pack after its time: {since}"
    kept = f"another followed at entry {entry}, and a person who kept the earlier key can still sign with it"
    return "earlier", f"an earlier key of the lake signed the pack: {kept}"


def _any(
    context: LakeContext, judge: Judge, path: Path, folder: Path | None, policies: str | Path | None
) -> Reperformance:
    framework = _framework(path)
    own = context.config.id
    with TemporaryDirectory(prefix="auditlake-as-judged-") as name:
        files, as_judged = None, AsJudged(context, Path(name))
        if policies is None and framework is None:
            then = read_report(path)
            if then["evidence"]["lake_id"] == own:
                files = as_judged.policy(then["policy_id"], then["evidence"]["policy_digest"])
        elif folder is None and framework is not None and framework["evidence"]["lake_id"] == own:
            files = as_judged.framework(framework)
        if policies is None and files is not None:
            policies = as_judged.folder(files)
        if framework is None:
            done = reperform(path, own, _judge_policy(judge), policies=policies)
        else:
            done = _again(context, judge, path, framework, folder, files, policies)
    said = () if files is None or files.in_lake else (_EARLIER,)
    return replace(done, reasons=(*done.reasons, *said))


def _together(done: Sequence[Reperformance]) -> Reperformance:
    """Return what doing several reports again gave, each place with the report that it is of."""

    def of_each(name: str) -> tuple[Difference, ...]:
        return tuple(
            replace(each, where=f"{one.policy_id}: {each.where}") for one in done for each in getattr(one, name)
        )

    return Reperformance(
        ", ".join(one.policy_id for one in done), done[0].as_of, done[0].snapshot, all(one.identical for one in done),
        of_each("differences"), tuple(f"{one.policy_id}: {why}" for one in done for why in one.reasons),
        of_each("statements"),
    )  # fmt: skip


def _judge_policy(judge: Judge) -> Callable[..., Any]:
    def again(policy_id: str, **options: Any) -> Sequence[Any]:
        with judge((policy_id,), None, again=True, **options) as made:
            return made.judged.reports

    return again


def _framework(path: Path) -> dict[str, Any] | None:
    """Return a framework report's JSON; None if the file is something else."""
    try:
        report = evidence_json.parse(read_file(path))
    except (OSError, ValueError, RecursionError):
        return None  # told by whoever takes it for a report of a policy
    if not isinstance(report, dict) or "framework_version" not in report:
        return None
    try:
        check_framework(report)
    except ReportError as error:
        message = f"{path} is no framework report of auditlake: {' '.join(str(error).split())[:300]}"
        raise ReportError(message, hint="expected the JSON that auditlake report writes") from error
    return report


def _again(
    context: LakeContext, judge: Judge, path: Path, then: Mapping[str, Any], folder: Path | None, files: Files | None,
    policies: str | Path | None,
) -> Reperformance:  # fmt: skip
    evidence, pack_id, types = then["evidence"], then["pack_id"], context.config.event_types
    if evidence["lake_id"] != context.config.id:
        message = f"{path} is a report of lake {evidence['lake_id']}, not of this one, {context.config.id}"
        raise ReportError(message, hint="name the lake that it was made from with --lake")
    which = (pack_id, then["as_of"], evidence["snapshot"])
    period = {name: datetime.fromisoformat(text) for name, text in then["period"].items()}
    try:
        holds = None if folder is None else binding(context.layout, holds_in(folder / "holds", types))
        packs = files.packs if files else None if folder is None else _packed(context, folder)
        where = Where(packs, evidence["runs"]["entries"], holds=holds)
        with judge(
            (), (pack_id,), only=True, again=True, where=where, as_of=then["as_of"], **period,
            snapshot=evidence["snapshot"], generated_at=then["generated_at"],
            entries=evidence["journal"]["entries"], pages=False, policies=policies,
        ) as judged:  # fmt: skip
            for why in judged.faults.values():
                raise PackError(why)
            now = json.loads(judged.frameworks[0].json())
    except (PackError, PolicyError, HoldError, SnapshotError, ReportError, LakeFormatError) as error:
        return Reperformance(*which, identical=False, differences=(), reasons=(str(error),))
    differences, statements = told_apart(then, now)
    return Reperformance(*which, not differences, differences, tuple(_reasons(differences)), statements)


def _packed(context: LakeContext, folder: Path) -> LakePacks:
    """Return the packs that are in an evidence pack."""
    there = folder / "frameworks.yaml"
    files = {each.stem: each.read_bytes() for each in folder.glob("packs/*.yaml")}
    settings = there.read_bytes() if there.is_file() else None
    return read_packs(files, settings, context.config.event_types, is_later=True)


def _reasons(differences: Sequence[Difference]) -> Iterator[str]:
    places = {each.where for each in differences}
    said = [why for place, why in _SAID.items() if any(each.partition("[")[0] == place for each in places)]
    if reports := sorted(match[1] for each in places if (match := _REPORT.fullmatch(each))):
        said.append(f"the reports of {', '.join(reports)} have other bytes: each done again by itself says where")
    yield from said
    if differences and not said:
        yield "no file that the report names has changed: the report or the data was, or what the lake is judged by"
