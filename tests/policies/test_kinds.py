"""A question kind is one object: a toy kind that stands in ``KINDS`` is read, asked, reported, shown and accepted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import jsonschema_rs
import pytest
import yaml
from click.testing import CliRunner

from auditlake import AuditLake
from auditlake.cli import cli
from auditlake.engine.statements import Statement
from auditlake.errors import PolicyError
from auditlake.findings.finding import Finding, finding_id
from auditlake.policies import kinds
from auditlake.policies.evaluate import Answers
from auditlake.policies.files import LLMGUARDIAN, READY
from auditlake.policies.kinds.model import FindingKind, Inquiry, Key, Kind, Query
from auditlake.policies.loader import policy_schema
from tests.lakes import create
from tests.retention.lakes import bring, put_policies, record

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
POLICY = """
name: Few exports
description: d
required_events: [api_call, data_export]
coverage: optional
at_most: 2
"""
TOO_MANY = Statement("too_many", ("types", "since", "until", "at_most"), """
select event_type, count(*) as events from events
where list_contains($types, event_type) and timestamp > $since and timestamp <= $until
group by event_type having count(*) > $at_most order by event_type
""", "toy", 1)  # fmt: skip


class AtMost(Kind):
    """At most so many events of a type in the period."""

    name = "at_most"
    keys = (Key("at_most", {"type": "integer", "minimum": 0, "description": "How many."}, asks=True),)
    asked_by = "at_most"
    finding_kinds = (FindingKind("too_many_events", "type with too many events"),)
    title = "At most"

    def queries(self, inquiry: Inquiry) -> Iterable[Query]:
        """Return the types that have more events than they may."""
        yield Query("too_many", [TOO_MANY], {"at_most": inquiry.policy.value("at_most")})

    def judge(self, answers: Answers) -> tuple[Iterable[Finding], Any]:
        """Return a finding for each type."""
        most = answers.policy.value("at_most")
        if most is None:
            return (), None
        findings = [
            Finding(finding_id(answers.policy.id, "too_many_events", "", name, ""), "too_many_events",
                    f"{events} events of {name}: at most {most} are allowed", name, measures={"events": events})
            for name, events in answers.rows["too_many"]
        ]  # fmt: skip
        return findings, {"at_most": most, "types_over": len(findings)}


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy kind in its only place."""
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, AtMost()))


@pytest.fixture
def lake(tmp_path: Path, toy: None) -> AuditLake:
    """Four calls and two exports, of which the policy allows two each."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    put_policies(lake, {"few": POLICY})
    bring(lake, [record(n, NOW - timedelta(hours=n), "api_call") for n in range(4)]
          + [record(10 + n, NOW - timedelta(hours=n), "data_export") for n in range(2)])  # fmt: skip
    return lake


def test_it_is_reported(lake: AuditLake) -> None:
    """Its finding, its answer and its statement are in the JSON, which fits the schema, and on the page."""
    made = lake.report("few")
    document = json.loads(made.json())
    (finding,) = document["violations"]
    assert (document["status"], document["measures"]) == ("violation", {"at_most": {"at_most": 2, "types_over": 1}})
    assert document["findings_by_kind"]["too_many_events"] == 1
    assert finding == {
        "id": finding["id"], "kind": "too_many_events", "event_type": "api_call", "group": {}, "start": None,
        "end": None, "measures": {"events": 4}, "message": "4 events of api_call: at most 2 are allowed",
    }  # fmt: skip
    assert "too_many" in {query["name"] for query in document["evidence"]["queries"]}
    page = made.html().decode()
    assert "The policy found 1 type with too many events." in page
    assert '<h2 id="at_most"><span class="no">3</span>At most</h2>' in page
    assert page.count(finding["message"]) == 1


def test_it_is_listed_and_accepted(lake: AuditLake) -> None:
    """``finding list`` shows it; accepted it counts no more; a notebook shows it in the words of its kind."""
    (listed,) = lake.findings.list("few")
    out = CliRunner().invoke(
        cli, ["--lake", str(lake.layout.root), "finding", "list", "few", "--as-of", NOW.isoformat()]
    )
    assert (listed.finding.id in out.output, "too many events" in out.output) == (True, True), out.output
    lake.findings.accept(listed.finding.id, reason="r", owner="o", expires=NOW + timedelta(days=9))
    made = lake.report("few")
    assert made.status == "compliant"
    assert "type with too many events" in made.findings._repr_html_()


def test_its_keys_are_read(tmp_path: Path, toy: None) -> None:
    """A mistake in its key has its place, and its key is offered where a key is unknown."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    put_policies(lake, {"few": POLICY.replace("2", "-1") + "at_mots: 2\n"})
    with pytest.raises(PolicyError) as caught:
        lake.policies.all()
    (value, key) = caught.value.problems
    assert value.endswith("few.yaml:6:10: at_most: expected a whole number from 0 to 1000000000, got -1, which YAML "
                          "takes for a number")  # fmt: skip
    assert key.endswith("few.yaml:7:1: unknown key 'at_mots'; did you mean 'at_most'?")


def test_without_it_nothing_is_known_of_it(tmp_path: Path) -> None:
    """What a test put in was not left anywhere."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)
    put_policies(lake, {"few": POLICY})
    with pytest.raises(PolicyError, match="unknown key 'at_most'"):
        lake.policies.all()


# The schema for editors


class Plain(yaml.SafeLoader):
    """YAML as editors read it: an instant is text."""

    yaml_implicit_resolvers: ClassVar = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def test_the_schema_is_shipped() -> None:
    """The file beside the policies says what the keys of the program say."""
    shipped = Path(kinds.__file__).parents[1] / "policy.schema.json"
    assert json.loads(shipped.read_text()) == json.loads(json.dumps(policy_schema()))


@pytest.mark.parametrize(
    "file", sorted([*READY.glob("*.yaml"), *LLMGUARDIAN.glob("*.yaml")]), ids=lambda file: file.stem
)
def test_the_schema_takes_our_policies(file: Path) -> None:
    """An editor that checks by the schema finds nothing wrong with them."""
    validator = jsonschema_rs.validator_for(policy_schema())
    assert [error.message for error in validator.iter_errors(yaml.load(file.read_text(), Plain))] == []
