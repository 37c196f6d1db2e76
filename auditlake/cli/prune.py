"""``prune``: old pages of reports go, their JSON stays."""

from __future__ import annotations

import click

from auditlake.cli.exit_codes import DONE
from auditlake.cli.options import json_option, yes_option
from auditlake.cli.output import ask, machine, opened, say
from auditlake.display.text import count, visible


@click.command()
@click.option("--dry-run", is_flag=True, help="Show what would go, and remove nothing.")
@yes_option
@json_option("keep", "before", "pages", "size", "kept", "obstacles", "removed")
@click.pass_obj
def prune(path: str, dry_run: bool, yes: bool) -> int:
    """Remove old pages of reports; their JSON stays.

    [reports] of lake.toml says how long the pages in LAKE/reports are kept: all of them by default. Pages stay that
    are within the longest retention of an added pack, the newest of their policy or framework, or named by a review, a
    decision or an evidence pack on record. None goes while a hold is active. The command shows what goes, asks, and
    puts it on record in the journal of runs; auditlake nightly does the same without asking.
    """
    routine = opened(path).routine
    planned = routine.pruning()
    if planned.before is None:
        say("lake.toml keeps every page: [reports] has no keep_pages")
    else:
        say(f"{count(len(planned.pages), 'page')} of reports as of before {planned.before:%Y-%m-%d} "
            f"({planned.keep}), {planned.size:,} bytes; their JSON stays")  # fmt: skip
    for why, number in planned.kept.items():
        say(f"kept though older, {why}: {count(number, 'page')}")
    for obstacle in planned.obstacles:
        say(visible(f"none goes: {obstacle}"))
    removes = bool(planned.pages) and not dry_run
    if removes and not yes:
        ask(f"remove {count(len(planned.pages), 'page')}?")
    done = routine.prune() if removes else planned
    if not machine(done, pages=list(done.pages), obstacles=list(done.obstacles), removed=removes) and removes:
        say(f"removed {count(len(done.pages), 'page')}; auditlake runs lists it")
    return DONE
