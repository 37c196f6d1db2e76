"""``evidence`` and ``reperform``: a report that others can check, and the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import BOUNDS, Folder, json_option, period_options, policy_argument
from auditlake.cli.output import is_quiet, machine, opened, pick, say, table
from auditlake.display.text import count, visible

_SHOWN_DIFFERENCES = 20


@click.command(epilog=BOUNDS)
@policy_argument(required=False, metavar="[POLICY]")
@click.option("--framework", metavar="ID", shell_complete=completers.packs, help="Pack this framework's report.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The ZIP file to write.")
@period_options()
@json_option("path", "sha256", "files", "events", "findings")
@click.pass_obj
def evidence(path: str, /, policy: str | None, framework: str | None, out: Path, **options: Any) -> None:
    """Pack a report with its SQL, policies, events and digests.

    The pack has the events behind each finding, and can be checked without auditlake. That of a framework has the
    packs, settings and journals that it was judged by instead of events.
    """
    if (policy is None) == (framework is None):
        raise click.UsageError("expected the name of a policy, or --framework with that of a pack")
    if out.suffix.lower() != ".zip":
        raise click.UsageError(f"{out}: expected a name that ends in .zip")
    if out.exists():
        raise click.UsageError(f"{out} is there already: a pack is never overwritten, name another file")
    if framework is not None:
        of_framework = opened(path).frameworks.evidence(framework, out, **options)
        machine(of_framework, events=0, findings=0)
        say(f"{out}: {count(of_framework.files, 'file')}")
        say(f"sha256 {of_framework.sha256}")
        return
    pack = opened(path).evidence(str(policy), out, **options)
    events, findings = sum(pack.events.values()), len(pack.report.report.violations)
    machine(pack, events=events, findings=findings)
    say(f"{out}: {count(pack.files, 'file')}, {count(events, 'event')} behind {count(findings, 'finding')}")
    say(f"sha256 {pack.sha256}")


@click.command()
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json|PACK.zip")
@click.option("--policies", type=Folder(file_okay=False, path_type=Path), help="Judge by the policies in this folder.")
@json_option("policy_id", "as_of", "snapshot", "identical", "differences", "statements", "reasons")
@click.pass_obj
def reperform(path: str, report: Path, policies: Path | None) -> int:
    """Run a report again on its snapshot and compare the numbers.

    The report may be in an evidence pack. The exit code is 1 if a number differs.
    """
    from auditlake.reports.reperform import NOTHING

    done = opened(path).reperform(report, policies=policies)
    what = f"{done.policy_id} as of {done.as_of} on snapshot {done.snapshot}"
    differences = [
        {key: value for key, value in pick(each).items() if value is not NOTHING} for each in done.differences
    ]
    code = DONE if done.identical else NEGATIVE
    if machine(done, differences=differences, statements=[each.where for each in done.statements]):
        return code
    if done.identical:
        say(f"{'numbers the same, statements differ' if done.statements else 'identical'}: {what}")
    else:
        click.echo(f"not identical: {what}")
        if done.differences:
            rows = [(each.where, str(each.then), str(each.now)) for each in done.differences]
            table(("where", "then", "now"), rows[:_SHOWN_DIFFERENCES])
        if (more := len(done.differences) - _SHOWN_DIFFERENCES) > 0:
            click.echo(f"and {more:,} more; --json lists all")
    for reason in () if done.identical and is_quiet() else done.reasons:
        click.echo(visible(reason))
    return code
