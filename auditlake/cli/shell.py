"""``shell``: an auditor's session at a prompt, with history, completion, and Ctrl-C that stops only the query."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.exit_codes import CUT_OFF, FAILED
from auditlake.cli.export import FORMATS, Form, check_place, form_of, give
from auditlake.cli.options import json_option, pair
from auditlake.cli.output import is_json, is_quiet, table
from auditlake.cli.sql import opened_session, session_options, show_queries
from auditlake.display.text import visible
from auditlake.errors import AuditLakeError
from auditlake.machine import system_clock

if TYPE_CHECKING:
    from auditlake.cli.sql import Session

_KEYWORDS = (
    "from select where group by order having limit offset with as join left using on and or not in like between is "
    "null case when then else end distinct union all except intersect qualify window over partition rows range "
    "interval cast pivot unpivot describe summarize asof lateral values exists true false desc asc nulls last first"
).split()
_HISTORY = 5_000
_APART = re.compile(
    r"""\b[eE]'(?:[^'\\]|\\.|'')*('|\Z)|'(?:[^']|'')*('|\Z)|"(?:[^"]|"")*("|\Z)|(\$\w*\$).*?(\4|\Z)|--[^\n]*"""
    r"""|/\*(?:(?!/\*|\*/).|/\*(?:(?!\*/).)*(?:\*/|\Z))*(\*/|\Z)""",
    re.DOTALL,
)
"""Text, quoted names and comments, with what closes each: empty if it is still open."""
_HELP = """\
A semicolon or an empty line ends a statement; Ctrl-C stops it, Ctrl-D leaves.
.tables                 list the views
.schema [VIEW]          describe their columns
.queries                list the canned queries
.run NAME [K=V ...]     run one of them
.policies               list the policies
.mode FORMAT            print answers as table, csv, json, jsonl, markdown
.out FILE [--force]     write the next answer there, in the form of the ending
.timing on|off          print how long each query took
.help  .quit"""


class Shell:
    """One session at a prompt.

    Args:
        session: The session, of the lake or at a desk.
        interactive: Whether standard input is a terminal.
        form: The form of answers.
    """

    def __init__(self, session: Session, *, interactive: bool, form: str = "table") -> None:
        self._session = session
        self._interactive = interactive
        self._form = form
        self._out: Path | None = None
        self._timing = interactive
        self.failed = False
        """Whether a statement or command failed."""
        self.cut = False
        """Whether an answer was cut off."""

    # Reading

    def run(self) -> None:
        """Run every statement and command until the end of input."""
        lines: list[str] = []
        while True:
            try:
                line = self._line(more=bool(lines))
            except EOFError:
                break
            except KeyboardInterrupt:
                lines = []
                click.echo()
                continue
            if not lines and line.lstrip().startswith("."):
                if not self._command(line.strip()):
                    return
                continue
            lines.append(line)
            if _is_whole(lines):
                self._ask("\n".join(lines))
                lines = []
        self._ask("\n".join(lines))

    def _line(self, *, more: bool) -> str:
        if not self._interactive:
            line = sys.stdin.readline()
            if not line:
                raise EOFError
            return line.rstrip("\n")
        at = f" @{self._session.as_of:%Y-%m-%d}" if self._session.as_of else ""
        prompt = f"auditlake v{self._session.snapshot}{at}> "
        return input(" " * (len(prompt) - 5) + "...> " if more else prompt)

    # Doing

    def _ask(self, text: str, values: dict[str, Any] | None = None) -> None:
        if not text.strip().strip(";").strip():
            return
        began = time.monotonic()
        with self._reported():
            answer = self._session.sql(text, values)
            out, self._out = self._out, None
            self.cut |= not give(answer, Form(self._form if out is None else form_of(out), out))
            if self._timing:
                click.echo(f"{time.monotonic() - began:.2f} s", err=True)

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """Report an error, and go on."""
        try:
            yield
        except AuditLakeError as error:
            self.failed = True
            click.echo(visible(str(error)), err=True)
            if error.hint:
                click.echo(f"  {visible(error.hint)}", err=True)
        except click.ClickException as error:
            self.failed = True
            click.echo(visible(error.message), err=True)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)

    def _command(self, line: str) -> bool:
        """Run a dot command, and return whether to go on."""
        try:
            name, *words = shlex.split(line)
        except ValueError as error:
            click.echo(str(error), err=True)
            return True
        if name in {".quit", ".exit"}:
            return False
        command: Callable[..., None] | None = getattr(self, f"_dot_{name[1:]}", None)
        if command is None:
            click.echo(f"there is no {visible(name)}; .help lists the commands", err=True)
            self.failed = True
            return True
        with self._reported():
            try:
                signature(command).bind(*words)
            except TypeError:
                raise click.UsageError(f"{name}: .help shows its use") from None
            command(*words)
        return True

    def _dot_help(self) -> None:
        click.echo(_HELP)

    def _dot_tables(self) -> None:
        from auditlake.sandbox.session import VIEWS

        for name in VIEWS:
            click.echo(name)

    def _dot_schema(self, view: str | None = None) -> None:
        rows = [row for row in described() if view in {None, row[0]}]
        if not rows:
            click.echo(f"there is no view {visible(str(view))}", err=True)
            return
        table(("view", "column", "type", "description"), rows)

    def _dot_queries(self) -> None:
        show_queries(self._session.queries().values())

    def _dot_run(self, name: str, *words: str) -> None:
        from auditlake.sandbox.canned import chosen

        canned = chosen(self._session.queries(), name)
        values = dict(pair.convert(word, None, None) for word in words)
        self._ask(canned.sql, canned.values(values, self._session.as_of or system_clock()))

    def _dot_policies(self) -> None:
        self._ask("from policies select policy_id, alert_threshold, window_length, group_by, retention_period, name")

    def _dot_mode(self, form: str) -> None:
        if form not in FORMATS:
            raise click.UsageError(f"expected one of {', '.join(FORMATS)}")
        self._form = form

    def _dot_out(self, name: str, *words: str) -> None:
        if set(words) - {"--force"}:
            raise click.UsageError("expected .out FILE, or .out FILE --force")
        check_place(Path(name), force=bool(words))
        form_of(Path(name))
        self._out = Path(name)

    def _dot_timing(self, how: str = "on") -> None:
        self._timing = how == "on"


