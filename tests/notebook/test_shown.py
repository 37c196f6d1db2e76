"""What notebooks show, and how rows leave for other libraries."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import auditlake
from auditlake import AuditLake
from auditlake.errors import QueryError
from auditlake.reports.findings_card import Findings
from auditlake.sandbox.session import Answer
from tests.notebook.conftest import AS_OF, HOSTILE


def things(lake: AuditLake) -> dict[str, Any]:
    report = lake.report("failed_logins", as_of=AS_OF)
    return {
        "lake": lake,
        "events": lake.events(),
        "rows": lake.sql("select user_id as \"<b>'\", $odd from events group by all order by all", {"odd": HOSTILE}),
        "report": report,
        "findings": report.findings,
        "listed": lake.findings.list(as_of=AS_OF),
        "plan": lake.retention.plan(AS_OF),
        "backtest": lake.backtest("failed_logins", thresholds=[1, 2]),
        "answer": answer(lake, 'select user_id as "<b>\'", $odd as odd from events', {"odd": HOSTILE}),
    }  # fmt: skip


def answer(lake: AuditLake, *question: Any) -> Answer:
    with lake.audit_session(principal="erika") as desk:
        return desk.sql(*question)


def test_an_answer_of_the_desk(lake: AuditLake) -> None:
    """An answer shows its first rows, its snapshot and the event that records it, and says what is not shown."""
    found = answer(lake, "from range(46)")
    text = found._repr_mimebundle_()["text/plain"]

    assert "46 rows" in text
    assert f"on record: {found.event_id}" in text
    assert "the first 20" in text
    assert "the first" not in answer(lake, "select 1")._repr_html_()
    assert "cut off" in Answer(found.arrow(), replace(found.outcome, complete=False), 1, "e")._repr_html_()


def test_everything_is_escaped(lake: AuditLake) -> None:
    """Nothing from an event becomes a tag, reaches a terminal as an escape sequence or loads anything."""
    for name, thing in things(lake).items():
        bundle = thing._repr_mimebundle_()
        assert set(bundle) == {"text/plain", "text/html"}
        html, text = bundle["text/html"], bundle["text/plain"]
        assert html == thing._repr_html_(), name
        assert not re.search(r"<(script|img|b)\b|<[^>]*\son\w+=|https?:|@import|url\(", html), name
        assert not re.search(r"[\x00-\x08\x0b-\x1f\u202e]", html + text), name
    assert "&lt;script&gt;" in things(lake)["events"]._repr_html_()


def test_what_is_asked_for(lake: AuditLake) -> None:
    """A frontend gets the kinds that it asks for and no others."""
    assert set(lake._repr_mimebundle_(include={"text/plain"})) == {"text/plain"}
    assert set(lake._repr_mimebundle_(include=None, exclude={"text/plain"})) == {"text/html"}


def test_a_lake(lake: AuditLake) -> None:
    """A lake shows its size, its days and its policies; a policy that cannot be used is told and hides nothing else."""
    text = lake._repr_mimebundle_()["text/plain"]
    assert "events: 40" in text
    assert "days: 3, 2026-11-22 to 2026-11-24" in text
    assert "failed_logins" in text

    lake.layout.policy("broken").write_text("name: 1\n")
    assert "its policies cannot be used: " in lake._repr_html_()


def test_rows_are_lazy_and_few(lake: AuditLake) -> None:
    """Twenty rows are shown of however many there are, and none is read before that; `repr` reads none."""
    endless = lake.sql("select i from range(1000000000000) as t(i)")

    assert "Rows of" in repr(endless)
    assert "20 of more rows" in endless._repr_html_()
    assert "46 rows" not in lake.events()._repr_html_()
    assert ">2 rows<" in lake.events(limit=2)._repr_html_()
    assert lake.events().relation().filter("event_type = 'login'").aggregate("count(*)").fetchall() == [(10,)]


def test_a_mistake_in_rows(lake: AuditLake) -> None:
    """SQL that cannot run is told as it is everywhere."""
    with pytest.raises(QueryError, match="nothing_of_the_name"):
        lake.sql("select nothing_of_the_name from events")._repr_html_()


def test_findings(lake: AuditLake) -> None:
    """Findings show who, when and how many; none say so."""
    report = lake.report("failed_logins", as_of=AS_OF)

    assert isinstance(report.findings, Sequence)
    assert [each.group for each in report.findings] == [{"user_id": "eve"}]
    text = report.findings._repr_mimebundle_()["text/plain"]
    assert "1 finding\n" in text
    assert re.search(r"episode +eve +2026-11-24 12:00:00 +goes on +6", text)
    assert Findings()._repr_mimebundle_()["text/plain"] == "findings 0 findings"
    assert "violation" in report._repr_html_()


def test_accepted_findings(lake: AuditLake) -> None:
    """What somebody answers for says until when, beside the policy that found it."""
    (found,) = lake.findings.list("failed_logins", as_of=AS_OF)
    assert " open " in lake.findings.list("failed_logins", as_of=AS_OF)._repr_mimebundle_()["text/plain"]
    lake.findings.accept(found.finding.id, reason="a test", owner="ana", until="2026-12-01", as_of=AS_OF)

    listed = lake.findings.list("failed_logins", as_of=AS_OF)
    assert isinstance(listed, tuple)
    assert "<bdi>failed_logins</bdi>" in listed._repr_html_()
    assert "accepted until 2026-12-01 23:59:59.999999 UTC" in listed._repr_html_()


def test_a_retention_plan(lake: AuditLake) -> None:
    """A plan shows the days that change; one that changes nothing has no table."""
    later = auditlake.open(lake.layout.root, clock=lambda: AS_OF.replace(year=2027, month=6, day=1))
    text = later.retention.plan()._repr_mimebundle_()["text/plain"]

    assert re.search(r"2026-11-23 +loses whole files +24 +24 +0 +0", text)
    assert "due: 46 events on 3 days" in text
    assert "<table>" not in lake.retention.plan(AS_OF)._repr_html_()


def test_frames(lake: AuditLake) -> None:
    """Arrow, Polars and pandas get the same rows, and so does whatever else reads Arrow."""
    rows = lake.sql('select event_id, "timestamp", seq from (select *, 7 as seq from events) order by all')
    table = rows.arrow()

    assert table.num_rows == 46
    assert rows.pl().equals(pl.DataFrame(rows))
    assert rows.df()["event_id"].to_list() == rows.pl()["event_id"].to_list() == pa.table(rows)["event_id"].to_pylist()
    assert str(rows.pl().schema["timestamp"]) == "Datetime(time_unit='us', time_zone='UTC')"
    assert isinstance(rows.df()["timestamp"].dtype, pd.DatetimeTZDtype)


def test_frames_share_memory(lake: AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Polars and pandas look at Arrow's numbers where they lie."""
    rows = lake.sql("select i, i / 2 as half from range(5000) as t(i)")
    table = rows.arrow().combine_chunks()
    monkeypatch.setattr(rows, "arrow", lambda: table)
    place = table["half"].chunk(0).buffers()[1].address

    assert rows.pl()["half"].to_arrow().buffers()[1].address == place
    values = rows.df()["half"].to_numpy()
    assert np.asarray(values).__array_interface__["data"][0] == place
