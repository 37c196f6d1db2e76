"""``sql`` and ``query``: questions in a sandbox, each of them on record."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from auditlake.cli.data import Instant
from auditlake.cli.export import EXIT_CUT, FORMATS, Form, form_of, give, out_option
from auditlake.cli.output import machine, opened, table
from auditlake.machine import login_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditlake.sandbox.canned import CannedQuery
    from auditlake.sandbox.session import Answer, AuditSession

_LONGEST = 1_000_000


def session_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that opens a session."""
    for option in (
        click.option("--principal", envvar="AUDITLAKE_PRINCIPAL", metavar="NAME",
                     help="Who asks, on record beside the user of this process; that user if not given."),
        click.option("--as-of", type=Instant(), help="Events after it do not exist."),
        click.option("--snapshot", type=click.IntRange(min=0), help="The version of the lake to read."),
        click.option("--rows", type=click.IntRange(min=0), metavar="N",
                     help="At most so many rows, instead of what lake.toml says; 0, for its owner, is any number."),
    ):  # fmt: skip
        command = option(command)
    return command


def form_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every command that gives rows."""
    for option in (
        click.option("--raw", is_flag=True, help="CSV as it is, without an apostrophe before formulas."),
        click.option("--quote-empty", is_flag=True, help='CSV: empty text is "", NULL is nothing at all.'),
        out_option("A new file."),
        click.option("--format", "form", type=click.Choice(FORMATS), help="table on a terminal or pipe, or by --out."),
    ):
        command = option(command)
    return command


class Pair(click.ParamType[tuple[str, Any]]):
    """``name=text``, or ``name:=JSON`` for a number, a truth value, null or a list."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Read it, or tell what was expected."""
        if isinstance(value, tuple):
            return value
        name, found, text = str(value).partition("=")
        if not found or not name.rstrip(":"):
            self.fail(f"expected name=value, got {value!r}", param, ctx)
        if not name.endswith(":"):
            return name, text
        try:
            return name[:-1], json.loads(text)
        except (ValueError, RecursionError) as error:
            self.fail(f"{name[:-1]}: not JSON: {error}", param, ctx)


@click.command()
@click.argument("query", required=False)
@click.option("--file", type=click.File(encoding="utf-8"), metavar="FILE", help="Read the query from it; - is stdin.")
@click.option("--param", "params", type=Pair(), multiple=True, metavar="K=V", help="For $K: text; K:=5 for a number.")
@form_options
@session_options
@click.pass_obj
def sql(
    path: str, /, query: str | None, file: Any, params: tuple[tuple[str, Any], ...], form: str | None,
    out: Path | None, raw: bool, quote_empty: bool, **who: Any,
) -> None:  # fmt: skip
    """Ask in SQL, in a sandbox: everything can be read, nothing changed, and the question is put on record.

    The views: events, policies, findings, retention_status, ingests, quarantine, ledger, queries, dictionary.
    """
    if (query is None) == (file is None):
        raise click.UsageError("expected a query, or --file")
    text = query if query is not None else file.read(_LONGEST)
    shown = chosen_form(form, out, raw=raw, quote_empty=quote_empty)
    with opened_session(path, **who) as session:
        _give(session.sql(text, dict(params)), shown)


@click.group()
def query() -> None:
    """Questions that auditors ask, with their parameters: list, show and run them."""


@query.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def list_(path: str, as_json: bool) -> None:
    """All questions; those in LAKE/queries are the lake's own."""
    from auditlake.sandbox.canned import questions

    found = list(questions(opened(path).layout).values())
    if as_json:
        machine({"queries": [_summary(each) for each in found]})
        return
    rows = [(each.name, " ".join(parameter.name for parameter in each.parameters), each.what) for each in found]
    table(("query", "parameters", "what it answers"), rows)


@query.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def show(path: str, name: str, as_json: bool) -> None:
    """One question: what it answers, its parameters, its SQL."""
    from auditlake.cli.policy import plain_lines
    from auditlake.sandbox.canned import chosen

    found = chosen(opened(path).layout, name)
    machine(_summary(found)) if as_json else click.echo(plain_lines(found.sql))


@query.command()
@click.argument("name")
@click.option("--param", "params", type=Pair(), multiple=True, metavar="K=V", help="A value; query show says which.")
@form_options
@session_options
@click.pass_obj
def run(
    path: str, /, name: str, params: tuple[tuple[str, Any], ...], form: str | None, out: Path | None, raw: bool,
    quote_empty: bool, **who: Any,
) -> None:  # fmt: skip
    """Ask one of them."""
    from auditlake.events.times import judged_as_of
    from auditlake.sandbox.canned import chosen

    lake = opened(path)
    found = chosen(lake.layout, name)
    values = found.values(dict(params), judged_as_of(who["as_of"], _now()))
    shown = chosen_form(form, out, raw=raw, quote_empty=quote_empty)
    with opened_session(path, **who) as session:
        _give(session.sql(found.sql, values), shown)


def _give(answer: Answer, form: Form) -> None:
    if not give(answer, form):
        raise click.exceptions.Exit(EXIT_CUT)


@contextmanager
def opened_session(
    path: str, *, principal: str | None, as_of: date | None, snapshot: int | None, rows: int | None
) -> Iterator[AuditSession]:
    """A session of whoever runs the command."""
    from auditlake.sandbox.open import others_wait

    lake = opened(path)
    with nullcontext() if others_wait(lake.layout) else _without_numpy():
        session = lake.audit_session(principal=principal or login_name(), as_of=as_of, snapshot=snapshot, rows=rows)
    with session:
        yield session


@contextmanager
def _without_numpy() -> Iterator[None]:
    """Arrow imports numpy where it finds it, which takes longer than a short question, and needs it for none."""
    if {"numpy", "pyarrow"} & set(sys.modules):
        yield
        return
    sys.modules["numpy"] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules["numpy"]


def chosen_form(form: str | None, out: Path | None, *, raw: bool, quote_empty: bool = False) -> Form:
    """The form that is asked for: by its name, or by the file's."""
    if form is None and out is not None:
        form = form_of(out)
    return Form(form or "table", out, raw, quote_empty)


def _now() -> datetime:
    from auditlake.machine import system_clock

    return system_clock()


def _summary(found: CannedQuery) -> dict[str, Any]:
    return {
        "name": found.name, "what": found.what, "own": found.own, "sql": found.sql,
        "parameters": [
            {"name": each.name, "kind": each.kind, "default": each.default, "what": each.what}
            for each in found.parameters
        ],
    }  # fmt: skip


COMMANDS = (sql, query)
