"""The command line: thin over :class:`auditlake.AuditLake`, and the only part that prints.

Exit codes: 0 done; 1 findings under ``--fail-on``, or a policy's own test failed; 2 wrong usage; 3 an
:class:`auditlake.AuditLakeError`, told in one line on standard error.
"""

from __future__ import annotations

import os
import sys

import click

import auditlake
from auditlake.cli import data, lakes, policies, reporting, retention
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


for command in (*lakes.COMMANDS, *data.COMMANDS, *reporting.COMMANDS, *policies.COMMANDS, *retention.COMMANDS):
    cli.add_command(command)


def main() -> None:
    """Run the command line and exit."""
    try:
        code = cli.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        code = _interrupted()
    except RuntimeError as error:
        # What Ctrl-C becomes where DuckDB is at work.
        if str(error) != "Query interrupted":
            raise
        code = _interrupted()
    except AuditLakeError as error:
        _complain(error)
        code = EXIT_ERROR
    except BrokenPipeError:
        # Whoever read our output has gone, as head does: not our mistake, and nothing more to say.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:
        # What the disk or the system refused outside of the verbs that say it better.
        where = f": {error.filename}" if error.filename else ""
        _complain(AuditLakeError(f"{error.strerror or error}{where}"))
        code = EXIT_ERROR
    sys.exit(code if isinstance(code, int) else 0)


def _interrupted() -> int:
    click.echo("interrupted; nothing is half done", err=True)
    return EXIT_INTERRUPTED


def _complain(error: AuditLakeError) -> None:
    from auditlake.cli.output import plain
    from auditlake.errors import PolicyError

    lines = error.problems if isinstance(error, PolicyError) else (str(error),)
    for line in lines:
        click.echo(f"auditlake: {plain(line)}", err=True)
    if error.hint:
        click.echo(f"  {plain(error.hint)}", err=True)
