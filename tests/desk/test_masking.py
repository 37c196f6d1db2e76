"""What auditor.yaml keeps from a principal stays out of every view, and out of error messages."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest

import auditlake
from auditlake.desk.model import Outcome
from auditlake.desk.process import Reply
from auditlake.desk.session import VIEWS
from auditlake.errors import LakeFormatError, QueryError, RefusedError
from auditlake.store.pseudonyms import pseudonyms
from tests.desk.lakes import make_lake, session

FILE = """
default:
  columns: {user_id: hash, details: hide, ip_address: {truncate: 5}}
  rows: event_type <> 'data_deletion' and user_id <> 'dave'
principals:
  erika: {}
  hashed: {columns: {user_id: hash}}
"""


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    """A lake with an auditor.yaml."""
    lake = make_lake(tmp_path_factory.mktemp("masked") / "lake")
    (lake.layout.root / "auditor.yaml").write_text(FILE)
    return lake


def test_columns(masked: auditlake.AuditLake) -> None:
    """A hidden column is null, a hashed one a pseudonym, a truncated one its beginning."""
    with session(masked, principal="somebody") as opened:
        rows = opened.sql("select user_id, details, ip_address from events where user_id is not null").fetchall()

    assert {details for _, details, _ in rows} == {None}
    assert {address for _, _, address in rows} == {"10.0."}
    assert len({user for user, _, _ in rows}) == 3
    assert all(len(user) == 16 and set(user) <= set("0123456789abcdef") for user, _, _ in rows)


def test_pseudonyms_stay(masked: auditlake.AuditLake) -> None:
    """The same user has the same pseudonym in every session and for every principal, and nobody can compute it."""
    found = []
    for principal in ("somebody", "hashed", "somebody"):
        with session(masked, principal=principal) as opened:
            found.append(opened.sql("select distinct user_id from events where event_id = 'e0001'").fetchall())
            guessed = opened.sql("select left(sha256('bob'), 16)").fetchall()
            assert guessed not in found

    assert found[0] == found[1] == found[2]


def test_rows(masked: auditlake.AuditLake) -> None:
    """A row filter hides rows from every view; a row on which it cannot be decided is hidden too."""
    with session(masked, principal="somebody") as opened:
        types = opened.sql("select distinct event_type from events order by 1").fetchall()
        nobody = opened.sql("select count(*) from events where user_id is null").fetchall()
        found = opened.sql("select distinct event_type from findings where event_type is not null").fetchall()
    with session(masked) as opened:
        everything = opened.sql("select count(*) from events").fetchall()

    assert ("data_deletion",) not in types
    assert nobody == [(0,)]
    assert everything == [(400,)]
    assert ("data_deletion",) in found  # of what they may see, there is none


@pytest.mark.parametrize(
    "statement",
    [
        "select cast(event_type || action as integer) from events",
        "select error(user_id || event_type) from events",
        "select count(*) from events where cast(event_type || user_id as integer) = 1",
        "select count(*) from events where case when event_type = 'data_deletion' then error('seen') else true end",
        "select max(case when event_type = 'data_deletion' then 1 / 0 end) from events group by user_id",
        "summarize events",
        "select * from events e join events f using (event_id) where e.event_type = 'data_deletion'",
    ],
)
def test_no_way_around(statement: str, masked: auditlake.AuditLake) -> None:
    """No error, condition or join tells of a row or value that is hidden."""
    with session(masked, principal="somebody") as opened:
        try:
            said = str(opened.sql(statement).fetchall())
        except QueryError as error:
            said = str(error)

    assert "data_deletion" not in said
    assert "dave" not in said
    assert "seen" not in said


def test_secure_view(masked: auditlake.AuditLake) -> None:
    """A view that leaves out rows is one below which DuckDB runs nothing of the asker's, whatever it learns on the way;
    one that does not is not, so that conditions skip whole files."""
    asked = "select sql like '%SECURE VIEW%' from duckdb_views() where view_name = 'events'"
    for principal, secure in (("somebody", True), ("hashed", False)):
        with session(masked, principal=principal, layers=("landlock", "engine")) as opened:
            assert opened.sql(asked).fetchall() == [(secure,)]


def test_key_is_kept(masked: auditlake.AuditLake) -> None:
    """No message quotes what pseudonyms are made with."""
    with session(masked, principal="hashed") as opened:
        for statement in (
            "select cast(user_id as integer) from events",
            "select user_id::date from events",
            "select sum(user_id) from events",
            "select user_id.x from events",
            "select json_extract(user_id, '$[') from events",
            "select error(user_id) from events",
        ):
            with pytest.raises(QueryError) as failure:
                opened.sql(statement)
            assert opened._key not in str(failure.value)
        quoted = opened._without_key(Reply(Outcome("failed", f"in sha256('{opened._key}')")))

    assert quoted.outcome.reason == "in sha256('…')"


def test_other_views(masked: auditlake.AuditLake) -> None:
    """Neither findings nor queries nor quarantine tell what is masked."""
    with session(masked) as opened:
        opened.sql("select 'alice and dave'")
    with session(masked, principal="somebody") as opened:
        said = "".join(str(opened.sql(f"from {view}").fetchall()) for view in VIEWS if view != "events")

    assert "alice" not in said
    assert "dave" not in said
    assert "10.0.1" not in said


def test_questions_of_others(tmp_path: Path) -> None:
    """What others asked, whose words may be what is masked, is not there either once it is in a partition."""
    lake = make_lake(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(
        "principals: {erika: {}, hashed: {columns: {user_id: hash}}, cut: {columns: {details: {truncate: 90}}}}"
    )
    with session(lake) as opened:
        opened.sql("select 'alice and dave'")
    lake.flush()
    for principal in ("hashed", "cut"):
        with session(lake, principal=principal) as opened:
            said = opened.sql("select details from events where source = 'auditlake.self'").fetchall()
            asked = opened.sql("select query from queries").fetchall()
            others = opened.sql("select count(details) from events").fetchall()
        assert (said, asked, others) == ([(None,)], [(None,)], [(400,)])


def test_nobody_else(tmp_path: Path) -> None:
    """Where a file names no default, only those that it names may ask."""
    lake = make_lake(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text("principals: {erika: {}}")
    with session(lake) as opened:
        opened.sql("select 1")
    with pytest.raises(RefusedError, match="may not ask"):
        session(lake, principal="mallory")


@pytest.mark.parametrize(
    "text",
    [
        "[",
        "- 1",
        "nobody: {}",
        "principals: [a]",
        "default: {columns: {event_type: hide}}",
        "default: {columns: {user_id: maybe}}",
        "default: {columns: {user_id: {truncate: 0}}}",
        "default: {rows: 'user_id = (select 1)'}",
        "default: {rows: ')) union select 1'}",
        "default: {what: 1}",
        "principals: {other: {columns: {nothing: hide}}}",
        "&a [*a]",
    ],
)
def test_mistakes(text: str, tmp_path: Path) -> None:
    """A mistake anywhere in the file keeps everybody out."""
    lake = auditlake.create(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(text)

    with pytest.raises(LakeFormatError, match="cannot be understood"):
        session(lake)


@pytest.mark.parametrize("principal", ["", "  ", "a\nb", "x" * 201, "\x1b[31m", 7, None])
def test_names(principal: object, tmp_path: Path) -> None:
    """A principal has a name that can be shown."""
    lake = auditlake.create(tmp_path / "lake")

    with pytest.raises(RefusedError):
        session(lake, principal=principal)


def test_an_id_confirms_no_guess(tmp_path: Path) -> None:
    """Who may not see everything cannot find an event by an id made of what is hidden; the id joins with itself."""
    lake = make_lake(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(FILE + "  cut: {columns: {event_id: {truncate: 12}}}\n")
    line = '{"event_type": "login", "timestamp": "2026-07-01T00:00:00Z", "user_id": "mallory", "status": "x"}'
    file = tmp_path / "one.jsonl"
    file.write_text(line + "\n")
    lake.ingest(file)
    guessed = sha256(f"auditlake\n{sha256(line.encode()).hexdigest()}\n1".encode()).hexdigest()
    found = {}
    for principal in ("erika", "somebody", "hashed", "cut"):
        with session(lake, principal=principal) as opened:
            rows = opened.sql("select event_id from events where status = 'x'").fetchall()
            same = "select count(*) from events a join events b using (event_id) where a.status = 'x'"
            assert opened.sql(same).fetchall() == [(1,)]
            assert opened.sql("select count(*) from events where event_id = 'e0001'").fetchall() == [(1,)]
            inputs = opened.sql("select count(sha256) from ingests").fetchall()
        ((found[principal],),) = rows
        assert (inputs > [(0,)]) is (principal == "erika")

    names = pseudonyms(lake.layout, make=False)
    assert names is not None
    assert found["erika"] == guessed
    assert found["somebody"] == found["hashed"] == names.keyed(guessed)
    assert found["cut"] == names.keyed(guessed)[:12]
