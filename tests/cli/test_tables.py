"""Tables fit the terminal: columns that do not go below the row, and nothing is broken inside a word."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from auditlake.cli.output import table
from tests.cli.conftest import Run
from tests.lakes import create

AS_OF = "2026-11-24T12:00:00Z"
POLICY = "long-" * 12 + "id"
EVENT = {
    "event_type": "data_modification", "timestamp": "2026-11-24T09:00:00Z", "user_id": "maria.of.betania@example.com",
    "action": "put", "resource": "arn:aws:iam::123456789012:role/reader", "status": "success",
    "ip_address": "2001:db8:85a3:8d3:1319:8a2e:370:7348",
}  # fmt: skip


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, run: Run, tmp_path: Path) -> Run:
    """A lake with long names, on a terminal of 80 columns."""
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(EVENT | {"event_id": f"{i}"}) + "\n" for i in range(9)))
    (tmp_path / f"{POLICY}.yaml").write_text(
        "name: Long\ndescription: d\nrequired_events: [data_modification, data_deletion, permission_change, login]\n"
        "retention_period: 7y\nalert_threshold: 5\ngroup_by: [user_id, ip_address]\n"
    )
    create("lake")
    run("ingest", "a.jsonl")
    run("policy", "add", f"{POLICY}.yaml")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    monkeypatch.setenv("COLUMNS", "80")
    return run


SHOWN = {
    ("events",): (*EVENT.values(), "2026-11-24 09:00:00Z", "source: auditlake"),
    ("policy", "list"): (POLICY, "data_deletion, data_modification, login,", "by: user_id, ip_address"),
    ("stats", "--as-of", AS_OF): (POLICY, EVENT["user_id"], "the threshold is 5"),
    ("report", "--as-of", AS_OF): (POLICY, "authentication_monitoring"),
}


@pytest.mark.parametrize("words", SHOWN, ids=lambda words: words[0])
def test_80_columns(words: tuple[str, ...], terminal: Run) -> None:
    """No line is wider than the terminal, and every name is whole."""
    done = terminal(*words)
    shown = re.sub(r"\x1b\[\d+m", "", done.out.partition("reports in ")[0])

    assert done.code == 0
    assert [line for line in shown.splitlines() if len(line) > 80] == []
    assert [name for name in SHOWN[words] if name not in shown and name != EVENT["timestamp"]] == []


def test_a_pipe_has_no_width(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the output is no terminal, a row is one line, however long; wide characters count twice."""
    table(("one", "two", "three"), [("漢字", "x" * 64, 1_000), ("é", None, 20)], right=(2,))
    heading, rule, first, second, blank = capsys.readouterr().out.splitlines()

    assert (heading, len(rule)) == (f"one   two{' ' * 61}  three", 4 + 2 + 64 + 2 + 5)
    assert first == f"漢字  {'x' * 64}  1,000"
    assert second == f"é     {' ' * 64}     20"
    assert blank == ""
