"""``man``: the manual page, made of the same texts as ``--help``."""

from __future__ import annotations

from collections.abc import Iterator
from inspect import cleandoc

import click

import auditlake
from auditlake.cli.exit_codes import EXIT_CODES
from auditlake.cli.options import json_option
from auditlake.cli.output import machine


@click.command()
@json_option("page")
@click.pass_context
def man(context: click.Context) -> None:
    """Print the manual page in roff.

    `auditlake man | man -l -` shows it. To install it, write it to ~/.local/share/man/man1/auditlake.1.
    """
    page = manual(context.find_root())
    if not machine(page=page):
        click.echo(page, nl=False)


def manual(root: click.Context) -> str:
    """Return the manual page of every command in roff."""
    command = root.command
    lines = [
        f'.TH AUDITLAKE 1 "" "auditlake {auditlake.__version__}"',
        ".SH NAME",
        f"auditlake \\- {_text(command.help)}",
    ]
    lines += [".SH SYNOPSIS", ".B auditlake", _text("[OPTIONS] COMMAND [ARGS]...")]
    lines += [".SH OPTIONS", _text("--lake and --quiet may also follow the command."), *_options(root)]
    lines += [".SH COMMANDS", *_commands(root, command), ".SH EXIT STATUS"]
    for code, meaning in EXIT_CODES.items():
        lines += [".TP", f".B {code}", _text(meaning)]
    return "\n".join(lines) + "\n"


def _commands(parent: click.Context, group: click.Command) -> Iterator[str]:
    """Yield the lines about the commands of a group, and about those of the groups in it."""
    assert isinstance(group, click.Group)
    for name in group.list_commands(parent):
        if (command := group.get_command(parent, name)) is None:
            continue
        context = click.Context(command, parent=parent, info_name=name)
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        yield f'.SS "{_text(usage)}"'
        for paragraph in cleandoc(f"{command.help}\n\n{command.epilog or ''}").split("\n\n"):
            is_verbatim = "\b" in paragraph
            yield from (".PP", *[".nf"] * is_verbatim, _text(paragraph.replace("\b\n", "")), *[".fi"] * is_verbatim)
        yield from _options(context)
        if isinstance(command, click.Group):
            yield from _commands(context, command)


def _options(context: click.Context) -> Iterator[str]:
    """Yield the lines about the options of a command, but for those that every command has."""
    root = context.find_root()
    common = {name for each in root.command.get_params(root) for name in each.opts} if context.parent else set()
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None and not common & {*parameter.opts}:
            yield from (".TP", f".B {_text(record[0])}", *filter(None, [_text(record[1])]))


def _text(text: str | None) -> str:
    """Return text that roff prints as it is."""
    escaped = (text or "").replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in escaped.splitlines())
