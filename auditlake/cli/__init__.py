"""Command line: thin over :class:`auditlake.AuditLake`, and the only room that prints.

Hides click, terminals, and how a command ends.
The door: ``main``, ``VERBS``, ``exit_codes.EXIT_CODES``.
Read first: ``ingest.py``.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

import click

import auditlake
from auditlake.cli.exit_codes import DONE, FAILED, INTERRUPTED
from auditlake.cli.options import common_options
from auditlake.cli.verbs import Verb, Verbs
from auditlake.display.text import visible
from auditlake.errors import AuditLakeError, MistakesError

VERBS = tuple(
    Verb(name.replace("_", "-"), section, file)
    for section, places in {
        "Events in": "lake.init ingest.ingest routine.collect log.log log.tail ingest.flush source.source source.remap",
        "Questions": "events.events ocsf.export stats.stats sql.sql sql.query shell.shell desk.desk connect.connect "
        "engine.engine",
        "Reports and findings": "report.report template.template runs.runs schedule.schedule changes.changes "
        "finding.finding finding.review control.control decision.decision policy.policy pack.pack sigma.sigma "
        "watch.watch evidence.evidence evidence.reperform",
        "Retention": "retention.hold retention.retention retention.erase",
        "Proof": "ledger.verify ledger.checkpoint ledger.prove ledger.verify_proof ledger.anchor ledger.key",
        "Upkeep": "routine.nightly prune.prune lake.compact lake.backup lake.upgrade doctor.doctor demo.demo docs.docs "
        "completion.completion man.man",
    }.items()
    for file, _, name in (place.partition(".") for place in places.split())
)
"""A new command is a function in a file of this room, and ``file.function`` here, in the order of the help."""


@click.group(cls=Verbs, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(auditlake.__version__, prog_name="auditlake")
def cli() -> None:
    """Audit trails as a lakehouse in a folder: events in, compliance reports out."""


common_options(cli, lake="./lake")


def main() -> None:
    """Run the command line and exit."""
    _prepare_streams()
    code = DONE
    try:
        code = _run()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # click turns one into the other
        # A closed pipe, as head leaves behind, does not change the exit code.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False, color=False if os.environ.get("NO_COLOR") else None)
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code if isinstance(error, click.UsageError) else FAILED
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except RuntimeError as error:
        # DuckDB turns Ctrl-C into this.
        if str(error) != "Query interrupted":
            raise
        return _interrupted()
    except AuditLakeError as error:
        return _complain(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        # The disk or the system refused something that no verb explains better.
        where = f": {error.filename}" if error.filename else ""
        return _complain(AuditLakeError(f"{error.strerror or error}{where}"))


def _prepare_streams() -> None:
    """Open closed standard streams on the null device, and let every character be printed.

    A file of the lake would otherwise get the number of a closed stream, and be printed into.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - open until exit
        _print_any_character(getattr(sys, name))


def _print_any_character(stream: TextIO) -> None:
    """Print a character that the stream's encoding lacks as its escape.

    A file or a pipe gets UTF-8 in every locale, also in ``C`` under cron, unless PYTHONIOENCODING says otherwise.
    """
    if isinstance(stream, TextIOWrapper):  # tests and notebooks replace the streams
        is_data = not stream.isatty() and not os.environ.get("PYTHONIOENCODING")
        stream.reconfigure(encoding="utf-8" if is_data else None, errors="backslashreplace")


def _interrupted() -> int:
    with suppress(OSError):
        click.echo("interrupted; nothing is half done", err=True)
    return INTERRUPTED


def _complain(error: AuditLakeError) -> int:
    lines = error.problems if isinstance(error, MistakesError) else (str(error),)
    with suppress(OSError):  # standard error may be closed
        for line in lines:
            click.echo(f"auditlake: {visible(line)}", err=True)
        if error.hint:
            click.echo(f"  {visible(error.hint)}", err=True)
    return FAILED
