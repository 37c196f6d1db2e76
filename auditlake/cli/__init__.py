"""The command line: thin over :class:`auditlake.AuditLake`, and the only part that prints.

Exit codes: 0 done; 1 findings under ``--fail-on``, or a policy's own test failed; 2 wrong usage; 3 an
:class:`auditlake.AuditLakeError`, told in one line on standard error; 4 a verification found something wrong; 5 an
answer was cut off. A reader who goes away changes none.
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
from auditlake.cli import (
    data,
    docs,
    doctor,
    explore,
    finding,
    lake,
    ledger,
    log,
    policy,
    report,
    retention,
    shell,
    sql,
    watch,
)
from auditlake.errors import AuditLakeError

EXIT_ERROR = 3
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(auditlake.__version__, prog_name="auditlake")
@click.option(
    "--lake", "lake_path", envvar="AUDITLAKE_LAKE", default="./lake", show_default=True, metavar="PATH",
    help="The lake's folder; AUDITLAKE_LAKE sets it too.",
)  # fmt: skip
@click.pass_context
def cli(context: click.Context, lake_path: str) -> None:
    """Audit trails as a lakehouse in a folder: events in, compliance reports out."""
    context.obj = lake_path


GROUPS = (
    lake, data, log, watch, report, finding, policy, explore, retention, ledger, doctor, sql, shell, docs,
)  # fmt: skip
for group in GROUPS:
    for command in group.COMMANDS:
        cli.add_command(command)


def main() -> None:
    """Run the command line and exit."""
    _prepare_streams()
    code = 0
    try:
        code = _run()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # click turns one into the other
        # Whoever read our output has gone, as head does: not our mistake, and nothing more to say.
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
    sys.exit(code)


def _run() -> int:
    try:
        code = cli.main(standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        with suppress(OSError):
            error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _interrupted()
    except RuntimeError as error:
        # What Ctrl-C becomes where DuckDB is at work.
        if str(error) != "Query interrupted":
            raise
        return _interrupted()
    except AuditLakeError as error:
        return _complain(error)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What the disk or the system refused outside of the verbs that say it better.
        where = f": {error.filename}" if error.filename else ""
        return _complain(AuditLakeError(f"{error.strerror or error}{where}"))


def _prepare_streams() -> None:
    """Open on nothing what was closed for us, so that no file of a lake gets its number and is printed into, and let
    every character be printed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as we run
        _print_any_character(getattr(sys, name))


def _print_any_character(stream: TextIO) -> None:
    """Let no character fail: one that the stream's encoding lacks is printed as its escape.

    A file or a pipe gets UTF-8 in every locale, cron's ``C`` too, unless PYTHONIOENCODING says otherwise.
    """
    if isinstance(stream, TextIOWrapper):  # and not what a test or a notebook put in its place
        is_data = not stream.isatty() and not os.environ.get("PYTHONIOENCODING")
        stream.reconfigure(encoding="utf-8" if is_data else None, errors="backslashreplace")


def _interrupted() -> int:
    with suppress(OSError):
        click.echo("interrupted; nothing is half done", err=True)
    return EXIT_INTERRUPTED


def _complain(error: AuditLakeError) -> int:
    from auditlake.cli.output import plain
    from auditlake.errors import PolicyError

    lines = error.problems if isinstance(error, PolicyError) else (str(error),)
    with suppress(OSError):  # nobody may be there to read it
        for line in lines:
            click.echo(f"auditlake: {plain(line)}", err=True)
        if error.hint:
            click.echo(f"  {plain(error.hint)}", err=True)
    return EXIT_ERROR
