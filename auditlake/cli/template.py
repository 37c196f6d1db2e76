"""``template``: reports in forms and words of one's own."""

from __future__ import annotations

import click

from auditlake.cli.exit_codes import DONE, FAILED
from auditlake.cli.options import json_option
from auditlake.cli.output import machine, opened, say, table
from auditlake.display.text import visible


@click.group()
def template() -> None:
    """Fill templates of your own with reports: list them, add one.

    A template is a file LAKE/templates/NAME.ENDING.j2 in the language of Jinja: `auditlake docs templates` says what it
    may use. `auditlake report --template NAME` fills it.
    """


@template.command("list")
@json_option("templates", "faults")
@click.pass_obj
def list_(path: str) -> int:
    """List the templates of the lake."""
    from auditlake.templates.files import read_templates

    found = read_templates(opened(path).layout)
    rows = [{"name": each.name, "ending": each.ending, "file": each.file} for each in found.templates]
    faults = [f"{file}: {why}" for file, why in found.faults.items()]
    if not machine(templates=rows, faults=faults):
        table(("template", "makes files of", "file"), (
            (each.name, f".{each.name}.{each.ending}", each.file) for each in found.templates
        ))  # fmt: skip
    for fault in faults:
        click.echo(visible(f"cannot be read: {fault}"), err=True)
    return FAILED if faults else DONE


@template.command()
@json_option("files")
@click.pass_obj
def add(path: str) -> None:
    """Write the example, a letter with a logo, into LAKE/templates.

    Replace logo.svg by yours, and change the words: nothing that is there is written over.
    """
    from auditlake.templates.files import EXAMPLE, add_example

    files = add_example(opened(path).layout)
    machine(files=[str(file) for file in files])
    say(f"written: {', '.join(str(file) for file in files)}; auditlake report --template {EXAMPLE} fills it")
