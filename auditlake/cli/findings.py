"""``finding``, ``review``, ``reperform``, ``evidence``: dealing with what was found, and proving it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import cell, machine, opened, plain, table
from auditlake.cli.reporting import EXIT_FINDINGS, Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditlake.findings.model import Entry
    from auditlake.register import Listed

_SHOWN_DIFFERENCES = 20
_BY = "Who has decided: on record beside the user of this process; that user if not given."

_UNTIL = click.option("--until", type=Instant(), help="The end of the period; as-of if not given.")


def _when(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say when findings are looked for, but for ``--until``: an acceptance has its own."""
    for option in reversed((
        click.option("--as-of", type=Instant(), help="Events after it do not exist; now if not given."),
        click.option("--since", type=Instant(), help="The period is (since, until]."),
        click.option("--last", metavar="DURATION", help="Instead of --since: a length back, e.g. 30d."),
        click.option("--period", metavar="NAME", help="Instead of both: 2026, 2026-Q3 or 2026-10."),
        click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group()
def finding() -> None:
    """What the policies find, and who answers for it.

    An id is the same in every run over the same period: what had begun before the period has another id in another one.
    So give show and accept the --as-of and the period that list told (its end is --period-until to accept).
    """


@finding.command("list")
@click.argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--open", "state", flag_value="open", help="Only those that nobody answers for.")
@click.option("--accepted", "state", flag_value="accepted", help="Only those that somebody answers for.")
@_when
@_UNTIL
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_(path: str, /, policies: tuple[str, ...], state: str | None, as_json: bool, **options: Any) -> None:
    """The findings of policies (of all of them if none is named)."""
    found = [each for each in opened(path).findings.list(*policies, **options) if state in {None, each.state}]
    if as_json:
        machine({"findings": [_said(each) for each in found]})
        return
    _table(found)
    is_open = sum(each.state == "open" for each in found)
    click.echo(f"{len(found):,} found, {is_open:,} of them open")
    for line in dict.fromkeys(map(_period, found)):
        click.echo(line)


@finding.command()
@click.argument("finding_id", metavar="FINDING")
@_when
@_UNTIL
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(path: str, /, finding_id: str, as_json: bool, **options: Any) -> None:
    """One finding, and what was decided about it."""
    found, entries = opened(path).findings.show(finding_id, **options)
    if as_json:
        machine({**_said(found), "journal": [_entry(each) for each in entries]})
        return
    for name, value in _said(found).items():
        if name != "accepted" and value not in (None, {}):
            click.echo(f"{name + ':':24}{cell(value if not isinstance(value, dict) else _group(value))}")
    for each in entries:
        click.echo(plain(_sentence(each)))


@finding.command()
@click.argument("finding_id", metavar="FINDING")
@click.option("--reason", required=True, help="Why.")
@click.option("--owner", required=True, help="Who answers for it.")
@click.option("--until", type=Instant(), required=True, help="When it is to be looked at again.")
@click.option("--ticket", help="Where more is said.")
@click.option("--by", help=_BY)
@_when
@click.option("--period-until", type=Instant(), help="The end of the period; as-of if not given.")
@click.pass_obj
def accept(path: str, /, finding_id: str, **options: Any) -> None:
    """Answer for a finding and for later ones like it, until an instant: they do not count for the verdict."""
    click.echo(plain(_sentence(opened(path).findings.accept(finding_id, **options))))


@finding.command()
@click.argument("finding_id", metavar="FINDING")
@click.option("--reason", required=True, help="Why.")
@click.option("--by", help=_BY)
@_when
@_UNTIL
@click.pass_obj
def reopen(path: str, /, finding_id: str, **options: Any) -> None:
    """Take back the acceptance that was given on a finding."""
    click.echo(plain(_sentence(opened(path).findings.reopen(finding_id, **options))))


@click.command()
@click.argument("policy", metavar="POLICY")
@click.option("--note", required=True, help="What there is to say.")
@click.option("--by", help=_BY)
@click.option("--ticket", help="Where more is said.")
@_when
@_UNTIL
@click.pass_obj
def review(path: str, /, policy: str, **options: Any) -> None:
    """Sign a policy's report off: later reports say who looked when (PCI DSS 10.4)."""
    done, made = opened(path).findings.review(policy, **options)
    click.echo(plain(_sentence(done)))
    click.echo(f"the report says {made.status.replace('_', ' ')}; its JSON has {done.report}")


@click.command()
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json")
@click.option("--policies", type=Folder(file_okay=False, path_type=Path), help="Judge by the policies in this folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def reperform(path: str, report: Path, policies: Path | None, as_json: bool) -> None:
    """Do a report again on its snapshot and compare every number; exit with 1 if any differs."""
    done = opened(path).reperform(report, policies=policies)
    if as_json:
        from auditlake.reperform import NOTHING

        said = ({"where": each.where, "then": each.then, "now": each.now} for each in done.differences)
        differences = [{key: value for key, value in each.items() if value is not NOTHING} for each in said]
        machine({
            "policy_id": done.policy_id, "as_of": done.as_of, "snapshot": done.snapshot, "identical": done.identical,
            "differences": differences, "reasons": list(done.reasons),
        })  # fmt: skip
    else:
        what = f"{done.policy_id} as of {done.as_of} on snapshot {done.snapshot}"
        if done.identical:
            click.echo(f"identical: {what}")
        else:
            click.echo(f"not identical: {what}")
            if done.differences:
                rows = [(each.where, str(each.then), str(each.now)) for each in done.differences]
                table(("where", "then", "now"), rows[:_SHOWN_DIFFERENCES])
            if (more := len(done.differences) - _SHOWN_DIFFERENCES) > 0:
                click.echo(f"and {more:,} more; --json lists all")
            for reason in done.reasons:
                click.echo(plain(reason))
    if not done.identical:
        raise click.exceptions.Exit(EXIT_FINDINGS)


@click.command()
@click.argument("policy", metavar="POLICY")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The ZIP file to write.")
@_when
@_UNTIL
@click.pass_obj
def evidence(path: str, /, policy: str, out: Path, **options: Any) -> None:
    """Pack a report with its SQL, its policies, the events behind each finding, and the digests of it all."""
    from auditlake.reports.words import count

    if out.suffix.lower() != ".zip":
        raise click.UsageError(f"{out}: expected a name that ends in .zip")
    if out.exists():
        raise click.UsageError(f"{out} is there already: a pack is never overwritten, name another file")
    done = opened(path).evidence(policy, out, **options)
    events = sum(done.events.values())
    behind = count(len(done.report.report.violations), "finding")
    click.echo(f"{out}: {done.files:,} files, {count(events, 'event')} behind {behind}")
    click.echo(f"sha256 {done.sha256}")


def _table(found: Sequence[Listed]) -> None:
    rows = []
    for each in found:
        seen, accepted = each.finding, each.finding.accepted
        about = seen.event_type or _group(seen.group)
        until = accepted and accepted.until
        rows.append((
            seen.id, each.state, each.policy_id, seen.kind.replace("_", " "), about, seen.start, seen.end, seen.peak,
            accepted and accepted.owner, until,
        ))  # fmt: skip
    headings = ("finding", "state", "policy", "kind", "about", "start", "end", "peak", "owner", "accepted until")
    table(headings, rows, right=(7,))


def _period(listed: Listed) -> str:
    """Of which report a finding is, so that it can be had again."""
    from auditlake.events.times import print_instant

    period = f"({print_instant(listed.since)}, {print_instant(listed.until)}]"
    return f"{listed.policy_id}: as of {print_instant(listed.as_of)}, period {period}"


def _group(group: Any) -> str:
    return ", ".join(f"{column} {value}" for column, value in (group or {}).items())


def _said(listed: Listed) -> dict[str, Any]:
    from auditlake.reports.jsonform import finding_dict

    return {
        "policy_id": listed.policy_id, "severity": listed.severity, "state": listed.state, "as_of": listed.as_of,
        "since": listed.since, "until": listed.until,
        **finding_dict(listed.finding),
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, Any]:
    from auditlake.findings.journal import entry_dict

    return entry_dict(entry)


def _sentence(entry: Entry) -> str:
    from auditlake.findings.model import Acceptance, Review

    when = cell(entry.at)
    if isinstance(entry, Acceptance):
        ticket = f" ({entry.ticket})" if entry.ticket else ""
        accepted = f"{entry.finding_id} accepted until {cell(entry.until)} by {entry.by}"
        return f"{when}: {accepted}, {entry.owner} answers for it: {entry.reason}{ticket}"
    if isinstance(entry, Review):
        return f"{when}: {entry.policy_id} reviewed by {entry.by}: {entry.note}"
    return f"{when}: {entry.finding_id} opened again by {entry.by}: {entry.reason}"


COMMANDS = (finding, review, reperform, evidence)
