"""``finding``, ``review``, ``reperform``, ``evidence``: dealing with what was found, and proving it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.output import cell, machine, opened, plain, table
from auditlake.cli.report import EXIT_FINDINGS, Folder, tell_faults
from auditlake.display.text import count

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from auditlake.findings.decisions import Entry
    from auditlake.findings.register import Listed

_SHOWN_DIFFERENCES = 20
_SHOWN_FINDINGS = 1_000
_BY = "Who has decided: on record beside the user of this process; that user if not given."

_UNTIL = click.option("--until", type=Instant(), help="The end of the period; as-of if not given.")


def _when(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say when findings are looked for, but for ``--until``: an acceptance has its own."""
    for option in reversed((
        click.option("--as-of", type=Instant(), help="Events after it do not exist; now if not given."),
        click.option("--since", type=Instant(), help="The period is (since, until]."),
        click.option("--last", metavar="DURATION", help="Instead of --since: a length back, e.g. 30d."),
        click.option("--period", metavar="NAME", help="Instead of both: 2026, 2026-Q3, 2026-10 or a day."),
        click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read."),
    )):  # fmt: skip
        command = option(command)
    return command


@click.group()
def finding() -> None:
    """What the policies find, and who answers for it.

    An id is the same in every run over the same period. Show, accept and reopen find it in the period that it was
    listed in, and take as much of its beginning as no other id has; with --as-of or a period they look there alone.
    """


@finding.command("list")
@click.argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--open", "state", flag_value="open", help="Only those that nobody answers for.")
@click.option("--accepted", "state", flag_value="accepted", help="Only those that somebody answers for.")
@click.option("--limit", type=click.IntRange(min=1), help="So many at most; 1,000 in a table, all with --json.")
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Leave out so many of the first.")
@_when
@_UNTIL
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_(
    path: str, /, policies: tuple[str, ...], state: str | None, as_json: bool, limit: int | None, offset: int,
    **options: Any,
) -> None:  # fmt: skip
    """The findings of policies (of all of them if none is named)."""
    listing = opened(path).findings.list(*policies, **options)
    found = [each for each in listing if state in {None, each.state}]
    most = limit or (len(found) if as_json else _SHOWN_FINDINGS)
    page = found[offset : offset + most]
    if as_json:
        machine({"total": len(found), "findings": [_said(each) for each in page]})
        tell_faults(listing.faults)
        return
    _table(page)
    is_open = sum(each.state == "open" for each in found)
    if len(page) < len(found):
        left = len(found) - offset - len(page)
        more = f"; --offset {offset + len(page)} shows the next of {left:,} more" if left > 0 else ""
        click.echo(f"{len(page):,} of {len(found):,} {'is' if len(page) == 1 else 'are'} listed{more}")
    click.echo(f"{len(found):,} found, {is_open:,} of them open")
    for line in dict.fromkeys(map(_period, page)):
        click.echo(line)
    tell_faults(listing.faults)


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
@click.option("--expires", type=Instant(), help="When it is to be looked at again: a date with all of it.  [required]")
@click.option("--until", type=Instant(), hidden=True)  # what --expires was called before
@click.option("--ticket", help="Where more is said.")
@click.option("--by", help=_BY)
@_when
@click.option("--period-until", type=Instant(), help="The end of the period; as-of if only its beginning is given.")
@click.pass_obj
def accept(path: str, /, finding_id: str, **options: Any) -> None:
    """Answer for a finding and for later ones like it until it expires: they do not count for the verdict."""
    if (options["expires"] is None) == (options["until"] is None):
        raise click.UsageError("Missing option '--expires'.")
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


class Reviews(click.Group):
    """A group whose first word may be left out: ``review POLICY --note …`` is ``review sign POLICY --note …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the word there."""
        known = {*self.commands, *self.get_help_option_names(ctx)}
        return super().parse_args(ctx, args if not args or args[0] in known else ["sign", *args])


@click.group(cls=Reviews)
def review() -> None:
    """Sign a policy's report off, and list who did.

    `auditlake review POLICY --note TEXT` is short for `auditlake review sign POLICY --note TEXT`.
    """


