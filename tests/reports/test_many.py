"""Reports with very many episodes: kept as columns, they say what they say of episodes that are made one by one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.engine import duck
from auditlake.findings.many import ManyFindings
from auditlake.lake import AuditLake
from auditlake.reports.compliance import ComplianceReport
from auditlake.testing import NOW, change_settings, event, set_policies, temporary_lake

POLICY = """
name: Every sign-in
description: Every stretch of time with a sign-in
required_events: [login, logout]
max_gap: 6h
window: 1h
alert_threshold: 1
group_by: {columns}
"""
NAMES = ("ann", 'ann"', "ann!", "a\\b", "\x00", "é\u2028", "名前", "</script>", "ann, bob", "'", "\x7f", "")
"""Names whose order as text is not that of their JSON, and such as JSON escapes."""


def reported(lake: AuditLake, many: int) -> ComplianceReport:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(duck, "MANY", many)
        return lake.report("every", as_of=NOW, last="3d", cache=False)


@contextmanager
def lake_of(names: list[tuple[int, str, str]], columns: str) -> Iterator[AuditLake]:
    """A lake with a sign-in for each: how many quarters of an hour ago, by whom, doing what."""
    with temporary_lake() as lake:
        set_policies(lake, {"every": POLICY.format(columns=columns)})
        times = ((NOW - timedelta(minutes=15 * quarters), user, action) for quarters, user, action in names)
        lake.ingest([event(at=at, user_id=user, action=action) for at, user, action in times])
        (config := lake.layout.config).write_text("max_findings = 9\n" + config.read_text())
        yield change_settings(lake, max_findings=3)


def check(lake: AuditLake) -> None:
    columns, made = reported(lake, 1), reported(lake, 10**9)
    assert isinstance(columns.report.violations, ManyFindings)
    assert not isinstance(made.report.violations, ManyFindings)
    assert list(columns.findings) == list(made.findings)
    assert columns.json() == made.json()
    assert columns.html() == made.html()
    assert (columns.whole and columns.whole.data) == (made.whole and made.whole.data)
    assert columns.to("csv") == made.to("csv")


@settings(max_examples=3, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 280), st.sampled_from(NAMES) | st.text(max_size=3), st.sampled_from(("", "a", '"'))),
        min_size=1, max_size=30,
    ),
    st.sampled_from(("[user_id]", "[user_id, action]", "[]")),
)  # fmt: skip
def test_columns_say_the_same(names: list[tuple[int, str, str]], columns: str) -> None:
    """Findings, JSON, page, table and the file of all of them are the same, whatever names groups have."""
    with lake_of(names, columns) as lake:
        check(lake)


def test_an_accepted_group() -> None:
    """An acceptance covers the episodes of its group, wherever they lie in the list."""
    with lake_of([(20 * at, name, "") for at, name in product(range(1, 9), NAMES[:4])], "[user_id]") as lake:
        finding = next(each for each in reported(lake, 10**9).findings if each.group == {"user_id": 'ann"'})
        lake.findings.accept(finding.id, reason="a test", owner="maya", until=NOW + timedelta(days=30), by="maya")
        check(lake)
        more = json.loads(reported(lake, 1).json())["more_findings"]
        assert more["accepted"] > 1
        assert {each["accepted"] for each in more["largest_groups"] if each["group"] == {"user_id": 'ann"'}} != {0}


def test_places() -> None:
    """Findings are found by their place, in stretches and one by one, from either end."""
    with lake_of([(30 * at, "ann", "") for at in range(1, 9)], "[user_id]") as lake:
        columns, made = (reported(lake, many).report.violations for many in (1, 10**9))
        assert len({each.kind for each in made}) == 3
        assert [columns[at] for at in range(-len(made), len(made))] == [made[at] for at in range(-len(made), len(made))]
        for begin, end, step in product((None, 0, 2, 5, -3), (None, 1, 4, 99, -1), (None, 1, 2, -1)):
            assert list(columns[begin:end:step]) == list(made[begin:end:step])
        with pytest.raises(IndexError):
            columns[len(made)]
