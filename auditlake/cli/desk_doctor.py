"""``doctor --sandbox``: which layers of the sandbox hold here; the command itself is in ``upkeep``."""

from __future__ import annotations

from dataclasses import asdict

import click

from auditlake.cli.output import machine, plain


def examine_sandbox(*, as_json: bool) -> bool:
    """Show which layers hold; whether auditors' SQL can be run."""
    from auditlake.sandbox.selfcheck import examine, lines, verdict

    found = examine()
    can, said = verdict(found)
    if as_json:
        machine({"sandbox": can, "verdict": said, "layers": [asdict(each) for each in found]})
    else:
        for line in lines(found):
            click.echo(plain(line))
    return can
