"""A question opens only the files of the snapshot that can matter to it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import QueryError
from auditlake.store.file_types import file_types
from tests.sandbox.lakes import session
from tests.store.test_narrowed import DAYS, TYPES, made

QUESTIONS = (
    "select event_type, count(*) from events group by all order by all",
    "select count(*) from events where event_type = 'login'",
    "select count(*) from events where event_type in ('data_access', $other)",
    "select count(*) from events where event_type like 'data%'",
    "select (select count(*) from events where event_type = 'login'), (select count(*) from events)",
    "pivot (from events where event_type in ('login', 'api_call')) on event_type using count(*) group by user_id",
    "pivot events on event_type using count(*) group by user_id",
    "summarize select event_type from events",
    "select count(*) from events",
)
"""Each after the other in one session, so that what one left out is there again."""


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> AuditLake:
    """A lake in classes."""
    return made(tmp_path_factory.mktemp("narrowed") / "lake")


def test_answers_are_those_of_all_files(lake: AuditLake) -> None:
    """Whatever was asked before, a question sees all that it asks for."""
    with session(lake) as desk:
        asked_of = lambda query, values: desk.sql(query, values).fetchall()  # noqa: E731
        for query in (*QUESTIONS, *reversed(QUESTIONS)):
            values = {"other": "api_call"} if "$other" in query else None
            owners = lake.sql(query, values, snapshot=desk.snapshot).fetchall()
            assert asked_of(query, values) == owners, query
        assert asked_of("select count(*) from queries", None)[0][0] >= len(QUESTIONS)


def test_other_files_are_not_opened(tmp_path: Path) -> None:
    """A question about one type is answered though files of the others have gone; one about all is not."""
    lake = made(tmp_path / "lake")
    with session(lake) as desk:
        held = file_types(lake.layout, desk.snapshot)
        for path, types in held.items():
            if not {name for name, _ in types} & {"login"}:
                (lake.layout.events / path).unlink()
        assert Counter(name for types in held.values() for name, _ in types) >= Counter(dict.fromkeys(TYPES, DAYS))
        assert desk.sql("select count(*) from events where event_type = 'login'").fetchall() == [(DAYS,)]
        with pytest.raises(QueryError):
            desk.sql("select count(*) from events where user_id = 'u'")
        assert desk.sql("select count(*) from events where event_type = 'login'").fetchall() == [(DAYS,)]
