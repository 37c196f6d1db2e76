"""The JSON report: its bytes, its schema, and what it refuses."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import meta

from auditlake import assets
from auditlake.display.canonical_json import canonical, json_value
from auditlake.display.text import UNSEEN
from auditlake.errors import ReportError
from auditlake.policies import kinds
from auditlake.policies.model import SEVERITIES
from auditlake.reports.document import check_report, render_json, report_dict
from auditlake.reports.model import Query, Report
from tests.reports import samples

FREE = {"fields", "measures", "controls", "events_by_type", "last_seen", "parameters", "group", "asked"}
"""Objects whose keys are data."""

Path = tuple[str | int, ...]


def schema() -> dict[str, Any]:
    """The schema that ships."""
    loaded: dict[str, Any] = json.loads((assets.folder("reports_templates") / "compliance.schema.json").read_bytes())
    return loaded


def document() -> dict[str, Any]:
    """The small report, parsed."""
    parsed: dict[str, Any] = json.loads(render_json(samples.small()))
    return parsed


def objects(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where the objects lie whose keys are fixed."""
    if isinstance(value, dict):
        if not path or path[-1] not in FREE:
            yield path
        for key, item in value.items():
            yield from objects(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from objects(item, (*path, index))


def at(value: Any, path: Path) -> Any:
    """The part of a document at a path."""
    for step in path:
        value = value[step]
    return value


def test_golden() -> None:
    """A small report of one finding of each kind is, byte for byte, the golden file."""
    assert render_json(samples.small()) == samples.GOLDEN.read_bytes()


@pytest.mark.parametrize("made", [samples.violation, samples.compliant, samples.no_data])
def test_round_trip(made: Callable[[], tuple[Report, object]]) -> None:
    """What is written is what was meant, with its keys in the order of docs/reference/semantics.md."""
    report, _ = made()
    meant = report_dict(report)
    written = json.loads(render_json(report))
    assert json.dumps(written) == json.dumps(meant)


def test_order_of_keys() -> None:
    """The keys come in the order of docs/reference/semantics.md at every depth."""
    written = document()
    assert list(written) == [
        "report_version", "policy_id", "policy_name", "description", "severity", "controls", "generated_at", "as_of",
        "period", "status", "error", "status_now", "total_events", "events_by_type", "last_seen", "findings_by_kind",
        "more_findings", "violations", "threshold", "coverage", "retention", "measures", "evidence",
    ]  # fmt: skip
    gap, missing, episode = written["violations"]
    assert list(gap) == ["id", "kind", "event_type", "start", "end", "message"]
    assert list(missing) == ["id", "kind", "event_type", "message"]
    assert list(episode) == [
        "id", "kind", "group", "start", "end", "ongoing", "started_before_period", "peak", "peak_at", "message",
    ]  # fmt: skip
    assert list(written["threshold"]) == [
        "window", "alert_threshold", "group_by", "where", "where_errors", "recent_events", "ungrouped_events",
        "future_events", "episodes", "daily_peaks", "measure", "asked", "valueless_events", "unjudged",
    ]  # fmt: skip


def test_ungrouped_episode() -> None:
    """An episode of a policy without group_by has an empty group, not none."""
    report = samples.small()
    violations = tuple(replace(finding, group=None) for finding in report.violations)
    assert json.loads(render_json(replace(report, violations=violations)))["violations"][2]["group"] == {}


def test_same_bytes_in_another_process() -> None:
    """Neither the hash seed nor the time zone of the process changes a byte of any form."""
    code = (
        "import hashlib; from tests.reports import samples as s; from auditlake.display import templates;"
        "from auditlake.reports import document, page; from auditlake.site import index, entries;"
        "made = s.violation(); written = document.render_json(made[0]);"
        "forms = (written, page.render_page(*made), *map(templates.render_bytes, s.index_pages().values()));"
        "print([hashlib.sha256(form).hexdigest() for form in forms])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": zone},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed, zone in (("1", "UTC"), ("2", "Asia/Kathmandu"))
    }
    assert len(seen) == 1


@pytest.mark.parametrize("path", list(objects(document())), ids=str)
def test_schema_is_strict(path: Path) -> None:
    """In no object may another key be added, nor one be missing, but for those that earlier reports did not have."""
    for key in set(at(document(), path)) - {"measure", "asked", "valueless_events", "unjudged"}:
        mutated = document()
        del at(mutated, path)[key]
        with pytest.raises(ReportError, match="schema"):
            check_report(mutated)
    mutated = document()
    at(mutated, path)["extra"] = None
    with pytest.raises(ReportError, match="schema"):
        check_report(mutated)