@review.command("list")
@click.argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_reviews(path: str, policies: tuple[str, ...], as_json: bool) -> None:
    """All reviews of all periods (of all policies if none is named), in the order in which they were given."""
    found = opened(path).findings.reviews(*policies)
    if as_json:
        machine({"reviews": [_entry(each) for each in found]})
        return
    headings = ("entry", "policies", "said", "since", "until", "reviewed", "by", "note", "ticket", "report")
    table(headings, (
        (each.number, each.policies or (each.policy_id,), each.status.replace("_", " "), each.since, each.until,
         each.at, each.by, each.note, each.ticket, each.report)
        for each in found
    ), right=(0,))  # fmt: skip
    if old := [str(each.number) for each in found if each.since is None]:
        which = f"entry {old[0]} says" if len(old) == 1 else f"entries {', '.join(old)} say"
        click.echo(f"{which} of no period, as reviews did once: no report shows it")


@review.command()
@click.argument("policy", metavar="POLICY")
@click.option("--note", required=True, help="What there is to say.")
@click.option("--by", help=_BY)
@click.option("--ticket", help="Where more is said.")
@_when
@_UNTIL
@click.pass_obj
def sign(path: str, /, policy: str, **options: Any) -> None:
    """Sign a policy's report off: every later report of the same period says who looked when (PCI DSS 10.4)."""
    done, made = opened(path).findings.review(policy, **options)
    click.echo(plain(_sentence(done)))
    click.echo(f"the report says {made.status.replace('_', ' ')}; its JSON has {done.report}")


@click.command()
@click.argument("report", type=click.Path(dir_okay=False, path_type=Path), metavar="REPORT.json")
@click.option("--policies", type=Folder(file_okay=False, path_type=Path), help="Judge by the policies in this folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def reperform(path: str, report: Path, policies: Path | None, as_json: bool) -> None:
    """Do a report, or that of an evidence pack, again on its snapshot; exit with 1 if any number differs."""
    done = opened(path).reperform(report, policies=policies)
    if as_json:
        from auditlake.reports.reperform import NOTHING

        said = ({"where": each.where, "then": each.then, "now": each.now} for each in done.differences)
        differences = [{key: value for key, value in each.items() if value is not NOTHING} for each in said]
        machine({
            "policy_id": done.policy_id, "as_of": done.as_of, "snapshot": done.snapshot, "identical": done.identical,
            "differences": differences, "statements": [each.where for each in done.statements],
            "reasons": list(done.reasons),
        })  # fmt: skip
    else:
        what = f"{done.policy_id} as of {done.as_of} on snapshot {done.snapshot}"
        if done.identical:
            click.echo(f"{'numbers the same, statements differ' if done.statements else 'identical'}: {what}")
            for reason in done.reasons:
                click.echo(plain(reason))
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
    if out.suffix.lower() != ".zip":
        raise click.UsageError(f"{out}: expected a name that ends in .zip")
    if out.exists():
        raise click.UsageError(f"{out} is there already: a pack is never overwritten, name another file")
    done = opened(path).evidence(policy, out, **options)
    events = sum(done.events.values())
    behind = count(len(done.report.report.violations), "finding")
    click.echo(f"{out}: {count(done.files, 'file')}, {count(events, 'event')} behind {behind}")
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

    return f"{listed.policy_id}: as of {print_instant(listed.as_of)}, {_stretch(listed.since, listed.until)}"


def _stretch(since: datetime, until: datetime) -> str:
    from auditlake.events.times import print_instant

    return f"period ({print_instant(since)}, {print_instant(until)}]"


def _group(group: Any) -> str:
    return ", ".join(f"{column} {value}" for column, value in (group or {}).items())


def _said(listed: Listed) -> dict[str, Any]:
    from auditlake.reports.document import finding_dict

    return {
        "policy_id": listed.policy_id, "severity": listed.severity, "state": listed.state, "as_of": listed.as_of,
        "since": listed.since, "until": listed.until,
        **finding_dict(listed.finding),
    }  # fmt: skip


def _entry(entry: Entry) -> dict[str, Any]:
    from auditlake.findings.journal import entry_dict

    return entry_dict(entry)


def _sentence(entry: Entry) -> str:
    from auditlake.findings.decisions import Acceptance, Review

    when = cell(entry.at)
    if isinstance(entry, Acceptance):
        ticket = f" ({entry.ticket})" if entry.ticket else ""
        accepted = f"{entry.finding_id} accepted until {cell(entry.until)} by {entry.by}"
        return f"{when}: {accepted}, {entry.owner} answers for it: {entry.reason}{ticket}"
    if isinstance(entry, Review):
        period = f", {_stretch(entry.since, entry.until)}," if entry.since and entry.until else ""
        return f"{when}: {entry.policy_id}{period} reviewed by {entry.by}: {entry.note}"
    return f"{when}: {entry.finding_id} opened again by {entry.by}: {entry.reason}"


COMMANDS = (finding, review, reperform, evidence)
