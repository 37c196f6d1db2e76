"""The canned questions run, are documented, and a lake can have its own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import auditlake
from auditlake.disk.layout import Layout
from auditlake.errors import QueryError
from auditlake.sandbox.canned import chosen, questions
from auditlake.sandbox.session import AuditSession
from tests.lakes import create
from tests.sandbox.lakes import NOW, USERS

NAMES = sorted(questions(Layout(Path("/nowhere"))))
GIVEN = {"user": "bob", "resource": "/files/%", "session": "s1", "item": "V1/I1"}


def values(name: str, now: datetime = NOW) -> dict[str, object]:
    found = chosen(questions(Layout(Path("/nowhere"))), name)
    return found.values({each.name: GIVEN[each.name] for each in found.parameters if each.default is None}, now)


def test_there_are_many() -> None:
    """There are at least fifteen, each with a sentence, and each parameter with what it is."""
    found = questions(Layout(Path("/nowhere"))).values()

    assert len(found) >= 15
    assert all(each.what.endswith(".") and not each.own for each in found)
    assert all(parameter.what for each in found for parameter in each.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_runs(name: str, desk: AuditSession) -> None:
    """Each runs in the sandbox with its defaults, and gives the columns that its header says."""
    found = chosen(questions(Layout(Path("/nowhere"))), name)
    answer = desk.sql(found.sql, values(name))

    (returns,) = [line for line in found.sql.splitlines() if line.startswith("-- returns: ")]
    assert ", ".join(answer.columns) == returns.removeprefix("-- returns: ")


def test_answers(desk: AuditSession) -> None:
    """They give what they say, on events that are known."""

    def ask(name: str, **given: object) -> list[tuple[object, ...]]:
        found = chosen(questions(Layout(Path("/nowhere"))), name)
        return desk.sql(found.sql, found.values(given, NOW)).fetchall()

    failed = ask("failed_logins")
    assert sum(row[2] for row in failed) == 57
    assert [row[2] for row in failed] == sorted((row[2] for row in failed), reverse=True)
    assert ask("failed_logins", least=1000) == []
    assert {row[1] for row in ask("user_activity", user="bob")} >= {"login", "data_access"}
    assert len(ask("deletions")) == 57
    assert sum(row[2] for row in ask("prompt_injections")) == 57
    assert {row[0] for row in ask("model_use")} <= {*USERS, None}
    assert len(ask("session", session="s1")) == 20
    assert ask("session", session="s1")[0][1] is None
    assert ask("gaps", hours=1) == []
    assert ask("dormant_then_active", days=1) == []
    assert all(
        isinstance(row[0], datetime) for row in ask("who_read_the_audit_log", since=datetime(2000, 1, 1, tzinfo=UTC))
    )
    assert {row[0] for row in ask("chain_of_custody", like="python%")} != set()


def test_late_and_dormant(tmp_path: Path) -> None:
    """Late events, long silences and guessed passwords are found."""
    lake = create(tmp_path / "lake", clock=lambda: NOW)

    def event(kind: str, days: float, user: str = "bob") -> auditlake.AuditEvent:
        return auditlake.AuditEvent(kind, NOW - timedelta(days=days), user_id=user, ip_address="10.0.0.1")

    lake.ingest([event("login", 80), event("login", 20), *(event("auth_failure", 1.001 + i / 1000) for i in range(4)),
                 event("login", 1)])  # fmt: skip
    with lake.audit_session(principal="erika") as opened:

        def ask(name: str, **given: object) -> list[tuple[object, ...]]:
            found = chosen(questions(lake.layout), name)
            return opened.sql(found.sql, found.values(given, NOW)).fetchall()

        assert [row[3] for row in ask("dormant_then_active")] == [60]
        assert sum(row[2] for row in ask("late_events")) == 6
        assert [(row[0], row[2]) for row in ask("logins_after_failures")] == [("bob", 4)]
        assert len(ask("first_seen", since="-90d")) == 1
        assert len(ask("gaps", hours="24")) == 2


def test_own(tmp_path: Path) -> None:
    """A lake's own questions are listed with ours, and may take their place; they run in the same sandbox."""
    lake = create(tmp_path / "lake")
    folder = lake.layout.root / "queries"
    folder.mkdir()
    (folder / "mine.sql").write_text(
        "-- name: mine($n)\n-- Adds one.\n-- $n (number, 41): what to\nselect $n + 1 as n;\n\n"
        "-- name: deletions()\n-- Ours no more.\ncopy events to 'x';\n"
    )
    found = questions(lake.layout)
    assert found["mine"].own
    assert found["mine"].what == "Adds one."
    with lake.audit_session(principal="erika") as opened:
        assert opened.sql(found["mine"].sql, found["mine"].values({}, NOW)).fetchall() == [(42,)]
        with pytest.raises(QueryError, match="COPY"):
            opened.sql(found["deletions"].sql)
    (folder / "bad.sql").write_text("select 1")
    with pytest.raises(QueryError, match="has no question"):
        questions(lake.layout)


def test_values() -> None:
    """Values are read as their kind, defaults filled in, and what is missing, unknown or wrong is told."""
    found = chosen(questions(Layout(Path("/nowhere"))), "failed_logins")
    assert found.values({}, NOW) == {"since": NOW - timedelta(days=30), "until": NOW, "least": 1}
    assert found.values({"since": "2026-01-02", "least": "5"}, NOW) == {
        "since": datetime(2026, 1, 1, 23, 59, 59, 999999, UTC), "until": NOW, "least": 5,
    }  # fmt: skip
    for wrong in ({"sinse": "x"}, {"since": "yesterday"}, {"least": "many"}, {"since": "-5 parsecs"}):
        with pytest.raises(QueryError):
            found.values(wrong, NOW)
    with pytest.raises(QueryError, match="needs user"):
        chosen(questions(Layout(Path("/nowhere"))), "user_activity").values({}, NOW)
    with pytest.raises(QueryError, match="no canned query"):
        chosen(questions(Layout(Path("/nowhere"))), "nothing")
