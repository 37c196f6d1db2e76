"""``demo``: everything in one go, on generated data."""

from __future__ import annotations

import shutil
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import auditlake
from auditlake.cli.options import Folder, json_option
from auditlake.cli.output import ingest_progress, is_json, is_quiet, machine, pick, report_progress, say
from auditlake.machine import system_clock

if TYPE_CHECKING:
    from auditlake.cli.demo_data import DemoInputs
    from auditlake.ingest.custody import IngestSummary

_TAKEN = """\
# A policy of the company's own. People read a few documents a day; no service reads fifty different ones in one go.
name: Documents taken out
description: One user reads fifty different documents within three hours
required_events: [data_access, data_export]
coverage: optional
severity: critical
distinct: resource
alert_threshold: 50
window: 3h
group_by: [user_id]
where: coalesce(status, 'success') = 'success'

tests:
  - name: one document a thousand times
    events:
      - {type: data_access, at: 2026-11-02T01:00:00Z, user_id: ana, resource: documents/sales/1, count: 1000, every: 5s}
    expect: {status: compliant, episodes: 0}
"""
_MORNING = timedelta(hours=8)
"""How long after the last day people decide and report."""
_SETTINGS = {
    "pci-dss-4": """\
      # What holds card data, and what leads to it.
      cde: >-
        split_part(resource, '/', 1) in ('accounts', 'documents', 'exports', 'firewall', 'hosts', 'portal', 'roles',
        'settings') or resource = 'spaces/payroll'
""",
    "eu-ai-act": """\
      role: [deployer]
""",
}
"""The two frameworks of the company, with the parameters that it sets."""


@click.command()
@click.argument("folder", type=Folder(path_type=Path), default=Path("demo"))
@json_option("lake", "inputs", "as_of", "index", "reports", "frameworks")
@click.pass_context
def demo(context: click.Context, folder: Path) -> None:
    """Build a demo lake in FOLDER: 90 days of an LLM service.

    Its audit trail is generated, ingested, judged and reported. The company is judged by the starter set of policies,
    by one of its own and by two frameworks. It accepted a finding, dealt with one, and reviewed the quarter.
    """
    from auditlake.cli.demo_data import write_demo
    from auditlake.cli.ingest import show_summary
    from auditlake.cli.report import show_frameworks, show_statuses, write_index, write_pages

    lake_folder, inputs_folder = folder / "lake", folder / "inputs"
    if lake_folder.exists():
        context.fail(f"{lake_folder} is there already; remove it or name another folder")
    shutil.rmtree(inputs_folder, ignore_errors=True)
    inputs_folder.mkdir(parents=True)
    say(f"writing 90 days of an LLM service's audit trail to {inputs_folder}")
    made = write_demo(inputs_folder)
    with ingest_progress() as listen:
        lake, summary = build(lake_folder, made, listen=listen)
    if not (is_json() or is_quiet()):
        show_summary(summary)
    as_of = made.as_of + _MORNING
    with lake.runs.recorded("report") as run:
        judged = run.judged(**_period(made), as_of=as_of, listen=report_progress())
        reports = judged.all_reports
        write_pages(lake, reports, judged.frameworks, None, ("json", "html"))
    index = write_index(lake, None)
    statuses = [pick(each, "policy_id", "status") for each in reports]
    of_frameworks = [pick(each, "pack_id", "status") for each in judged.frameworks]
    is_told = machine(
        lake=lake_folder, inputs=inputs_folder, as_of=as_of, index=index, reports=statuses, frameworks=of_frameworks
    )
    if not (is_told or is_quiet()):
        show_statuses(reports)
        show_frameworks(judged.frameworks)
    say(f"the reports are in {index.parent}; open {index} in a browser")
    say(f"try: {_command()} --lake {lake_folder} events --event-type auth_failure --user-id frank")


def build(folder: Path, made: DemoInputs, **options: Any) -> tuple[auditlake.AuditLake, IngestSummary]:
    """Make the lake of the demo: its policies, its frameworks, its events, and what people decided.

    Everything happens the morning after the last day, or now where that is still to come.

    Args:
        folder: The lake's folder.
        made: The company's audit trail.
        **options: Those of :meth:`auditlake.AuditLake.ingest`.
    """
    now = min(system_clock(), made.as_of + _MORNING)
    lake = auditlake.create(folder, packs=list(_SETTINGS), clock=lambda: now)
    for pack_id, parameters in _SETTINGS.items():
        revision = f"    revision: {lake.packs.get(pack_id).revision}\n"
        settings = lake.layout.frameworks.read_text(encoding="utf-8")
        before, found, after = settings.partition(f"  {pack_id}:\n{revision}")
        lake.layout.frameworks.write_text(f"{before}{found}    parameters:\n{parameters}{after}", encoding="utf-8")
    own = folder.with_name("taken_documents.yaml")
    own.write_text(_TAKEN, encoding="utf-8")
    lake.policies.add(own)
    own.unlink()
    summary = lake.ingest(*made.files, history="the demo's days, loaded at once", **options)
    _decide(lake, made)
    return lake, summary


def _decide(lake: auditlake.AuditLake, made: DemoInputs) -> None:
    """Accept a finding that has a reason, deal with one, and sign the days off."""
    period = _period(made)
    for each in lake.findings.list("pci-dss-4--log_content", **period):  # no user; none in a trail of few events
        lake.findings.accept(
            each.finding.id, reason="the services' endpoints refuse a wrong key before they know whose it is",
            owner="maya", by="maya", ticket="SEC-118", expires=made.as_of + timedelta(days=365),
        )  # fmt: skip
    attack = lake.findings.list("failed_logins", **period)[0].finding.id
    lake.findings.resolve(attack, note="password changed, sessions ended, address blocked", by="maya", ticket="SEC-92")
    own = ("data_breach", "failed_logins", "guessed_password", "injected_prompt", "taken_documents")
    lake.findings.review(*own, note="two attacks on passwords, one thief; SEC-92 to SEC-94", by="uma", **period)
    stated: dict[str, Any] = {"met": True, "until": made.as_of + timedelta(days=365), "by": "uma"}
    lake.decisions.state("pci-dss-4", "10.1", note="the logging standard of 2026-05 names the roles", **stated)
    lake.decisions.state("pci-dss-4", "10.4.2.1", note="risk analysis RA-7 asks for a review each week", **stated)


def _period(made: DemoInputs) -> dict[str, Any]:
    """Return the 90 whole days."""
    return {"since": made.as_of - timedelta(days=90, microseconds=1), "until": made.as_of - timedelta(microseconds=1)}


def _command() -> str:
    """Return how the caller started this program, so that its hints can be typed as they stand."""
    return sys.argv[0] if Path(sys.argv[0]).name == "auditlake" and "/" in sys.argv[0] else "auditlake"
