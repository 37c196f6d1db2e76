"""``doctor --sandbox``: which layers of the sandbox hold here."""

from __future__ import annotations

from dataclasses import asdict

import click

from auditlake.cli.output import machine, plain


def examine_sandbox(*, as_json: bool) -> bool:
    """Show which layers hold; whether auditors' SQL can be run."""
    from auditlake.desk.doctor import examine, lines, verdict

    found = examine()
    can, said = verdict(found)
    if as_json:
        machine({"sandbox": can, "verdict": said, "layers": [asdict(each) for each in found]})
    else:
        for line in lines(found):
            click.echo(plain(line))
    return can


@click.command()
@click.option("--sandbox", is_flag=True, help="Which layers of the sandbox for auditors' SQL hold on this machine.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(sandbox: bool, as_json: bool) -> None:
    """Examine what auditlake needs of this machine; exit with 1 if it is not there."""
    if not sandbox:
        raise click.UsageError("expected --sandbox")
    if not examine_sandbox(as_json=as_json):
        raise click.exceptions.Exit(1)


COMMANDS = (doctor,)
