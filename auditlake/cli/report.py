"""``report``: judge policies and write the results."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import FAILED, NEGATIVE
from auditlake.cli.export import print_text
from auditlake.cli.options import (
    BOUNDS,
    Folder,
    Words,
    cache_option,
    engine,
    instant,
    json_option,
    period_options,
    policy_argument,
)
from auditlake.cli.output import is_json, is_quiet, machine, opened, report_progress, say, table, warn
from auditlake.display.text import count
from auditlake.engine.timings import Timings, stage, timed
from auditlake.errors import ReportError
from auditlake.forms.model import FormOptions
from auditlake.forms.table import NAMES, form_named
from auditlake.lake import AuditLake

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.frameworks.framework import Framework
    from auditlake.reports.compliance import ComplianceReport
    from auditlake.site.beside import Fault, Wanted
    from auditlake.site.write import Written

STATUSES = ("violation", "no_data", "compliant", "error")
OF_FRAMEWORKS = ("fail", "not_evaluated")
"""The statuses that ``--fail-on`` takes for frameworks alone; ``no_data`` is one of both."""


@click.command(epilog=BOUNDS)
@policy_argument("policies", nargs=-1, metavar="[POLICY...]")
@period_options(as_of="Events after it do not exist for the report; now by default.")
@click.option("--generated-at", type=instant, help="When the report says it was made; --as-of by default.")
@click.option(
    "--out", type=Folder(file_okay=False, path_type=Path),
    help="Folder to write to; LAKE/reports by default. - prints the one form of --format instead.",
)  # fmt: skip
@click.option(
    "--format",
    "formats",
    type=Words(*NAMES),
    default="json,html",
    show_default=True,
    metavar="FORMAT,...",
    help=f"The files to write of each report: {', '.join(NAMES)}.",
)
@click.option("--raw", is_flag=True, help="CSV: leave text as it is where a spreadsheet would run it.")
@click.option("--annex/--no-annex", default=True, help="PDF: have the SQL as an annex, which is the default, or not.")
@click.option("--template", "templates", multiple=True, metavar="NAME", shell_complete=completers.templates,
              help="Fill LAKE/templates/NAME.*.j2 too, for each report; given again, several.")  # fmt: skip
@click.option("--plan", metavar="HREF", help="OSCAL: the assessment plan that the results belong to.")
@click.option(
    "--form",
    type=click.IntRange(1, 2),
    metavar="N",
    default=2,
    show_default=True,
    help="The version of the JSON's form.",
)
@click.option("--framework", "packs", multiple=True, metavar="ID", shell_complete=completers.packs,
              help="Judge this pack, with the policies that it needs; given again, several.")  # fmt: skip
@click.option("--engine", type=engine, metavar="NAME",
              help="What answers: duckdb, slices (DuckDB part by part, in less memory) or sc://HOST:PORT, a Spark "
                   "Connect server; the report is the same. That of lake.toml by default.")  # fmt: skip
@click.option("--all", "every_control", is_flag=True,
              help="Write a page for every control of a pack, not only for those with findings.")  # fmt: skip
@click.option("--fail-on", type=Words(*STATUSES, *OF_FRAMEWORKS), default=(), metavar="STATUS,...",
              help=f"Exit with 1 if a policy has one of these statuses: {', '.join(STATUSES)}; "
                   f"or a framework: {', '.join(OF_FRAMEWORKS)}, no_data.")  # fmt: skip
@cache_option
@click.option("--timings", "is_timed", is_flag=True,
              help="Tell where the time went, and by which plan each policy was answered.")  # fmt: skip
@json_option("reports", "index", "frameworks", "timings")
@click.pass_obj
def report(
    path: str, /, policies: tuple[str, ...], out: Path | None, formats: tuple[str, ...], fail_on: tuple[str, ...],
    form: int, packs: tuple[str, ...], every_control: bool, raw: bool, plan: str | None, annex: bool,
    templates: tuple[str, ...], is_timed: bool, **options: Any,
) -> None:  # fmt: skip
    """Judge policies and frameworks, and write the reports.

    Without a name, every policy is judged, and every framework of the lake. The exit code is 3 if a policy or a
    framework cannot be judged, or a report does not exist in the form asked for: it is named with the reason, and the
    others are written.

    A status is about the whole period. By default that is the policy's retention period until now, or the
    report_period of lake.toml for a policy without one. auditlake stats shows status_now, that of the last window.
    """
    lake, wishes = opened(path), FormOptions(raw=raw, plan=plan, annex=annex)
    is_printed = out is not None and out.name == "-" == str(out)
    if is_printed and (len(formats) > 1 or is_json()):
        raise click.UsageError("--out - prints one form: name it with --format, and leave --json out")
    if is_printed and (templates or "pdf" in formats):
        raise click.UsageError("PDFs and templates make files: write them with --out FOLDER")
    wanted = _wanted(lake, formats, templates)
    with timed() as timings, stage("judging"), lake.runs.recorded("report") as run:
        judged = run.judged(
            policies, packs or (None if policies else ()), only=bool(packs) and not policies,
            pages=not {"html", "pdf"}.isdisjoint(formats), listen=report_progress(), **options,
        )  # fmt: skip
        made, frameworks = judged.all_reports, judged.frameworks
        lacking = _lacking(made, formats, form)
        formed = [each for each in made if each.policy_id not in lacking]
        if is_printed:
            asked = [each for each in judged.judged.reports if each.policy_id not in lacking]
            data = _joined([*asked, *frameworks], formats[0], form, wishes)
        else:
            with stage("rendering"):
                files = write_pages(
                    lake, formed, frameworks, out, formats, form=form, every_control=every_control, options=wishes,
                    wanted=wanted,
                )  # fmt: skip
    if run.missing:
        warn(f"note: this run is not on record: {run.missing}")
    with suppress(BrokenPipeError):  # a closed pipe does not change the exit code
        if is_printed:
            print_text(data)
        else:
            _tell_written(made, formed, frameworks, files, write_index(lake, out), timings if is_timed else None)
    faults = [(each.policy_id, each.report.error) for each in made if each.report.error is not None]
    faults += [(name or "frameworks.yaml", "; ".join(why)) for name, why in judged.faults.items()]
    statuses: set[str] = {each.status for each in made} | {each.status for each in frameworks}
    is_failed = not statuses.isdisjoint(fail_on)
    for why in (why for policy_id, why in lacking.items() if policy_id not in dict(faults)):
        warn(f"error: {why}")
    unmade = () if is_printed else files.faults
    _tell_unmade(unmade)
    tell_faults(faults, code=NEGATIVE if is_failed else FAILED)
    if is_failed or lacking or unmade:
        raise click.exceptions.Exit(NEGATIVE if is_failed else FAILED)


def _wanted(lake: AuditLake, formats: Sequence[str], templates: Sequence[str]) -> Wanted:
    """Return what confined processes are to make, or refuse what cannot be made before anything is judged."""
    from auditlake.printing.press import refuse_missing
    from auditlake.site.beside import Wanted
    from auditlake.templates.files import read_templates

    if "pdf" in formats:
        refuse_missing()
    folder = read_templates(lake.layout)
    chosen = dict.fromkeys(each for name in templates for each in folder.named(name))
    return Wanted(tuple(chosen), folder, report_progress("making the files of"))


def _tell_unmade(faults: Sequence[Fault]) -> None:
    """Name the reports of which something could not be made, together where the reason is the same."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for each in faults:
        reasons.setdefault((f"{each.error}", each.error.hint), []).append(each.report)
    for (why, hint), reports in reasons.items():
        more = f" and {len(reports) - 3:,} more" if len(reports) > 3 else ""
        warn(f"error: {', '.join(reports[:3])}{more}: {why}")
        warn(f"  {hint}")


