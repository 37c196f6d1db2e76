"""Options and kinds of values that several commands share, so that one thing has one name and one help text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import click

from auditlake.cli import completers
from auditlake.engine.model import engine_name
from auditlake.events.times import parse_bound

BOUNDS = (
    "--since and --until are inclusive, and a date means its whole day in UTC. Only a period, as of a report, begins "
    "just after an instant that --since names, so that consecutive periods share no event."
)
"""The rule of inclusion, word for word in the help of every command that has --since and --until."""
QUIET, JSON, FORCE = "auditlake.quiet", "auditlake.json", "auditlake.force"
"""The keys of the context's ``meta`` that say whether summaries and progress are left out, which keys the JSON object
has that is printed instead, and whether files are overwritten."""

_RANGE = re.compile(r"(\d{1,18})(?:\.\.(\d{1,18}))?")
_MOST_NUMBERS = 10_000

Decorator = Callable[[Any], Any]


class Option(click.Option):
    """An option with further names that are accepted and not shown.

    Args:
        aliases: The names that are not shown, e.g. ``("--by",)``.
    """

    def __init__(self, *args: Any, aliases: Sequence[str] = (), **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self._aliases = list(aliases)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Accept the further names, too."""
        names, self.opts = self.opts, [*self.opts, *self._aliases]
        super().add_to_parser(parser, ctx)
        self.opts = names


class Kind(click.ParamType[Any]):
    """A kind of value that a function reads.

    Args:
        name: What the help calls it.
        read: Reads the text; its ValueError says what is wrong.
    """

    def __init__(self, name: str, read: Callable[[str], Any]) -> None:
        self.name = name
        self._read = read

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the value."""
        try:
            return self._read(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


instant = Kind("time", parse_bound)
"""An instant or a date, in UTC without an offset. A date stays one: the command knows which end of it is meant."""


engine = Kind("engine", engine_name)
"""The name of an engine, or its address."""


@partial(Kind, "numbers")
def numbers(text: str) -> list[int]:
    """Read whole numbers and ranges of them, separated by commas: ``1..50`` or ``3,5,10..20``."""
    every: list[int] = []
    for part in text.split(","):
        match = _RANGE.fullmatch(part.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not 1 <= first <= last or last - first >= _MOST_NUMBERS:
            raise ValueError(f"expected numbers from 1 on such as 1..50 or 3,5,8, got {part.strip() or 'nothing'}")
        every += range(first, last + 1)
    return every


def read_json(text: str) -> Any:
    """Read JSON.

    Raises:
        ValueError: It is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from error


@partial(Kind, "pair")
def pair(text: str) -> tuple[str, Any]:
    """Read ``name=text``, or ``name:=JSON`` for a number, a truth value, null or a list."""
    name, equals, value = text.partition("=")
    if not equals or not name.rstrip(":"):
        raise ValueError(f"expected name=value, got {text!r}")
    if not name.endswith(":"):
        return name, value
    try:
        return name[:-1], read_json(value)
    except ValueError as error:
        raise ValueError(f"{name[:-1]}: {error}") from error


class Words(click.ParamType[tuple[str, ...]]):
    """Words separated by commas.

    Args:
        allowed: The words that may be used; any if empty.
    """

    name = "words"

    def __init__(self, *allowed: str) -> None:
        self._allowed = allowed

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        """Split the words."""
        if not isinstance(value, str):
            return tuple(value)
        words = tuple(word.strip() for word in value.split(","))
        for word in words if self._allowed else ():
            if word not in self._allowed:
                hint = f"expected some of {', '.join(self._allowed)}, got {word or 'nothing'}"
                self.fail(hint + near(word, self._allowed), param, ctx)
        return words

    def shell_complete(self, _: click.Context, __: click.Parameter, incomplete: str) -> list[Any]:
        """Complete the last word."""
        before, comma, last = incomplete.rpartition(",")
        return completers.items(f"{before}{comma}{word}" for word in self._allowed if word.startswith(last))


class Folder(click.Path):
    """A folder, which need not exist."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read the path. Refuse an empty one: an unset variable would otherwise name the current folder."""
        return super().convert(value, param, ctx) if value else self.fail("expected a folder, got nothing", param, ctx)


