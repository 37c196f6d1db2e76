"""``backup``: what keeps a lake from being lost."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from auditlake.cli.output import machine, opened, plain


@click.command()
@click.argument("destination", type=click.Path(path_type=Path), metavar="DEST")
@click.option("--without-key", is_flag=True, help="Leave out the private key that signs checkpoints.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def backup(path: str, destination: Path, without_key: bool, as_json: bool) -> None:
    """Copy the lake to the new folder DEST while others write to it. Restoring it is copying it back."""
    done = opened(path).backup(destination, key=not without_key)
    if as_json:
        machine(asdict(done))
        return
    click.echo(f"copied snapshot {done.snapshot} to {plain(done.path)}: {done.files} files, {done.size:,} bytes")
    if without_key:
        click.echo("the private key of the ledger is not in it: without it, a restored lake takes no commits")


COMMANDS = (backup,)