def _joined(
    made: Sequence[ComplianceReport | Framework], name: str, version: int, wishes: FormOptions
) -> bytes:  # fmt: skip
    """Return reports in one form, to be printed."""
    from auditlake.reports.compliance import ComplianceReport

    between = form_named(name).between
    if len(made) > 1 and between is None:
        several = f"{len(made):,} reports are no single {name}"
        raise click.UsageError(f"{several}: name one policy or --framework, or write files with --out FOLDER")
    return (
        (between or "")
        .encode()
        .join(
            each.json(version)
            if name == "json" and isinstance(each, ComplianceReport)
            else each.to(name, raw=wishes.raw, plan=wishes.plan)
            for each in made
        )
    )


def _tell_written(
    made: Sequence[ComplianceReport], formed: Sequence[ComplianceReport],
    frameworks: Sequence[Framework], files: Written, index: Path, timings: Timings | None,
) -> None:  # fmt: skip
    written = dict(zip((id(each) for each in formed), files.reports, strict=True))
    reports = [_as_dict(each, written.get(id(each), ())) for each in made]
    of_frameworks = [_of_framework(each, own) for each, own in zip(frameworks, files.frameworks, strict=True)]
    took = None if timings is None else {
        "seconds": timings.seconds, "statements": timings.statements, "plans": timings.plans,
    }  # fmt: skip
    is_told = machine(reports=reports, index=index, frameworks=of_frameworks, timings=took)
    if timings is not None and not is_told:
        _tell_timings(timings)
    if not (is_told or is_quiet()):
        show_statuses(made)
        show_frameworks(frameworks)
        say(f"reports in {index.parent}; begin with {index.name}")