MUTATIONS: dict[str, tuple[Path, Any]] = {
    "another version": (("report_version",), 3),
    "error without a reason": (("status",), "error"),
    "reason without an error": (("error",), "a reason"),
    "unknown status": (("status",), "fine"),
    "error now": (("status_now",), "error"),
    "unknown severity": (("severity",), "severe"),
    "policy id with a slash": (("policy_id",), "a/b"),
    "time without zone": (("as_of",), "2026-11-24T06:00:00.000000"),
    "time to the second": (("as_of",), "2026-11-24T06:00:00Z"),
    "time with a line break": (("as_of",), "2026-11-24T06:00:00.000000Z\n"),
    "hour 24": (("as_of",), "2026-11-24T24:00:00.000000Z"),
    "count as text": (("total_events",), "9"),
    "negative count": (("total_events",), -1),
    "no required type": (("events_by_type",), {}),
    "threshold of zero": (("threshold", "alert_threshold"), 0),
    "empty group column": (("threshold", "group_by"), [""]),
    "group by twice": (("threshold", "group_by"), ["user_id", "user_id"]),
    "day with a time": (("coverage", "silent_days"), ["2026-11-23T00:00:00"]),
    "digest without its function": (("evidence", "policy_digest"), "0" * 64),
    "digest in capitals": (("evidence", "inputs_digest"), "sha256:" + "A" * 64),
    "finding of unknown kind": (("violations", 0, "kind"), "other"),
    "finding of another kind": (("violations", 0, "kind"), "threshold_exceeded"),
    "finding id too short": (("violations", 0, "id"), "abc"),
    "over without an end": (("violations", 2, "ongoing"), False),
    "ongoing with an end": (("violations", 2, "end"), "2026-11-24T05:00:00.000000Z"),
    "group value that is no text": (("violations", 2, "group"), {"user_id": 7}),
    "parameter of no JSON type": (("evidence", "queries", 0, "parameters"), []),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_schema_rejects(name: str) -> None:
    """A report that says something it cannot mean is refused."""
    path, value = MUTATIONS[name]
    mutated = document()
    at(mutated, path[:-1])[path[-1]] = value
    with pytest.raises(ReportError, match=r"schema at \$"):
        check_report(mutated)


def test_complaint_names_the_place() -> None:
    """What is wrong is said with its path; of several places the outermost, also where a key is no Unicode."""
    mutated = document()
    mutated["violations"][2]["group"] = {"a b": 1}
    with pytest.raises(ReportError, match=r"schema at \$\.violations\[2\]\.group\['a b'\]: "):
        check_report(mutated)
    mutated = document()
    mutated["events_by_type"] = {"a b": "1", "\ud800": 1}
    with pytest.raises(ReportError, match=r"schema at \$\.events_by_type\['a b'\]: .*integer"):
        check_report(mutated)
    mutated["total_events"] = -1
    with pytest.raises(ReportError, match=r"schema at \$\.total_events: "):
        check_report(mutated)


def test_schema_is_sound_and_described() -> None:
    """The schema is a valid one of draft 2020-12, and every property in it is described."""
    whole = schema()
    meta.validate(whole)

    def undescribed(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            for name, part in {**value.get("properties", {}), **value.get("$defs", {})}.items():
                if not {"const"}.issuperset(part) and "description" not in part and set(part) != {"type"}:
                    yield name
            for part in value.values():
                yield from undescribed(part)
        elif isinstance(value, list):
            for part in value:
                yield from undescribed(part)

    assert list(undescribed(whole)) == []


def test_schema_knows_the_policy_model() -> None:
    """Severities are those that a policy may have; every measure gives findings that are episodes."""
    whole = schema()
    episodes = {each.name for kind in kinds.measures() for each in kind.finding_kinds}
    assert episodes <= set(whole["$defs"]["finding"]["if"]["properties"]["kind"]["enum"])
    assert tuple(whole["properties"]["severity"]["enum"]) == SEVERITIES


def with_parameter(value: object) -> Report:
    """The small report with one more parameter bound."""
    report = samples.small()
    query = Query("q", "select $x", {"x": value}, 1)
    return replace(report, evidence=replace(report.evidence, queries=(query,)))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), datetime(2026, 1, 1)])
def test_refuses_what_json_cannot_say(value: object) -> None:
    """What has no JSON form is an error of ours, not a broken file."""
    with pytest.raises(ReportError):
        render_json(with_parameter(value))


def test_parameters() -> None:
    """Instants, lengths of time and big numbers are written so that they can be bound again."""
    assert json_value(samples.AS_OF) == "2026-11-24T06:00:00.000000Z"
    assert json_value(timedelta(hours=24)) == "86400000000 microseconds"
    assert json.loads(render_json(with_parameter(10**30)))["evidence"]["queries"][0]["parameters"]["x"] == 10**30


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from((1e16, 1e-7, 0.1, -0.0)), st.text(max_size=5),
    st.text(st.sampled_from('\x00\x1f\x7f\x85\n\t\b"\\/\u2028\ud800\U000e0001é😀a'), max_size=5),
)  # fmt: skip
KEYS = st.text(st.sampled_from('a"\x7f\u200bé'), max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, lambda each: st.lists(each, max_size=3) | st.dictionaries(KEYS, each, max_size=3)))
def test_bytes_are_those_of_python(value: Any) -> None:
    """However it is written, a value's JSON is what Python's own encoder gives, hidden characters escaped."""
    written = canonical(value).decode()
    plain = json.dumps(value, ensure_ascii=False, indent=2) + "\n"

    assert UNSEEN.search(written.replace("\n", "")) is None
    assert json.loads(written) == value
    if UNSEEN.search(plain.replace("\n", "")) is None:
        assert written == plain


@pytest.mark.parametrize("value", [UUID(int=1), {"a": [UUID(int=1)]}, b"x", object()])
def test_what_is_no_json_value_is_refused(value: object) -> None:
    """A value that slipped through is no text of some form, but an error."""
    with pytest.raises(TypeError):
        canonical(value)
