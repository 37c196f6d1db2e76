"""``report``: judge policies and write what was found."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import machine, opened, plain, report_progress, table
from auditlake.errors import ReportError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from auditlake.lake import AuditLake
    from auditlake.reports.compliance import ComplianceReport

STATUSES = ("violation", "no_data", "compliant", "error")
EXIT_FINDINGS = 1
EXIT_NOT_JUDGED = 3


def _listed(allowed: tuple[str, ...]) -> Any:
    """A callback for options that take several words with commas between."""

    def split(_context: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
        words = () if value is None else tuple(word.strip() for word in value.split(","))
        if wrong := [word or "nothing" for word in words if word not in allowed]:
            raise click.BadParameter(f"expected some of {', '.join(allowed)}, got {wrong[0]}", param=param)
        return words

    return split


class Folder(click.Path):
    """A folder, there or not."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read it; the text of a variable that is not set is none, and would be taken for the folder one is in."""
        return super().convert(value, param, ctx) if value else self.fail("expected a folder, got nothing", param, ctx)


@click.command()
@click.argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--as-of", type=Instant(), help="Events after it do not exist for the report; now if not given.")
@click.option("--since", type=Instant(), help="The period is (since, until].")
@click.option("--until", type=Instant())
@click.option("--last", metavar="DURATION", help="Instead of --since: a length back, e.g. 30d.")
@click.option("--period", metavar="NAME", help="Instead of both: 2026, 2026-Q3, 2026-10 or a day.")
@click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read.")
@click.option("--generated-at", type=Instant(), help="What the report says about when it was made; as-of if not given.")
@click.option("--out", type=Folder(file_okay=False, path_type=Path), help="Where to write; LAKE/reports if not given.")
@click.option("--format", "formats", default="json,html", show_default=True, callback=_listed(("json", "html")))
@click.option("--form", type=click.IntRange(1, 2), default=2, show_default=True, help="The version of the JSON's form.")
@click.option("--fail-on", callback=_listed(STATUSES), metavar="STATUS,...", help="Exit with 1 on any of these.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def report(
    path: str, /, policies: tuple[str, ...], out: Path | None, formats: tuple[str, ...], fail_on: tuple[str, ...],
    as_json: bool, as_of: date | None, form: int, **options: Any,
) -> None:  # fmt: skip
    """Judge policies (all of them if none is named) and write JSON and HTML reports.

    Exits with 3 if a policy could not be judged, or its report has not the form that is asked for: it is named with the
    reason, and the others are written all the same.

    A verdict is about the whole period: unless another is asked for, the policy's retention period back, or where it
    has none, the report_period of lake.toml. How its last window stands is status_now, which auditlake stats shows.
    """
    lake = opened(path)
    made = lake.reports(
        *policies, as_of=as_of, pages="html" in formats, listen=report_progress(quiet=as_json), **options
    )
    lacking = _lacking(made, formats, form)
    formed = [each for each in made if each.policy_id not in lacking]
    paths, index = write_reports(lake, formed, out, formats, form)
    written = dict(zip((each.policy_id for each in formed), paths, strict=True))
    with suppress(BrokenPipeError):  # the exit code says what was found, whoever still reads
        if as_json:
            found = [_summary(each, written.get(each.policy_id, ())) for each in made]
            machine({"reports": found, "index": index})
        else:
            show_verdicts(made)
            click.echo(f"reports in {index.parent}; begin with {index.name}")
    faults = [(each.policy_id, each.report.error) for each in made if each.report.error is not None]
    is_failed = any(each.status in fail_on for each in made)
    for why in (why for policy_id, why in lacking.items() if policy_id not in dict(faults)):
        click.echo(plain(f"error: {why}"), err=True)
    tell_faults(faults, code=EXIT_FINDINGS if is_failed else EXIT_NOT_JUDGED)
    if is_failed or lacking:
        raise click.exceptions.Exit(EXIT_FINDINGS if is_failed else EXIT_NOT_JUDGED)


def _lacking(made: Sequence[ComplianceReport], formats: Sequence[str], form: int) -> dict[str, str]:
    """Why reports cannot be written in an earlier form, by policy: they do not keep the others from being written."""
    from auditlake.reports.document import REPORT_VERSION

    found = {}
    for each in made if "json" in formats and form != REPORT_VERSION else ():
        try:
            each.json(form)
        except ReportError as error:
            found[each.policy_id] = f"{error} ({error.hint})" if error.hint else f"{error}"
    return found


def tell_faults(faults: Sequence[tuple[str, str]], *, code: int = EXIT_NOT_JUDGED) -> None:
    """Name the policies that could not be judged, and exit if there are any: all else has been told."""
    for policy_id, why in faults:
        click.echo(plain(f"error: {policy_id} could not be judged: {why}"), err=True)
    if faults:
        raise click.exceptions.Exit(code)


def write_reports(
    lake: AuditLake, made: Sequence[ComplianceReport], out: Path | None, formats: Sequence[str], form: int = 2
) -> tuple[list[tuple[Path, ...]], Path]:
    """Write reports and the list of what lies in the folder; give both."""
    from auditlake.reports import compliance, index

    folder = out or lake.layout.reports
    if out is not None:
        index.check_index(out)
    return compliance.write_reports(made, folder, formats, form=form), index.write_index(folder, lake.layout)


def show_verdicts(made: Sequence[ComplianceReport]) -> None:
    """The verdict table."""
    rows = []
    for each in made:
        said = each.report
        kinds = [finding.kind for finding in said.violations]
        numbers = (
            said.total_events, said.threshold and said.threshold.episodes, kinds.count("missing_required_type"),
            kinds.count("coverage_gap"), len(said.coverage.silent_days),
        )  # fmt: skip
        known = (None,) * len(numbers) if said.is_unread else numbers
        rows.append((said.policy_id, said.status.replace("_", " "), *known, said.since, said.until))
    headings = ("policy", "verdict", "events", "episodes", "missing", "gaps", "silent", "period from", "to")
    table(headings, rows, right=(2, 3, 4, 5, 6))
    newest = max((last for each in made for last in each.report.last_seen.values() if last), default=None)
    if newest and any(each.status == "no_data" for each in made):
        day = f"{newest:%Y-%m-%d}"
        click.echo(f"no data in the period; the newest governed event is of {day}: --as-of or --period judge then")


def _summary(made: ComplianceReport, files: Sequence[Path]) -> dict[str, Any]:
    said = made.report
    return {
        "policy_id": said.policy_id, "status": said.status, "status_now": said.status_now, "as_of": said.as_of,
        "snapshot": said.evidence.snapshot, "findings": len(said.violations),
        **({"error": said.error} if said.error else {}), "files": [str(file) for file in files],
    }  # fmt: skip


COMMANDS = (report,)
