"""``shell``: an auditor's session at a prompt, with history, completion, and Ctrl-C that stops the query alone."""

from __future__ import annotations

import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.export import EXIT_CUT, FORMATS, Form, check_place, form_of, give
from auditlake.cli.output import opened, plain, table
from auditlake.cli.sql import Pair, opened_session, session_options

if TYPE_CHECKING:
    from auditlake.lake import AuditLake
    from auditlake.sandbox.session import AuditSession

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
"""Text, quoted names and comments, with what closes each: nothing where that is still to come."""
_HELP = """\
A statement ends with a semicolon, or with an empty line. Ctrl-C stops it; Ctrl-D leaves.
.tables                 the views
.schema [VIEW]          their columns, and what each is
.queries                the canned questions
.run NAME [K=V ...]     one of them
.policies               what the lake is judged by
.mode FORMAT            table, csv, json, jsonl, markdown
.out FILE               write the next answer there, in the form of its name; --force writes over a file
.timing on|off          how long each took
.help  .quit"""


class Shell:
    """One session at a prompt.

    Args:
        lake: The lake.
        session: The session.
        interactive: Whether somebody is at the other end.
    """

    def __init__(self, lake: AuditLake, session: AuditSession, *, interactive: bool) -> None:
        self._lake = lake
        self._session = session
        self._interactive = interactive
        self._form = "table"
        self._out: Path | None = None
        self._timing = interactive
        self.failed = False
        """Whether anything went wrong."""
        self.cut = False
        """Whether an answer was cut off."""

    # Reading

    def run(self) -> None:
        """Read and do, until the end."""
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
        with self._told():
            answer = self._session.sql(text, values)
            out, self._out = self._out, None
            self.cut |= not give(answer, Form(self._form if out is None else form_of(out), out))
            if self._timing:
                click.echo(f"{time.monotonic() - began:.2f} s", err=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what went wrong, and go on."""
        from auditlake.errors import AuditLakeError

        try:
            yield
        except AuditLakeError as error:
            self.failed = True
            click.echo(plain(str(error)), err=True)
            if error.hint:
                click.echo(f"  {plain(error.hint)}", err=True)
        except click.ClickException as error:
            self.failed = True
            click.echo(plain(error.message), err=True)
        except KeyboardInterrupt:
            click.echo("stopped", err=True)

    def _command(self, line: str) -> bool:
        """Do what begins with a dot; whether to go on."""
        try:
            name, *words = shlex.split(line)
        except ValueError as error:
            click.echo(str(error), err=True)
            return True
        if name in {".quit", ".exit"}:
            return False
        doing: dict[str, Callable[..., None]] = {
            ".help": self._help, ".tables": self._tables, ".schema": self._schema, ".queries": self._queries,
            ".run": self._run, ".policies": self._policies, ".mode": self._mode, ".out": self._to_file,
            ".timing": self._time,
        }  # fmt: skip
        if name not in doing:
            click.echo(f"there is no {plain(name)}; .help says what there is", err=True)
            self.failed = True
            return True
        with self._told():
            try:
                signature(doing[name]).bind(*words)
            except TypeError:
                raise click.UsageError(f"{name}: .help says how") from None
            doing[name](*words)
        return True

    def _help(self) -> None:
        click.echo(_HELP)

    def _tables(self) -> None:
        for name in self._views:
            click.echo(name)

    @cached_property
    def _views(self) -> tuple[str, ...]:
        from auditlake.sandbox.session import VIEWS

        return VIEWS

    def _schema(self, view: str | None = None) -> None:
        rows = [row for row in described() if view in {None, row[0]}]
        if not rows:
            click.echo(f"there is no view {plain(str(view))}", err=True)
            return
        table(("view", "column", "type", "what it is"), rows)

    def _queries(self) -> None:
        from auditlake.sandbox.canned import questions

        found = questions(self._lake.layout).values()
        table(("query", "parameters", "what it answers"), [
            (each.name, " ".join(parameter.name for parameter in each.parameters), each.what) for each in found
        ])  # fmt: skip

    def _run(self, name: str, *words: str) -> None:
        from auditlake.machine import system_clock
        from auditlake.sandbox.canned import chosen

        found = chosen(self._lake.layout, name)
        given = dict(Pair().convert(word, None, None) for word in words)
        self._ask(found.sql, found.values(given, self._session.as_of or system_clock()))

    def _policies(self) -> None:
        self._ask("from policies select policy_id, alert_threshold, window_length, group_by, retention_period, name")

    def _mode(self, form: str) -> None:
        if form not in FORMATS:
            raise click.UsageError(f"expected one of {', '.join(FORMATS)}")
        self._form = form

    def _to_file(self, name: str, *words: str) -> None:
        if set(words) - {"--force"}:
            raise click.UsageError("expected .out FILE, or .out FILE --force")
        check_place(Path(name), force=bool(words))
        form_of(Path(name))
        self._out = Path(name)

    def _time(self, how: str = "on") -> None:
        self._timing = how == "on"


def _is_whole(lines: list[str]) -> bool:
    """Whether a statement has come to its end: a semicolon or an empty line, outside of text, names and comments."""
    text = "\n".join(lines)
    if any("" in part.groups() for part in _APART.finditer(text)):
        return False  # it is open still
    return not lines[-1].strip() or _APART.sub(" ", text).rstrip().endswith(";")


def described() -> list[tuple[str, str, str, str]]:
    """View, column, type and comment of every column, from the statement that makes the view ``dictionary``."""
    from auditlake.sandbox.dictionary import dictionary

    row = re.compile(r"\('((?:[^']|'')*)', '((?:[^']|'')*)', '((?:[^']|'')*)', '((?:[^']|'')*)'\)")
    found = row.findall(dictionary())
    return [tuple(each.replace("''", "'") for each in parts) for parts in found]


class Completer:
    """Names of views, columns, functions, keywords and commands that begin as what is there."""

    def __init__(self) -> None:
        from auditlake.sandbox.allowed_sql import FUNCTIONS
        from auditlake.sandbox.session import VIEWS

        columns = {row[1] for row in described()}
        functions = {f"{name}(" for name in FUNCTIONS if name.isidentifier()}
        self._commands = sorted(line.split()[0] for line in _HELP.splitlines() if line.startswith("."))
        self._words = [*VIEWS, *sorted(columns - set(VIEWS)), *_KEYWORDS, *sorted(functions)]
        self._found: list[str] = []

    def __call__(self, text: str, state: int) -> str | None:
        """The next of the names that begin so, as readline asks for them."""
        if state == 0:
            pool = self._commands if text.startswith(".") else self._words
            self._found = [word for word in pool if word.startswith(text.lower())]
        return self._found[state] if state < len(self._found) else None


@contextmanager
def _edited() -> Iterator[None]:
    """Line editing with history and completion, where the system has readline."""
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
@click.pass_obj
def shell(path: str, /, **who: Any) -> None:
    """Ask in SQL at a prompt, in a sandbox, on one snapshot; statements can also come from a pipe."""
    interactive = sys.stdin is not None and sys.stdin.isatty()
    with opened_session(path, **who) as session:
        shell = Shell(opened(path), session, interactive=interactive)
        if interactive:
            said = f"{session.principal} on snapshot {session.snapshot}; every question is put on record; .help helps"
            click.echo(plain(said))
            with _edited():
                shell.run()
        else:
            shell.run()
    if (shell.failed or shell.cut) and not interactive:
        raise click.exceptions.Exit(3 if shell.failed else EXIT_CUT)


COMMANDS = (shell,)