def near(word: str, known: Iterable[str]) -> str:
    """Return what to append to a message about an unknown word: the known ones that are spelled nearly the same."""
    from difflib import get_close_matches

    close = get_close_matches(word[:64], sorted(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def option(*names: str, **attributes: Any) -> Decorator:
    """Add an option that may have ``aliases``."""
    return click.option(*names, cls=Option, **attributes)


def several(*options: Decorator) -> Decorator:
    """Add options, shown in this order."""

    def decorate(command: Any) -> Any:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def json_option(*keys: str, text: str = "Print one JSON object") -> Decorator:
    """Add ``--json``, which :func:`auditlake.cli.output.machine` obeys; its help documents the keys of the object."""

    def keep(context: click.Context, _: click.Parameter, as_json: bool) -> None:
        if as_json:
            context.meta[JSON] = keys

    help_ = f"{text}: {', '.join(keys)}."
    return click.option("--json", "as_json", is_flag=True, expose_value=False, callback=keep, help=help_)


cache_option = click.option(
    "--cache/--no-cache", default=True,
    help="Take what was found of earlier days from the lake's memory, which is the default, or not.",
)  # fmt: skip


def period_options(*, until: bool = True, as_of: str = "Events after it do not exist; now by default.") -> Decorator:
    """Add the options that choose a period and a snapshot.

    Args:
        until: Whether ``--until`` is one of them.
        as_of: The help of ``--as-of``.
    """
    ends = [click.option("--until", type=instant, help="End of the period; --as-of by default.")] if until else []
    return several(
        click.option("--as-of", type=instant, help=as_of),
        click.option("--since", type=instant, help="Start of the period."),
        *ends,
        click.option("--last", metavar="DURATION", help="A period of this length, e.g. 30d, instead of --since."),
        click.option("--period", metavar="NAME", help="A calendar period: 2026, 2026-Q3, 2026-10 or a day."),
        snapshot_option,
    )


def operator_option(name: str = "operator") -> Decorator:
    """Add ``--operator``, once also called ``--by``, as the parameter of this name."""
    return option(
        "--operator", name, aliases=["--by"], metavar="NAME",
        help="Who does this, recorded next to the system's user name, which is the default.",
    )  # fmt: skip


def policy_argument(name: str = "policy", **attributes: Any) -> Decorator:
    """Add an argument that names a policy."""
    return click.argument(name, shell_complete=completers.policies, **{"metavar": "POLICY", **attributes})


def event_type_option(name: str, **attributes: Any) -> Decorator:
    """Add ``--event-type`` as the parameter of this name."""
    attributes = {"metavar": "TYPE", **attributes}
    return option("--event-type", name, shell_complete=completers.event_types, **attributes)


filter_options = several(
    event_type_option(
        "event_type",
        multiple=True,
        aliases=["--type"],
        help="Only this type; repeatable, like every filter but the times.",
    ),
    option("--since", type=instant, aliases=["--start"], help="Not before this instant or date."),
    option("--until", type=instant, aliases=["--end"], help="Not after this instant or date."),
    option("--user-id", multiple=True, metavar="USER", aliases=["--user"], help="Only of this user."),
    option("--status", multiple=True, metavar="STATUS", help="Only with this status."),
    option("--resource", multiple=True, metavar="RESOURCE", help="Only about this resource."),
    option("--ip-address", multiple=True, metavar="ADDRESS", aliases=["--ip"], help="Only from this address."),
    option("--session-id", multiple=True, metavar="SESSION", aliases=["--session"], help="Only of this session."),
    option("--source", multiple=True, metavar="SOURCE", help="Only of this source, e.g. cloudtrail."),
)  # fmt: skip
"""The options that choose events; each means what it means for ``lake.events``."""
snapshot_option = click.option(
    "--snapshot",
    type=click.IntRange(min=0),
    metavar="VERSION",
    help="Version of the lake to read; the newest by default.",
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def _keep_lake(context: click.Context, _: click.Parameter, path: str | None) -> None:
    if path is not None:
        context.obj = path


def keep_flag(context: click.Context, option: click.Parameter, flag: bool) -> None:
    """Keep a flag where the functions that print find it, after the verb as before it."""
    if flag:
        context.meta[f"auditlake.{option.name}"] = True


def common_options(command: click.Command, *, lake: str | None = None) -> click.Command:
    """Add the options of every command, ``--lake`` and ``--quiet``, also to the commands of a group.

    Args:
        command: The command.
        lake: The default of ``--lake``; None after the verb, where it overrides what stands before it.
    """
    environment: dict[str, Any] = {"envvar": "AUDITLAKE_LAKE", "show_envvar": True} if lake else {}
    command.params += [
        click.Option(
            ["--lake"], metavar="PATH", default=lake, show_default=lake is not None, expose_value=False, is_eager=True,
            callback=_keep_lake, help="The lake's folder, or s3://, gs:// or az:// with a bucket.", **environment,
        ),
        click.Option(
            ["--quiet"], is_flag=True, expose_value=False, callback=keep_flag,
            help="Print only answers, warnings and errors.",
        ),
    ]  # fmt: skip
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        common_options(each)
    return command
