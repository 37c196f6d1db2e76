"""``completion``: the script that lets a shell complete commands, options and names."""

from __future__ import annotations

from typing import Any

import click

from auditlake.cli.options import json_option
from auditlake.cli.output import machine

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@json_option("shell", "script")
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that completes commands in a shell.

    It completes options, files, policies, holds, queries, event types, and the findings of kept reports. In zsh, the
    line must come after `autoload -Uz compinit && compinit`.

    \b
    bash: echo 'eval "$(auditlake completion bash)"' >> ~/.bashrc
    zsh:  echo 'eval "$(auditlake completion zsh)"' >> ~/.zshrc
    fish: auditlake completion fish > ~/.config/fish/completions/auditlake.fish
    """
    from click.shell_completion import get_completion_class

    kind: Any = get_completion_class(shell)
    script = kind(context.find_root().command, {}, "auditlake", "_AUDITLAKE_COMPLETE").source()
    if not machine(shell=shell, script=script):
        click.echo(script)
