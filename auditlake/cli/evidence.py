"""``evidence`` and ``reperform``: a report that others can check, and the check."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import DONE, NEGATIVE
from auditlake.cli.options import BOUNDS, Folder, json_option, period_options, policy_argument
from auditlake.cli.output import is_quiet, machine, opened, pick, say, table, warn
from auditlake.display.text import count, visible

_SHOWN_DIFFERENCES = 20


@click.command(epilog=BOUNDS)
@policy_argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--framework", "frameworks", multiple=True, metavar="ID", shell_complete=completers.packs,
              help="Add this framework's report, and those of its policies; given again, several.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The ZIP file to write.")
@period_options()
@json_option("path", "sha256", "files", "events", "findings", "proofs", "unsigned")
@click.pass_obj
def evidence(path: str, /, policies: tuple[str, ...], frameworks: tuple[str, ...], out: Path, **options: Any) -> None:
    """Pack reports with their SQL, events and proofs, signed.

    The pack has the events behind each finding, and can be checked without auditlake: its README.txt says how, with
    sha256sum and openssl. With a framework it has packs, settings and journals too.
    """
    if not policies and not frameworks:
        raise click.UsageError("expected the name of a policy, or --framework with that of a pack")
    if out.suffix.lower() != ".zip":
        raise click.UsageError(f"{out}: expected a name that ends in .zip")
    if out.exists():
        raise click.UsageError(f"{out} is there already: a pack is never overwritten, name another file")
    pack = opened(path).evidence(policies, out, frameworks=frameworks, **options)
    events, proofs = sum(pack.events.values()), sum(pack.proofs.values())
    machine(pack, events=events, proofs=proofs)
    behind = f"{count(events, 'event')} behind {count(pack.findings, 'finding')}, {count(proofs, 'proof')}"
    say(f"{out}: {count(pack.files, 'file')}, {behind}")
    say(f"sha256 {pack.sha256}")
    if pack.unsigned:
        warn(f"note: no key signed it: {pack.unsigned}")


@click.command()
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json|PACK.zip")
@click.option("--policies", type=Folder(file_okay=False, path_type=Path), help="Judge by the policies in this folder.")
@json_option("policy_id", "as_of", "snapshot", "identical", "differences", "statements", "signer", "reasons")
@click.pass_obj
def reperform(path: str, report: Path, policies: Path | None) -> int:
    """Run a report again on its snapshot and compare the numbers.

    The report may be in an evidence pack. The exit code is 1 if a number differs, or if the lake does not know the key
    that signed the pack.
    """
    from auditlake.reports.reperform import NOTHING

    done = opened(path).reperform(report, policies=policies)
    what = f"{done.policy_id} as of {done.as_of} on snapshot {done.snapshot}"
    differences = [
        {key: value for key, value in pick(each).items() if value is not NOTHING} for each in done.differences
    ]
    code = DONE if done.identical and done.signer != "unknown" else NEGATIVE
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
    for reason in () if code is DONE and is_quiet() else done.reasons:
        click.echo(visible(reason))
    return code
