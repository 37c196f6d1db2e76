"""``engine``: whether another engine than DuckDB can answer policies here."""

from __future__ import annotations

import click

from auditlake.cli.exit_codes import NEGATIVE
from auditlake.cli.options import engine as engine_type
from auditlake.cli.options import json_option
from auditlake.cli.output import machine, opened, say, table


@click.group()
def engine() -> None:
    """Let a cluster answer policies, by Spark Connect.

    `auditlake report --engine sc://HOST:PORT` and the section [engine] of lake.toml name one. What a report says does
    not depend on it.
    """


@engine.command()
@click.argument("name", required=False, type=engine_type)
@json_option("engine", "checks", "policies")
@click.pass_obj
def check(path: str, name: str | None) -> None:
    """Say what works with an engine: that of lake.toml, or NAME.

    Opens a session, lets it read the newest file of the lake, evaluates a condition where the files are read, and names
    the policies that it cannot be asked for. The exit code is 1 if any of the first three fails.
    """
    found = opened(path).policies.check_engine(name)
    checks = [{"check": each.what, "works": each.works, "why": each.why} for each in found.checks]
    policies = [{"policy": name, "works": why is None, "why": why or ""} for name, why in found.policies.items()]
    if not machine(engine=found.engine, checks=checks, policies=policies):
        rows = [(each["check"], "yes" if each["works"] else "no", each["why"]) for each in checks]
        table(("what", "works", "why not"), rows)
        say("")
        table(("policy", "works", "why not"), [(each["policy"], "yes" if each["works"] else "no", each["why"])
                                               for each in policies])  # fmt: skip
    if not all(each.works for each in found.checks):
        raise click.exceptions.Exit(NEGATIVE)
