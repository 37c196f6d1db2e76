"""``runs``: which reports were evaluated when, with which answers, and when the lake was verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.options import BOUNDS, instant, json_option, policy_argument
from auditlake.cli.output import machine, opened, table
from auditlake.display.text import count

if TYPE_CHECKING:
    from auditlake.runs.model import Entry


@click.command(epilog=BOUNDS)
@policy_argument("policies", nargs=-1, metavar="[POLICY...]")
@click.option("--since", type=instant, help="Only what began then or later.")
@click.option("--until", type=instant, help="Only what began then or before.")
@json_option("runs")
@click.pass_obj
def runs(path: str, /, policies: tuple[str, ...], **options: Any) -> None:
    """List evaluations, verifications, and schedules in force.

    auditlake report, nightly and schedule run leave a line each, verify does, and so does the next run for one that
    nobody finished, and for schedules that have changed. Only runs that judged a policy are listed if one is named. The
    oldest comes first.
    """
    from auditlake.policies.files import refuse_unknown
    from auditlake.runs.journal import entry_dict

    lake = opened(path)
    entries = lake.runs.all(*policies, **options)
    for name in () if entries else policies:  # a policy that was removed still has its runs
        refuse_unknown(lake.layout, name)
    if machine(runs=[entry_dict(each) for each in entries]):
        return
    headings = ("entry", "began", "what", "result", "as of", "snapshot", "user", "said")
    table(headings, (_row(each, policies) for each in entries), right=(0, 5))


def _row(entry: Entry, policies: tuple[str, ...]) -> tuple[Any, ...]:
    from auditlake.runs.model import Declaration, FailedRun, PackedEvidence, Pruning, Verification, asked_by

    first = (entry.number, entry.began)
    if isinstance(entry, Declaration):
        said = "; ".join(f"{name} every {each.every} at {each.at}" for name, each in entry.schedules.items())
        return *first, "schedules", "from now on", None, None, entry.user, said or "none"
    if isinstance(entry, PackedEvidence):
        said = f"a pack of {', '.join(entry.about)}, sha256 {entry.sha256[:16]}…"
        return *first, "evidence", "written", entry.as_of, entry.snapshot, entry.user, said
    if isinstance(entry, Pruning):
        said = f"{count(len(entry.pages), 'page')} from before {entry.before:%Y-%m-%d}, kept for {entry.keep}"
        return *first, "prune", "removed", None, None, entry.user, said
    if isinstance(entry, FailedRun):
        return *first, asked_by(entry), "not finished", None, None, entry.user, "its process ended before it did"
    if isinstance(entry, Verification):
        said = "all is as it was recorded" if entry.ok else count(entry.problems, "problem")
        kept = ", by a checkpoint kept elsewhere" if entry.kept else ""
        return *first, "verify", "ok" if entry.ok else "wrong", None, entry.snapshot, entry.user, (
            f"{entry.level}{kept}: {said}"
        )  # fmt: skip
    named = {name: each for name, each in entry.answers.items() if not policies or name in policies}
    said = entry.error or "; ".join(f"{name} {each.status.replace('_', ' ')}" for name, each in named.items())
    return *first, asked_by(entry), entry.state, entry.as_of, entry.snapshot, entry.user, said