def _is_whole(lines: list[str]) -> bool:
    """Return whether a statement has ended with a semicolon or an empty line, outside of text, names and comments."""
    text = "\n".join(lines)
    if any("" in part.groups() for part in _APART.finditer(text)):
        return False  # still open
    return not lines[-1].strip() or _APART.sub(" ", text).rstrip().endswith(";")


def described() -> list[tuple[str, str, str, str]]:
    """View, column, type and comment of every column, from the statement that makes the view ``dictionary``."""
    from auditlake.sandbox.dictionary import dictionary

    row = re.compile(r"\('((?:[^']|'')*)', '((?:[^']|'')*)', '((?:[^']|'')*)', '((?:[^']|'')*)'\)")
    rows = row.findall(dictionary())
    return [tuple(each.replace("''", "'") for each in parts) for parts in rows]


class Completer:
    """Completes names of views, columns, functions, keywords and commands, for readline."""

    def __init__(self) -> None:
        from auditlake.sandbox.allowed_sql import FUNCTIONS
        from auditlake.sandbox.session import VIEWS

        columns = {row[1] for row in described()}
        functions = {f"{name}(" for name in FUNCTIONS if name.isidentifier()}
        self._commands = sorted(line.split()[0] for line in _HELP.splitlines() if line.startswith("."))
        self._words = [*VIEWS, *sorted(columns - set(VIEWS)), *_KEYWORDS, *sorted(functions)]
        self._matches: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        """Return the match of this number, None after the last."""
        if state == 0:
            pool = self._commands if text.startswith(".") else self._words
            self._matches = [word for word in pool if word.startswith(text.lower())]
        return self._matches[state] if state < len(self._matches) else None


@contextmanager
def _edited() -> Iterator[None]:
    """Enable line editing with history and completion, if the system has readline."""
    try:
        import readline
    except ImportError:
        yield
        return
    file = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "auditlake" / "history"
    with suppress(OSError):
        readline.read_history_file(file)
    readline.set_history_length(_HISTORY)
    readline.set_completer_delims(" \t\n,;()=<>+-*/|'\"")
    readline.set_completer(Completer())
    readline.parse_and_bind("bind ^I rl_complete" if "libedit" in (readline.__doc__ or "") else "tab: complete")
    try:
        yield
    finally:
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
            readline.write_history_file(file)


@click.command()
@session_options
@json_option("snapshot", "complete", "columns", "rows", text="Print each answer as one JSON object")
@click.pass_obj
def shell(path: str, /, **who: Any) -> None:
    """Ask in SQL at a prompt, in the sandbox, on one snapshot.

    Statements may also come from a pipe. Each query is put on record.
    """
    interactive = sys.stdin is not None and sys.stdin.isatty()
    with opened_session(path, **who) as session:
        shell = Shell(session, interactive=interactive, form="json" if is_json() else "table")
        if interactive:
            if not is_quiet():
                at = f"{session.principal} on snapshot {session.snapshot}"
                click.echo(visible(f"{at}; each query is put on record; .help for help"))
            with _edited():
                shell.run()
        else:
            shell.run()
    if (shell.failed or shell.cut) and not interactive:
        raise click.exceptions.Exit(FAILED if shell.failed else CUT_OFF)
