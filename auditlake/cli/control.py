"""``control``: what people state about controls that logs cannot show, and which do not apply."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from auditlake.cli.decision import ENTRY_KEYS, expires_option, tell
from auditlake.cli.options import json_option, operator_option, several
from auditlake.cli.output import opened

_control = several(click.argument("pack", metavar="PACK"), click.argument("control", metavar="CONTROL"))


@click.group()
def control() -> None:
    """State how controls of a pack stand that logs cannot show.

    `auditlake decision list` lists what was stated, and `auditlake decision retract` takes it back.
    """


@control.command()
@_control
@click.option("--met", "result", flag_value="met", help="The control is met.")
@click.option("--not-met", "result", flag_value="not_met", help="The control is not met.")
@click.option("--note", required=True, metavar="TEXT", help="What was looked at.")
@click.option(
    "--evidence", multiple=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="A file that it rests on: its name and SHA-256 are recorded; repeatable.",
)  # fmt: skip
@expires_option
@operator_option("by")
@json_option(*ENTRY_KEYS)
@click.pass_obj
def state(path: str, /, pack: str, control: str, result: str | None, **options: Any) -> None:
    """State whether a control is met, for at most 400 days."""
    if result is None:
        raise click.UsageError("say which: --met or --not-met")
    tell(opened(path).decisions.state(pack, control, met=result == "met", **options))


@control.command("not-applicable")
@_control
@click.option("--reason", required=True, metavar="TEXT", help="Why it does not apply.")
@click.option("--owner", required=True, metavar="NAME", help="Who answers for it.")
@expires_option
@operator_option("by")
@json_option(*ENTRY_KEYS)
@click.pass_obj
def not_applicable(path: str, /, pack: str, control: str, **options: Any) -> None:
    """Say that a control does not apply to this lake."""
    tell(opened(path).decisions.not_applicable(pack, control, **options))
