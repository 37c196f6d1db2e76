"""The group of all commands, which imports a command's file when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from itertools import groupby
from typing import Any, NamedTuple

import click

from auditlake.cli.exit_codes import EXIT_CODES
from auditlake.cli.options import common_options


class Verb(NamedTuple):
    """A command."""

    name: str
    section: str
    file: str
    """The module of this package that has it as a function of the same name."""


class Verbs(click.Group):
    """The group of all commands.

    Args:
        verbs: The commands, in the order of the help.
    """

    def __init__(self, *, verbs: Sequence[Verb], **attributes: Any) -> None:
        super().__init__(commands={verb.name: click.Command(verb.name) for verb in verbs}, **attributes)
        self._verbs = verbs
        self._files = {verb.name: verb.file for verb in verbs}

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click calls it so
        """Return the names in the order of the help."""
        return list(self.commands)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command with this name, and give it the options of every command."""
        if (file := self._files.pop(cmd_name, None)) is not None:
            command = getattr(import_module(f"auditlake.cli.{file}"), cmd_name.replace("-", "_"))
            self.commands[cmd_name] = common_options(command)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands by section, each summary whole, and the exit codes."""
        width = max(map(len, self.commands))
        for section, verbs in groupby(self._verbs, key=lambda verb: verb.section):
            commands = [(verb.name, self.get_command(ctx, verb.name)) for verb in verbs]
            with formatter.section(section):
                formatter.write_dl([
                    (name.ljust(width), command.get_short_help_str(200)) for name, command in commands if command
                ])  # fmt: skip
        with formatter.section("Exit codes"):
            formatter.write_dl([(f"{code:<{width}}", meaning) for code, meaning in EXIT_CODES.items()])
