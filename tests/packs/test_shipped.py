"""The packs that ship with auditlake: each loads, its policies compile, and its tests pass."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import jsonschema_rs
import pytest
import yaml

from auditlake.analysis.policy_tests import check_policies
from auditlake.packs.effective import SHIPPED
from auditlake.packs.files import read_file_of_pack
from auditlake.packs.model import Pack
from auditlake.packs.schema import pack_schema
from auditlake.policies.compile import compile_policy
from auditlake.policies.loader import load_policy
from auditlake.policies.question import Question
from tests.packs.text import TYPES
from tests.policies.test_kinds import Plain

FILES = sorted(SHIPPED.glob("*.yaml"))
NOW = datetime(2026, 11, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def packs() -> dict[str, Pack]:
    """Every pack, by id."""
    return {file.stem: read_file_of_pack(file, TYPES) for file in FILES}


def test_they_load(packs: dict[str, Pack]) -> None:
    """There are fifteen without a mistake; what three of them need is declared by nobody yet."""
    assert len(packs) == 15
    assert {name for name, pack in packs.items() if pack.unready} == {"dora-rts-1774", "nis2-2690", "omb-m-26-14"}
    assert {name: pack.state_on(NOW.date()).state for name, pack in packs.items() if "llm" in name} == {
        "owasp-llm-2025": "superseded", "owasp-llm-2026": "adopted",
    }  # fmt: skip
    assert packs["fedramp-moderate"].controls == packs["nist-800-53-r5"].controls


def test_their_policies_are_policy_files(packs: dict[str, Pack]) -> None:
    """Each policy's text is a file that gives it again, and what its report would run compiles."""
    for pack in packs.values():
        for policy in pack.policies.values():
            again = load_policy(policy.text, "p.yaml", policy.id, event_types=TYPES | {*pack.needs_types})
            assert (again.digest, again.more, again.fields) == (policy.digest, policy.more, policy.fields)
            assert compile_policy(again, [again], Question(NOW, NOW - timedelta(days=90), NOW))


def test_their_tests_pass(packs: dict[str, Pack]) -> None:
    """The tests within their policies pass, and there are some."""
    results = check_policies([policy for pack in packs.values() for policy in pack.policies.values()])
    assert [each for each in results if not each.passed] == []
    assert len(results) >= 15


def test_editors_take_them() -> None:
    """The shipped schema is that of the program, and finds no mistake in any pack."""
    shipped = json.loads((SHIPPED.parent / "pack.schema.json").read_text())
    validator = jsonschema_rs.validator_for(shipped)

    assert shipped == json.loads(json.dumps(pack_schema()))
    for file in FILES:
        assert [each.message for each in validator.iter_errors(yaml.load(file.read_text(), Plain))] == []
