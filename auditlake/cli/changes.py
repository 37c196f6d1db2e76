"""``changes``: what became different between two reports, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli import completers
from auditlake.cli.exit_codes import NEGATIVE
from auditlake.cli.options import Folder, json_option
from auditlake.cli.output import is_quiet, machine, opened, say, table
from auditlake.display.text import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditlake.changes.model import Step


@click.command()
@click.argument("subject", metavar="POLICY|PACK", shell_complete=completers.judged)
@click.option("--from", "before", metavar="RUN|FILE", help="The earlier report: a run's number, or a report's JSON.")
@click.option("--to", "after", metavar="RUN|FILE", help="The later report; that of the newest run by default.")
@click.option("--policies", type=Folder(exists=True, file_okay=False, path_type=Path),
              help="A folder with the policies and packs that the earlier report was judged by.")  # fmt: skip
@click.option("--out", type=Folder(file_okay=False, path_type=Path),
              help="Folder to write the page and the JSON to; LAKE/reports by default.")  # fmt: skip
@json_option("changes", "files")
@click.pass_obj
def changes(path: str, /, subject: str, out: Path | None, **options: Any) -> None:
    """Say what became different between two reports, and why.

    Up to five evaluations lead from one to the other, each of which changes one thing: deleted events, late events, the
    policy, decisions, time. The differences add up. Without --from it is the last run before the later one, of the same
    schedule. The exit code is 1 where the earlier report cannot be given again as it was.
    """
    from auditlake.changes.document import changes_dict

    lake = opened(path)
    made = lake.runs.changes(subject, **options)
    files = made.write(out or lake.layout.reports)
    if not machine(changes=changes_dict(made.changes), files=[str(each) for each in files]) and not is_quiet():
        from auditlake.changes.page import sentence

        headings = ("cause", "why", "events", "findings", "open", "status", "what")
        table(headings, (row for step in made.steps for row in _rows(step)), right=(2, 3, 4))
        say(visible(sentence(made.changes)))
        for note in made.changes.notes:
            say(visible(note))
        say(f"in {files[-1]}")
    if made.changes.stopped:
        raise click.exceptions.Exit(NEGATIVE)


def _rows(step: Step) -> Iterator[tuple[Any, ...]]:
    """Yield the lines of one evaluation: one for each difference."""
    from auditlake.changes.words import CAUSES, change_in_words

    numbers, cause = step.numbers, CAUSES[step.name]
    told = [f"{each.control}: {each.before} became {each.after}" for each in step.controls]
    told += map(change_in_words, step.changes)
    first = (cause, step.why, f"{numbers.events:,}", f"{numbers.findings:,}", f"{numbers.open:,}", numbers.status)
    yield *first, told[0] if told else None
    yield from ((None,) * 6 + (each,) for each in told[1:])
