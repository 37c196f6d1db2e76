"""Rules of our own, and a lake with the events that they are about."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from auditlake import AuditLake
from tests.cli.conftest import run  # noqa: F401 - a fixture
from tests.lakes import create

RULES = {
    "okta/admin.yml": """
        title: "Somebody: is made an administrator"
        id: 11111111-1111-4111-8111-111111111111
        status: test
        description: |
          Tells of new administrators.
            Read this twice.
        references: [https://example.org/a, https://example.org/b]
        author: Ann Example
        date: 2026-01-02
        tags: [attack.privilege-escalation, attack.t1098.003, cve.2024-1234, example.tag]
        logsource: {product: okta, service: okta}
        detection:
          selection:
            eventType: group.user_membership.add
            target.displayName|startswith: Okta Admin
          filter:
            actor.alternateId: robot@example.org
          condition: selection and not filter
        falsepositives: [Planned changes]
        level: high
        """,
    "okta/never.yml": """
        title: A field that is nowhere
        id: 22222222-2222-4222-8222-222222222222
        logsource: {product: okta, service: okta}
        detection:
          selection: {eventType: x, no.such.field: y}
          condition: selection
        level: informational
        """,
    "other/admin.yml": """
        title: Same name, other folder
        id: 33333333-3333-4333-8333-333333333333
        logsource: {product: okta, service: okta}
        detection:
          selection: {outcome.result: FAILURE}
          condition: selection
        """,
    "absent/elsewhere.yml": """
        title: Of another product
        id: 44444444-4444-4444-8444-444444444444
        logsource: {product: windows, category: process_creation}
        detection: {selection: {Image: x}, condition: selection}
        """,
    "refused/lookahead.yml": """
        title: A pattern that RE2 does not know
        id: 55555555-5555-4555-8555-555555555555
        logsource: {product: okta, service: okta}
        detection: {selection: {'eventType|re': 'a(?=b)'}, condition: selection}
        """,
    "refused/broken.yml": "title: [\n",
    "refused/no_condition.yml": """
        title: Without a condition
        logsource: {product: okta, service: okta}
        detection: {selection: {eventType: x}}
        """,
    "README.yml": "nothing: of Sigma's\n",
}


def write_rules(folder: Path, rules: dict[str, str]) -> Path:
    """Write rule files."""
    for name, text in rules.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return folder


def okta(number: int, kind: str, **more: object) -> str:
    """One record of Okta's log."""
    record = {
        "uuid": f"0c7a0000-0000-4000-8000-{number:012}", "published": f"2026-11-20T08:{number:02}:00.000Z",
        "eventType": kind, "actor": {"id": "00u1", "type": "User", "alternateId": "ann@example.org"},
        "outcome": {"result": "SUCCESS"},
    }  # fmt: skip
    return json.dumps({**record, **more})


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake with events of Okta's."""
    folder = tmp_path_factory.mktemp("sigma")
    admins = [{"id": "00g1", "type": "UserGroup", "displayName": name} for name in ("Staff", "okta administrators")]
    records = [
        okta(1, "group.user_membership.add", target=admins),
        okta(2, "group.user_membership.add", target=admins[:1]),
        okta(3, "group.user_membership.add", target=admins, actor={"id": "r", "alternateId": "Robot@example.org"}),
        okta(4, "user.session.start", outcome={"result": "FAILURE"}),
    ]
    (folder / "okta.jsonl").write_text("\n".join(records))
    made = create(folder / "lake")
    made.ingest(folder / "okta.jsonl", source="okta")
    return made


@pytest.fixture
def rules(tmp_path: Path) -> Callable[[dict[str, str]], Path]:
    """Writes rule files into a folder."""
    return lambda listed: write_rules(tmp_path / "rules", listed)
