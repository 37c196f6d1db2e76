"""Mistakes in files of policies and packs as SARIF: ``policy check`` and ``pack check``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from auditlake.cli.output import is_json

if TYPE_CHECKING:
    from auditlake.analysis.policy_tests import CheckResult
    from auditlake.disk.layout import Layout

check_format = click.option(
    "--format", "form", type=click.Choice(["text", "sarif"]), default="text", show_default=True,
    help="How to print what is wrong: for people, or as SARIF 2.1.0, for code review.",
)  # fmt: skip
"""How a check tells what it found."""


def print_sarif(
    layout: Layout, rule: str, problems: Iterable[str], tests: Iterable[CheckResult], named: Sequence[str]
) -> None:
    """Print one SARIF log.

    Args:
        layout: The lake.
        rule: The rule that problems break.
        problems: What is wrong in files, each ``file:line:column: message``.
        tests: What tests gave.
        named: The files that were named, among ids.
    """
    from auditlake.forms.sarif import Mistake, mistakes_of, render

    if is_json():
        raise click.UsageError("expected either --json or --format sarif")
    files = {Path(name).stem: Path(name) for name in named if name.endswith(".yaml")}

    def place(name: str) -> Path:
        known = (Path(name), layout.policies / name, layout.packs / name)
        return next((each for each in known if each.exists()), Path(name))

    def failed() -> Iterator[Mistake]:
        for each in tests:
            pack, is_of_pack, _ = each.policy_id.partition("--")
            file = files.get(pack if is_of_pack else each.policy_id)
            own = layout.pack(pack) if is_of_pack else layout.policies / f"{each.policy_id}.yaml"
            if not each.passed:
                said = f"{each.policy_id}: the test {each.test!r} fails: {'; '.join(each.differences)}"
                yield Mistake("policy-test", said, file or own, each.line)

    found = [*(made for each in problems for made in mistakes_of(each, rule, place)), *failed()]
    click.echo(render(found, Path.cwd()), nl=False)
