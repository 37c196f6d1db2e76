"""``sql`` and ``query``: questions in a sandbox, each of them on record."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import auditlake
from auditlake.cli import completers
from auditlake.cli.exit_codes import CUT_OFF
from auditlake.cli.export import FORMATS, Form, form_of, give, out_option
from auditlake.cli.options import instant, json_option, pair, several, snapshot_option
from auditlake.cli.output import is_json, machine, opened, pick, table
from auditlake.display.text import visible
from auditlake.machine import login_name, system_clock
from auditlake.sandbox.open import without_numpy

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from auditlake.desk.client import DeskSession
    from auditlake.sandbox.canned import CannedQuery
    from auditlake.sandbox.session import Answer, AuditSession

    Session = AuditSession | DeskSession

_LONGEST = 1_000_000
_ANSWER = ("snapshot", "complete", "columns", "rows")
_QUERY = ("name", "what", "own", "source", "sql", "parameters")

desk_option = click.option(
    "--desk", envvar="AUDITLAKE_DESK", show_envvar=True, metavar="SOCKET",
    help="Ask at this desk, as the account that you are, instead of the lake itself.",
)  # fmt: skip
session_options = several(
    click.option("--rows", type=click.IntRange(min=0), metavar="N",
                 help="The most rows, instead of lake.toml's limit; 0, for the lake's owner, is unlimited."),
    snapshot_option,
    click.option("--as-of", type=instant, help="Events after it do not exist."),
    click.option("--principal", envvar="AUDITLAKE_PRINCIPAL", show_envvar=True, metavar="NAME",
                 help="Who asks, recorded next to the system's user name, which is the default."),
    desk_option,
)  # fmt: skip
"""The options of every command that opens a session."""
form_options = several(
    click.option("--format", "form", type=click.Choice(FORMATS),
                 help="How to print or write the answer; by default a table, or the form of --out's ending."),
    out_option("Write the answer to a new file."),
    click.option("--quote-empty", is_flag=True, help='CSV: write empty text as "" and NULL as nothing.'),
    click.option("--raw", is_flag=True, help="CSV: write no apostrophe in front of formulas."),
    json_option(*_ANSWER, text="Like --format json, print one JSON object"),
)  # fmt: skip
"""The options of every command that prints rows."""
_param_option = click.option(
    "--param", "params", type=pair, multiple=True, metavar="K=V", help="The value of $K as text; K:=5 for a number."
)


@click.command()
@click.argument("query", required=False)
@click.option("--file", type=click.File(encoding="utf-8"), metavar="FILE", help="Read the query from FILE; - is stdin.")
@_param_option
@form_options
@session_options
@click.pass_obj
def sql(
    path: str, /, query: str | None, file: Any, params: tuple[tuple[str, Any], ...], form: str | None,
    out: Path | None, raw: bool, quote_empty: bool, **who: Any,
) -> None:  # fmt: skip
    """Run a query in a sandbox that reads all and changes nothing.

    Each query is put on record. The views: events, policies, findings, retention_status, daily_counts, ingests,
    quarantine, ledger, queries, dictionary. The exit code is 5 if the answer was cut off.
    """
    if (query is None) == (file is None):
        raise click.UsageError("expected a query, or --file")
    text = query if query is not None else file.read(_LONGEST)
    chosen = _form(form, out, raw=raw, quote_empty=quote_empty)
    with opened_session(path, **who) as session:
        _give(session.sql(text, dict(params)), chosen)


@click.group()
def query() -> None:
    """List, show and run the canned queries that auditors need."""


@query.command("list")
@click.option("--source", metavar="NAME", help="Only those about the events of this source.",
              shell_complete=completers.sources)  # fmt: skip
@desk_option
@json_option("queries")
@click.pass_obj
def list_(path: str, source: str | None, desk: str | None) -> None:
    """List the canned queries; those in LAKE/queries are the lake's own."""
    queries = [each for each in _queries(path, desk).values() if source in (None, each.source)]
    if machine(queries=[pick(each, *_QUERY) for each in queries]):
        return
    show_queries(queries)


def show_queries(queries: Iterable[CannedQuery]) -> None:
    """Print the table of canned queries."""
    rows = [
        (each.name, " ".join(parameter.name for parameter in each.parameters), each.source, each.what)
        for each in queries
    ]
    table(("query", "parameters", "about", "what it answers"), rows)


_query_argument = click.argument("name", metavar="QUERY", shell_complete=completers.queries)


@query.command()
@_query_argument
@desk_option
@json_option(*_QUERY)
@click.pass_obj
def show(path: str, name: str, desk: str | None) -> None:
    """Print a query's SQL with its description and parameters."""
    from auditlake.sandbox.canned import chosen

    canned = chosen(_queries(path, desk), name)
    if not machine(canned):
        click.echo(visible(canned.sql, keep="\n"))


@query.command()
@_query_argument
@_param_option
@form_options
@session_options
@click.pass_obj
def run(
    path: str, /, name: str, params: tuple[tuple[str, Any], ...], form: str | None, out: Path | None, raw: bool,
    quote_empty: bool, **who: Any,
) -> None:  # fmt: skip
    """Run a canned query; show lists its parameters."""
    from auditlake.sandbox.canned import chosen

    form_ = _form(form, out, raw=raw, quote_empty=quote_empty)
    with opened_session(path, **who) as session:
        canned = chosen(session.queries(), name)
        values = canned.values(dict(params), session.as_of or system_clock())
        _give(session.sql(canned.sql, values), form_)


def _queries(path: str, desk: str | None) -> Mapping[str, CannedQuery]:
    if desk is None:
        from auditlake.sandbox.canned import questions

        return questions(opened(path).layout)
    from auditlake.desk.client import queries_at

    return queries_at(desk)


def _give(answer: Answer, form: Form) -> None:
    if not give(answer, form):
        raise click.exceptions.Exit(CUT_OFF)


@contextmanager
def opened_session(
    path: str, *, desk: str | None, principal: str | None, as_of: date | None, snapshot: int | None, rows: int | None
) -> Iterator[Session]:
    """Open a session of the caller, at a desk or on the lake itself."""
    if desk is not None:
        if principal is not None:
            raise click.UsageError("at a desk the account asks; leave --principal and AUDITLAKE_PRINCIPAL out")
        with without_numpy(None):
            session: Session = auditlake.audit_session(desk, as_of=as_of, snapshot=snapshot, rows=rows)
    else:
        lake = opened(path)
        with without_numpy(lake.layout):
            session = lake.audit_session(principal=principal or login_name(), as_of=as_of, snapshot=snapshot, rows=rows)
    with session:
        yield session


def _form(form: str | None, out: Path | None, *, raw: bool, quote_empty: bool) -> Form:
    """Return the form that is asked for, by its name or by the file's."""
    if is_json() and form not in {None, "json"}:
        raise click.UsageError(f"--json and --format {form} contradict each other")
    form = "json" if is_json() else form_of(out) if form is None and out is not None else form
    return Form(form or "table", out, raw, quote_empty)
