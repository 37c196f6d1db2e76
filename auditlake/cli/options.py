"""Options and kinds of values that several commands share, so that one thing has one name and one help text."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from difflib import get_close_matches
from typing import Any, TypeVar

import click

from auditlake.cli import completers

BOUNDS = (
    "--since and --until are inclusive, and a date means its whole day in UTC. Only a period, as of a report, begins "
    "just after an instant that --since names, so that consecutive periods share no event."
)
"""The rule of inclusion, word for word in the help of every command that has --since and --until."""
QUIET = "auditlake.quiet"
"""The key of the context's ``meta`` that says whether summaries and progress are left out."""

_RANGE = re.compile(r"(\d{1,18})(?:\.\.(\d{1,18}))?")
_MOST_NUMBERS = 10_000

AnyCommand = TypeVar("AnyCommand", bound=Callable[..., Any] | click.Command)
Decorator = Callable[[AnyCommand], AnyCommand]


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


class Instant(click.ParamType[date]):
    """An instant or a date, in UTC without an offset. A date stays one: the command knows which end of it is meant."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> date:
        """Read the instant or date."""
        from auditlake.events.times import parse_bound

        if isinstance(value, date):
            return value
        try:
            return parse_bound(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Numbers(click.ParamType[list[int]]):
    """Whole numbers and ranges of them, separated by commas: ``1..50`` or ``3,5,10..20``."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[int]:
        """Read the numbers."""
        if not isinstance(value, str):
            return list(value)
        numbers: list[int] = []
        for part in value.split(","):
            match = _RANGE.fullmatch(part.strip())
            first, last = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
            if not 1 <= first <= last or last - first >= _MOST_NUMBERS:
                self.fail(
                    f"expected numbers from 1 on such as 1..50 or 3,5,8, got {part.strip() or 'nothing'}", param, ctx
                )
            numbers += range(first, last + 1)
        return numbers


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


class Pair(click.ParamType[tuple[str, Any]]):
    """``name=text``, or ``name:=JSON`` for a number, a truth value, null or a list."""

    name = "pair"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        """Read the name and the value."""
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).partition("=")
        if not equals or not name.rstrip(":"):
            self.fail(f"expected name=value, got {value!r}", param, ctx)
        if not name.endswith(":"):
            return name, text
        try:
            return name[:-1], json.loads(text)
        except (ValueError, RecursionError) as error:
            self.fail(f"{name[:-1]}: not JSON: {error}", param, ctx)


def near(word: str, known: Iterable[str]) -> str:
    """Return what to append to a message about an unknown word: the known ones that are spelled nearly the same."""
    close = get_close_matches(word[:64], sorted(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""


def option(*names: str, **attributes: Any) -> Decorator[Any]:
    """Add an option that may have ``aliases``."""
    return click.option(*names, cls=Option, **attributes)


def several(*options: Decorator[Any]) -> Decorator[Any]:
    """Add options, shown in this order."""

    def decorate(command: Any) -> Any:
        for each in reversed(options):
            command = each(command)
        return command

    return decorate


def json_option(*keys: str, text: str = "Print one JSON object") -> Decorator[Any]:
    """Add ``--json``; its help documents the keys of the object."""
    return click.option("--json", "as_json", is_flag=True, help=f"{text}: {', '.join(keys)}.")


def period_options(
    *, until: bool = True, as_of: str = "Events after it do not exist; now by default."
) -> Decorator[Any]:
    """Add the options that choose a period and a snapshot.

    Args:
        until: Whether ``--until`` is one of them.
        as_of: The help of ``--as-of``.
    """
    ends = [click.option("--until", type=Instant(), help="End of the period; --as-of by default.")] if until else []
    return several(
        click.option("--as-of", type=Instant(), help=as_of),
        click.option("--since", type=Instant(), help="Start of the period."),
        *ends,
        click.option("--last", metavar="DURATION", help="A period of this length, e.g. 30d, instead of --since."),
        click.option("--period", metavar="NAME", help="A calendar period: 2026, 2026-Q3, 2026-10 or a day."),
        snapshot_option,
    )


def operator_option(name: str = "operator") -> Decorator[Any]:
    """Add ``--operator``, once also called ``--by``, as the parameter of this name."""
    return option(
        "--operator", name, aliases=["--by"], metavar="NAME",
        help="Who does this, recorded next to the system's user name, which is the default.",
    )  # fmt: skip


def policy_argument(name: str = "policy", **attributes: Any) -> Decorator[Any]:
    """Add an argument that names a policy."""
    return click.argument(name, shell_complete=completers.policies, **{"metavar": "POLICY", **attributes})


def event_type_option(name: str, **attributes: Any) -> Decorator[Any]:
    """Add ``--event-type`` as the parameter of this name."""
    attributes = {"metavar": "TYPE", **attributes}
    return option("--event-type", name, shell_complete=completers.event_types, **attributes)


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


def _keep_quiet(context: click.Context, _: click.Parameter, quiet: bool) -> None:
    if quiet:
        context.meta[QUIET] = True


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
            callback=_keep_lake, help="The lake's folder.", **environment,
        ),
        click.Option(
            ["--quiet"], is_flag=True, expose_value=False, callback=_keep_quiet,
            help="Print only answers, warnings and errors.",
        ),
    ]  # fmt: skip
    for each in command.commands.values() if isinstance(command, click.Group) else ():
        common_options(each)
    return command