def _tell_timings(timings: Timings) -> None:
    """Say where the time went."""
    parts = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in timings.seconds.items())
    warn(f"time: {parts}; {count(timings.statements, 'statement')}")
    for policy_id, plan in timings.plans.items():
        warn(f"plan of {policy_id}: {plan}")


def _lacking(made: Sequence[ComplianceReport], formats: Sequence[str], form: int) -> dict[str, str]:
    """Return, by policy, why its report cannot be written in an earlier form."""
    from auditlake.reports.document import REPORT_VERSION

    reasons = {}
    for each in made if "json" in formats and form != REPORT_VERSION else ():
        try:
            each.json(form)
        except ReportError as error:
            reasons[each.policy_id] = f"{error} ({error.hint})" if error.hint else f"{error}"
    return reasons


def tell_faults(faults: Sequence[tuple[str, str]], *, code: int = FAILED) -> None:
    """Name the policies that could not be judged, and exit if there are any."""
    for policy_id, why in faults:
        warn(f"error: {policy_id} could not be judged: {why}")
    if faults:
        raise click.exceptions.Exit(code)


def write_pages(
    lake: AuditLake, made: Sequence[ComplianceReport], frameworks: Sequence[Framework], out: Path | None,
    formats: Sequence[str], *, form: int = 2, every_control: bool = False, options: FormOptions | None = None,
    wanted: Wanted | None = None,
) -> Written:  # fmt: skip
    """Write reports of policies and frameworks, and the pages of controls."""
    from auditlake.site.beside import Wanted
    from auditlake.site.index import check_index
    from auditlake.site.write import write_site

    if out is not None:
        check_index(out)
    folder = out or lake.layout.reports
    return write_site(
        made, frameworks, folder, formats=formats, form=form, every_control=every_control,
        options=options or FormOptions(), wanted=wanted or Wanted(),
    )  # fmt: skip


def write_index(lake: AuditLake, out: Path | None) -> Path:
    """Write the page that leads to all others, with the run that was just put on record."""
    from auditlake.site import index

    return index.write_index(out or lake.layout.reports, lake.layout)


def show_frameworks(frameworks: Sequence[Framework]) -> None:
    """Print the table of frameworks, with the numbers in a sentence."""
    if frameworks:
        rows = [(each.pack_id, each.report.verdict, each.report.sentence) for each in frameworks]
        table(("framework", "verdict", "controls"), rows)


def _of_framework(made: Framework, files: Sequence[Path]) -> dict[str, Any]:
    report = made.report
    return {
        "pack_id": report.pack_id, "status": report.status, "verdict": report.verdict, "as_of": report.as_of,
        "snapshot": report.evidence.snapshot, "controls": {each.id: each.status for each in report.controls},
        "files": [str(file) for file in files],
    }  # fmt: skip


def show_statuses(made: Sequence[ComplianceReport]) -> None:
    """Print the table of statuses."""
    from auditlake.findings.many import numbers_by_kind

    rows, asked = [], any(each.report.coverage.fields for each in made)
    for each in made:
        document = each.report
        found = numbers_by_kind(document.violations)
        numbers = (
            document.total_events, document.threshold and document.threshold.episodes,
            found["missing_required_type"], found["coverage_gap"],
            *((found["field_incomplete"],) * asked), len(document.coverage.silent_days),
        )  # fmt: skip
        known = (None,) * len(numbers) if document.is_unread else numbers
        rows.append((document.policy_id, each.status.replace("_", " "), *known, document.since, document.until))
    fields = ("incomplete",) * asked
    headings = ("policy", "status", "events", "episodes", "missing", "gaps", *fields, "silent", "period from", "to")
    table(headings, rows, right=(2, 3, 4, 5, 6, *((7,) * asked)))
    newest = max((last for each in made for last in each.report.last_seen.values() if last), default=None)
    if newest and any(each.status == "no_data" for each in made):
        day = f"{newest:%Y-%m-%d}"
        click.echo(f"no data in the period; the newest governed event is of {day}: --as-of or --period judge then")


def _as_dict(made: ComplianceReport, files: Sequence[Path]) -> dict[str, Any]:
    document = made.report
    return {
        "policy_id": document.policy_id, "status": document.status, "status_now": document.status_now,
        "as_of": document.as_of, "snapshot": document.evidence.snapshot, "findings": len(document.violations),
        **({"error": document.error} if document.error else {}), "files": [str(file) for file in files],
    }  # fmt: skip
