"""``finding`` and ``review``: what the policies find, and what people decide about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.decision import period_words, record_of, sentence, tell
from auditlake.cli.options import BOUNDS, instant, json_option, operator_option, option, period_options, policy_argument
from auditlake.cli.output import cell, is_json, machine, opened, pick, say, table
from auditlake.cli.report import tell_faults
from auditlake.display.text import visible
from auditlake.events.times import print_instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditlake.facets.finding_search import Listed

_SHOWN_FINDINGS = 1_000
_FINDING = ("policy_id", "severity", "state", "as_of", "since", "until")
_finding_argument = click.argument("finding_id", metavar="FINDING", shell_complete=completers.findings)
_ticket_option = click.option("--ticket", metavar="ID", help="Where more is written down.")


@click.group()
def finding() -> None:
    """List what policies and controls find, and decide on it.

    An id is the same in every run over the same period. The other commands find it in the period that it was listed
    in, and take the first digits of it that no other id has. With --as-of or a period they look only there.
    """


@finding.command("list", epilog=BOUNDS)
@policy_argument("policies", nargs=-1, metavar="[POLICY|PACK/CONTROL...]")
@click.option("--open", "state", flag_value="open", help="Only open findings.")
@click.option("--accepted", "state", flag_value="accepted", help="Only accepted findings.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most findings; 1,000 in a table, unlimited with --json.",
)
@click.option("--offset", type=click.IntRange(min=0), metavar="N", default=0, help="Skip this many.")
@period_options()
@json_option("total", "findings")
@click.pass_obj
def list_(
    path: str, /, policies: tuple[str, ...], state: str | None, limit: int | None, offset: int, **options: Any
) -> None:
    """List the findings of policies, and those of controls.

    A control has findings of its checks over records, such as missed reviews; what its policies find is listed as
    theirs. It is named by its pack, as pci-dss-4/10.4.1. Without a name, those of every policy and control are listed.
    """
    listing = opened(path).findings.list(*policies, **options)
    findings = [each for each in listing if state in {None, each.state}]
    most = limit or (len(findings) if is_json() else _SHOWN_FINDINGS)
    page = findings[offset : offset + most]
    if machine(total=len(findings), findings=[_as_dict(each) for each in page]):
        tell_faults(listing.faults)
        return
    _table(page)
    is_open = sum(each.state == "open" for each in findings)
    if len(page) < len(findings):
        left = len(findings) - offset - len(page)
        more = f"; --offset {offset + len(page)} shows the next of {left:,} more" if left > 0 else ""
        click.echo(f"{len(page):,} of {len(findings):,} {'is' if len(page) == 1 else 'are'} listed{more}")
    say(f"{len(findings):,} found, {is_open:,} of them open")
    for line in dict.fromkeys(map(_period, page)):
        say(line)
    tell_faults(listing.faults)


@finding.command(epilog=BOUNDS)
@_finding_argument
@period_options()
@json_option(*_FINDING, "the finding's own keys", "journal")
@click.pass_obj
def show(path: str, /, finding_id: str, **options: Any) -> None:
    """Show a finding and the decisions about it."""
    listed, entries = opened(path).findings.show(finding_id, **options)
    record = _as_dict(listed)
    if machine(record | {"journal": [record_of(each) for each in entries]}):
        return
    for name, value in record.items():
        if name != "accepted" and value not in (None, {}):
            click.echo(f"{name + ':':24}{cell(value if not isinstance(value, dict) else _group(value))}")
    for each in entries:
        click.echo(visible(sentence(each)))


@finding.command(epilog=BOUNDS.replace("--until", "--period-until"))
@_finding_argument
@click.option("--reason", required=True, metavar="TEXT", help="Why it is accepted.")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for it.")
@option(
    "--expires", type=instant, required=True, aliases=["--until"], help="When to look at it again: the end of a date."
)
@_ticket_option
@operator_option("by")
@period_options(until=False)
@click.option("--period-until", type=instant, help="End of the period; --as-of by default.")
@json_option("kind", "number", "at", "the entry's own keys")
@click.pass_obj
def accept(path: str, /, finding_id: str, **options: Any) -> None:
    """Accept a finding and later ones like it until a date.

    Accepted findings are shown, and do not count for the status.
    """
    tell(opened(path).findings.accept(finding_id, **options))


@finding.command(epilog=BOUNDS)
@_finding_argument
@click.option("--reason", required=True, metavar="TEXT", help="Why it is open again.")
@operator_option("by")
@period_options()
@json_option("kind", "number", "at", "the entry's own keys")
@click.pass_obj
def reopen(path: str, /, finding_id: str, **options: Any) -> None:
    """Take back the acceptance of a finding."""
    tell(opened(path).findings.reopen(finding_id, **options))


@finding.command(epilog=BOUNDS)
@_finding_argument
@click.option("--note", required=True, metavar="TEXT", help="What was done.")
@_ticket_option
@operator_option("by")
@period_options()
@json_option("kind", "number", "at", "the entry's own keys")
@click.pass_obj
def resolve(path: str, /, finding_id: str, **options: Any) -> None:
    """Write down that a finding was dealt with.

    It is shown as before, and counts for the status as before.
    """
    tell(opened(path).findings.resolve(finding_id, **options))


class Reviews(click.Group):
    """A group whose first word may be left out: ``review POLICY --note …`` is ``review sign POLICY --note …``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the word."""
        common = bool(args) and args[0].partition("=")[0] in {"--lake", "--quiet"} and {*args} & {*self.commands}
        known = not args or args[0] in {*self.commands, *self.get_help_option_names(ctx)}
        return super().parse_args(ctx, args if known or common or ctx.resilient_parsing else ["sign", *args])


@click.group(cls=Reviews)
def review() -> None:
    """Sign a report of a policy or framework off, and list who did.

    `auditlake review POLICY --note TEXT` is short for `auditlake review sign POLICY --note TEXT`.
    """


@review.command("list")
@policy_argument("policies", nargs=-1, metavar="[POLICY...]")
@json_option("reviews")
@click.pass_obj
def list_reviews(path: str, policies: tuple[str, ...]) -> None:
    """List the reviews of all periods in the order of signing.

    Without a name, the reviews of every policy are listed.
    """
    from auditlake.policies.files import refuse_unknown

    lake = opened(path)
    reviews = lake.findings.reviews(*policies)
    for name in policies:
        # A policy that was removed still has its reviews.
        if not any(each.is_about(name) for each in reviews):
            refuse_unknown(lake.layout, name)
    if machine(reviews=[record_of(each) for each in reviews]):
        return
    headings = ("entry", "policies", "status", "since", "until", "reviewed", "by", "note", "ticket", "report")
    table(headings, (
        (each.number, each.policies or (each.policy_id,), each.status.replace("_", " "), each.since, each.until,
         each.at, each.by, each.note, each.ticket, each.report)
        for each in reviews
    ), right=(0,))  # fmt: skip
    if old := [str(each.number) for each in reviews if each.since is None]:
        which = f"entry {old[0]} names" if len(old) == 1 else f"entries {', '.join(old)} name"
        click.echo(f"{which} no period, as reviews did once: no report shows it")


@review.command(epilog=BOUNDS)
@policy_argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option(
    "--pack",
    metavar="PACK",
    shell_complete=completers.packs,
    help="Review for a framework: all policies of its pack if none is named.",
)
@click.option("--note", required=True, metavar="TEXT", help="What the reviewer saw.")
@operator_option("by")
@_ticket_option
@period_options()
@json_option("kind", "number", "at", "the entry's own keys")
@click.pass_obj
def sign(path: str, /, policies: tuple[str, ...], **options: Any) -> None:
    """Sign the reports of policies off (PCI DSS 10.4).

    Every later report of these policies and the same period says who reviewed it when. Several policies need a period
    that is named, those of one pack aside: they answer over one.
    """
    entry, made = opened(path).findings.review(*policies, **options)
    tell(entry)
    for each in made:
        say(f"the report of {each.policy_id} says {each.status.replace('_', ' ')}")
    say(f"{'its JSON has' if len(made) == 1 else 'the list of their JSON has'} {entry.report}")


def _table(listing: Sequence[Listed]) -> None:
    rows = []
    for each in listing:
        seen, accepted = each.finding, each.finding.accepted
        about = ", ".join(filter(None, [seen.event_type, _group(seen.group)]))
        rows.append((
            seen.id, each.state, each.policy_id, seen.kind.replace("_", " "), about, seen.start, seen.end,
            seen.peak, accepted and accepted.owner, accepted and accepted.until,
        ))  # fmt: skip
    headings = ("finding", "state", "found by", "kind", "about", "start", "end", "peak", "owner", "accepted until")
    table(headings, rows, right=(7,))


def _period(listed: Listed) -> str:
    """Return the report that has a finding, so that it can be made again."""
    return f"{listed.policy_id}: as of {print_instant(listed.as_of)}, {period_words(listed.since, listed.until)}"


def _group(group: Any) -> str:
    return ", ".join(f"{column} {value}" for column, value in (group or {}).items())


def _as_dict(listed: Listed) -> dict[str, Any]:
    from auditlake.reports.document import finding_dict

    return pick(listed, *_FINDING) | finding_dict(listed.finding)
