"""What auditor.yaml keeps from a principal stays out of every view, and out of error messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import duckdb
import pytest

import auditlake
from auditlake.errors import LakeFormatError, QueryError, RefusedError
from auditlake.sandbox.model import Outcome
from auditlake.sandbox.parent import Reply
from auditlake.sandbox.principals import masking_of
from auditlake.sandbox.session import VIEWS, AuditSession
from auditlake.store.pseudonyms import pseudonyms
from tests.lakes import create
from tests.sandbox.lakes import NOW, make_lake, session

FILE = """
default:
  columns: {user_id: hash, details: hide, ip_address: {truncate: 5}}
  rows: event_type <> 'data_deletion' and user_id <> 'dave'
principals:
  erika: everything
  hashed: {columns: {user_id: hash}}
"""


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> auditlake.AuditLake:
    """A lake with an auditor.yaml."""
    lake = make_lake(tmp_path_factory.mktemp("masked") / "lake")
    (lake.layout.root / "auditor.yaml").write_text(FILE)
    return lake


@pytest.fixture(scope="module")
def somebody(masked: auditlake.AuditLake) -> Iterator[AuditSession]:
    """A session of somebody for whom the default holds."""
    with session(masked, principal="somebody") as opened:
        yield opened


def test_columns(somebody: AuditSession) -> None:
    """A hidden column is null, a hashed one a pseudonym, a truncated one its beginning."""
    rows = somebody.sql("select user_id, details, ip_address from events where user_id is not null").fetchall()

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


def test_rows(masked: auditlake.AuditLake, somebody: AuditSession) -> None:
    """A row filter hides rows from every view; a row on which it cannot be decided is hidden too."""
    types = somebody.sql("select distinct event_type from events order by 1").fetchall()
    nobody = somebody.sql("select count(*) from events where user_id is null").fetchall()
    found = somebody.sql("select distinct event_type from findings where event_type is not null").fetchall()
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
def test_no_way_around(statement: str, somebody: AuditSession) -> None:
    """No error, condition or join tells of a row or value that is hidden."""
    try:
        said = str(somebody.sql(statement).fetchall())
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
            assert not any(secret in str(failure.value) for secret in opened._secrets)
        assert len(opened._secrets) == 3
        quoted = opened._without_secrets(Reply(Outcome("failed", f"in {' '.join(opened._secrets)}")))

    assert quoted.outcome.reason == "in … … …"


def test_other_views(masked: auditlake.AuditLake) -> None:
    """Neither findings nor queries nor quarantine tell what is masked."""
    with session(masked) as opened:
        opened.sql("select 'alice and dave'")
    with session(masked, principal="somebody") as opened:
        said = "".join(str(opened.sql(f"from {view}").fetchall()) for view in VIEWS if view != "events")

    assert "alice" not in said
    assert "dave" not in said
    assert "10.0.1" not in said


def test_rules_and_refused_records(tmp_path: Path) -> None:
    """No condition on a column that is masked is told, nor what names its value in a policy or a refused record."""
    lake = make_lake(tmp_path / "lake")
    for name, where in (
        ("named", "USER_ID = 'mallory'"),
        ("plain", "status = 'success'"),
        ("bad", "user_id = mallory"),
    ):
        lake.layout.policy(name).write_text(
            f"name: n\ndescription: d\nrequired_events: [login]\nalert_threshold: 3\nwhere: {where}\n"
        )
    file = tmp_path / "refused.jsonl"
    file.write_text(
        '{"event_type": "login", "timestamp": "2026-11-24T00:00:00Z", "mallory": 1, "mallory": 2}\n'
        '{"event_type": "login", "timestamp": "mallory"}\nmallory\n'
    )
    lake.ingest(file)
    (lake.layout.root / "auditor.yaml").write_text("principals: {hidden: {columns: {user_id: hide}}}")
    with session(lake, principal="hidden") as opened:
        asked = opened.sql("select policy_id, condition, digest is null from policies where policy_id < 'q'").fetchall()
        refused = opened.sql("from quarantine").fetchall()
        hashes = opened.sql("select count(previous_log), count(details) from ledger").fetchall()
        said = "".join(str(opened.sql(f"from {view}").fetchall()) for view in VIEWS)

    assert {name: told for name, *told in asked if name in {"named", "plain"}} == {
        "named": [None, True], "plain": ["status = 'success'", False],
    }  # fmt: skip
    assert [row[0] for row in refused] == [None] * 3  # a name that is a hash of few records confirms a guess
    assert hashes == [(0, 0)]
    assert "mallory" not in said


def test_questions_of_others(tmp_path: Path) -> None:
    """What others asked, whose words may be what is masked, is not there either once it is in a partition."""
    lake = make_lake(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(
        "principals: {erika: everything, hashed: {columns: {user_id: hash}}, cut: {columns: {details: {truncate: 90}}}}"
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
    (lake.layout.root / "auditor.yaml").write_text("principals: {erika: everything}")
    with session(lake) as opened:
        opened.sql("select 1")
    with pytest.raises(RefusedError, match="may not ask"):
        session(lake, principal="mallory")


MISTAKES = {
    "[": ("2:1: this is not YAML",),
    "": ("1:1: the file is empty",),
    "{}": ("1:1: expected some of default, principals, groups",),
    "- 1": ("1:1: the file: expected keys with values, got a list",),
    "nobody: everything": ("1:1: unknown key 'nobody'",),
    "principals: [a]": ("1:13: principals: expected a name for each",),
    "principals:": ("1:12: principals: expected a name for each",),
    "principals: {}": ("1:13: principals: expected at least one name",),
    "default: {columns: {event_type: hide}}": ("1:21: unknown key 'event_type'",),
    "default: {columns: {user_id: maybe}}": ("1:30: default.columns.user_id: expected hide, hash or {truncate: N}",),
    "default: {columns: {user_id: {truncate: 0}}}": (
        "1:41: default.columns.user_id.truncate: expected a whole number",
    ),
    "default: {columns: {user_id: {truncate: 5, hide: x}}}": ("1:44: unknown key 'hide'",),
    "default: {columns: {user_id: {}}}": ("1:30: default.columns.user_id needs the key 'truncate'",),
    "default: {columns: {user_id: }}": ("1:30: default.columns.user_id: expected hide, hash or {truncate: N}",),
    "default: {rows: 'user_id = (select 1)'}": ("1:17: default.rows: ",),
    "default: {rows: ')) union select 1'}": ("1:17: default.rows: ",),
    "default: {rows: }": ("1:17: default.rows: expected a condition, got nothing",),
    "default: {rows: true}": ("1:17: default.rows: expected a condition, got true",),
    "default: {what: 1}": ("1:11: unknown key 'what'",),
    "principals: {other: {columns: {nothing: hide}}}": ("1:32: unknown key 'nothing'",),
    "&a [*a]": ("1:1: an anchor (&a) is not allowed",),
    # What kept nothing from anybody, or something else from somebody else than was meant.
    "default:": ("1:9: default: expected columns, rows, or the word everything", "default: everything"),
    "default: {}": ("1:10: default: expected columns, rows", "who may see everything is written"),
    "principals: {erika: {}}": ("1:21: principals.erika: expected columns, rows", "principals.erika: everything"),
    "principals: {erika: {columns: {}}}": ("1:31: principals.erika.columns: expected at least one column",),
    "principals: {erika: {columns: }}": ("1:31: principals.erika.columns: expected a column for each",),
    "principals: {erika: all}": ("1:21: principals.erika: expected columns, rows, or the word everything",),
    "default: {rows: source = 'a'}\ndefault: everything": ("2:1: the key 'default' is given twice, first in line 1",),
    "principals:\n  bob: {columns: {user_id: hide}}\n  bob: everything": ("3:3: the key 'bob' is given twice",),
    "default: {columns: {user_id: hide, user_id: hash}}": ("1:36: the key 'user_id' is given twice",),
    "principals: {1001: everything}": ("1:14: a principal's name: expected text, got 1001", "quote it: '1001'"),
    "principals: {no: everything}": ("1:14: a principal's name: expected text, got no", "quote it: 'no'"),
    "principals: {2026-01-01: everything}": ("1:14: a principal's name: expected text",),
    "principals: {' bob': everything}": ("1:14: a principal's name has at most 200 printable characters",),
    "principals: {Jos\u00e9: everything, Jose\u0301: everything}": ("1:32: the name 'Jose\u0301' is given twice",),
    "nobody: 1\nprincipals:\n  1001: {columns: {user: hide}}\n": (
        "1:1: unknown key",
        "3:3: ",
        "3:20: unknown key 'user'",
    ),
}
"""What a file may hold, and what is said of it."""


def test_mistakes(tmp_path: Path) -> None:
    """A mistake anywhere in the file keeps everybody out, and each is told with its place."""
    lake = create(tmp_path / "lake")
    for text, told in MISTAKES.items():
        (lake.layout.root / "auditor.yaml").write_text(text, encoding="utf-8")
        with pytest.raises(LakeFormatError, match=r"auditor\.yaml cannot be understood") as refused:
            masking_of(lake.layout, "erika")
        assert [each for each in told if each not in str(refused.value)] == [], (text, str(refused.value))


def test_files_that_are_meant(tmp_path: Path) -> None:
    """A file of another name, a link, a folder or a pipe in its place keeps everybody out; none at all nobody."""
    lake = create(tmp_path / "lake")
    root = lake.layout.root
    assert not masking_of(lake.layout, "erika")
    for name in ("auditor.yml", "Auditor.yaml", "auditors.yaml"):
        (root / name).write_text("default: {columns: {user_id: hide}}")
        with pytest.raises(
            LakeFormatError, match=r"is not read: the file that says what principals see is auditor\.yaml"
        ):
            masking_of(lake.layout, "erika")
        (root / name).unlink()
    (tmp_path / "elsewhere.yaml").write_text("default: everything")
    for make in (
        lambda path: path.symlink_to("nowhere"),
        lambda path: path.symlink_to(tmp_path / "elsewhere.yaml"),
        lambda path: path.mkdir(),
        os.mkfifo,
    ):
        make(root / "auditor.yaml")
        with pytest.raises(LakeFormatError, match=r"auditor\.yaml cannot be read"):
            session(lake)
        (root / "auditor.yaml").rmdir() if (root / "auditor.yaml").is_dir() else (root / "auditor.yaml").unlink()


def test_names_of_principals(tmp_path: Path) -> None:
    """A quoted number is a name, and a name is the same however its accents are spelled."""
    lake = create(tmp_path / "lake")
    (lake.layout.root / "auditor.yaml").write_text(
        "default: everything\nprincipals: {'1001': {columns: {user_id: hide}}, Jos\u00e9: {columns: {details: hide}}}",
        encoding="utf-8",
    )

    assert masking_of(lake.layout, "1001").columns == {"user_id": "hide"}
    assert masking_of(lake.layout, "Jose\u0301").columns == {"details": "hide"}
    assert not masking_of(lake.layout, "anybody")


JUDGED = """
principals:
  erika: everything
  hide: {columns: {user_id: hide}}
  hash: {columns: {user_id: hash}}
  cut: {columns: {user_id: {truncate: 1}}}
  fewer: {columns: {user_id: hide}, rows: user_id <> 'u0'}
"""
POLICY = """
name: Failures
description: Three failures of one user
required_events: [auth_failure]
retention_period: 30d
alert_threshold: 3
group_by: [user_id]
where: user_id like 'u%'
"""
HOLD = "{reason: r, owner: o, ticket: t, created: '2026-01-01T00:00:00Z', user_ids: [u1]}"


def judged_lake(folder: Path) -> auditlake.AuditLake:
    """Seven users who fail to log in: u0 and u1 three times, u0 accepted; u1 has an old event that is held."""
    lake = create(folder / "lake", clock=lambda: NOW)
    for each in lake.layout.policies.iterdir():
        each.unlink()
    lake.layout.policy("failures").write_text(POLICY)
    lake.layout.hold("u1").write_text(HOLD)
    failures = [(user, each) for user in range(7) for each in range(3 if user < 2 else 1)]
    lake.ingest(
        [
            auditlake.AuditEvent("auth_failure", NOW - timedelta(hours=each + 1), user_id=f"u{user}")
            for user, each in failures
        ]
        + [auditlake.AuditEvent("auth_failure", NOW - timedelta(days=99), user_id=f"u{user}") for user in (1, 2)]
    )
    accepted = {"reason": "known", "owner": "ops", "until": NOW + timedelta(days=9), "by": "me"}
    lake.findings.accept(lake.findings.list()[0].finding.id, **accepted)
    (lake.layout.root / "auditor.yaml").write_text(JUDGED)
    return lake


def test_verdicts(tmp_path: Path) -> None:
    """A masked principal gets the verdicts of the true values over the rows that they may see, with groups masked."""
    lake = judged_lake(tmp_path)
    verdicts, groups, ids = {}, {}, {}
    for principal in ("erika", "hide", "hash", "cut", "fewer"):
        with session(lake, principal=principal) as opened:
            (verdicts[principal],) = opened.sql(
                "select status, due, held, total_events from retention_status"
            ).fetchall()
            found = opened.sql("select group_values, accepted, finding_id, peak, message from findings").fetchall()
            users = opened.sql("select user_id, count(*) from events group by all having count(*) >= 3").fetchall()
        groups[principal] = sorted((json.loads(group)["user_id"] or "", accepted) for group, accepted, *_ in found)
        ids[principal] = {number for _, _, number, *_ in found}
        shown = {user for user, _ in users}
        assert {json.loads(group)["user_id"] for group, *_ in found} <= shown
        assert principal == "erika" or not any("u0" in str(each) or "u1" in str(each) for each in found)

    for principal in ("erika", "hide", "hash", "cut"):
        assert verdicts[principal] == ("violation", 1, 1, 11), principal
    assert verdicts["fewer"] == ("violation", 1, 1, 8)
    assert groups["erika"] == [("u0", True), ("u1", False)]
    assert groups["hide"] == [("", False), ("", True)]
    assert groups["cut"] == [("u", False), ("u", True)]
    assert groups["fewer"] == [("", False)]
    assert [accepted for _, accepted in sorted(groups["hash"], key=lambda each: each[1])] == [False, True]
    assert ids["fewer"] < ids["hide"]
    assert not ids["hide"] & ids["erika"]  # who guesses a name could compute the true one


def test_groups_of_hidden_values(tmp_path: Path) -> None:
    """Each expression over a hidden column stays a value of its own, which is named by its place."""
    lake = judged_lake(tmp_path)
    values = """["details ->> '$.a'", user_id, "details ->> '$.b'"]"""
    lake.layout.policy("failures").write_text(POLICY.replace("[user_id]", values))
    at = (NOW - timedelta(hours=each) for each in (3, 2, 1))
    lake.ingest([auditlake.AuditEvent("auth_failure", each, user_id="u9", details={"a": 1, "b": 2}) for each in at])
    (lake.layout.root / "auditor.yaml").write_text("principals: {hide: {columns: {details: hide}}}")
    with session(lake, principal="hide") as opened:
        ((group, message),) = opened.sql("select group_values, message from findings").fetchall()
        assert opened.sql("select group_by from policies").fetchall() == [(["value 1", "user_id", "value 3"],)]
    assert json.loads(group) == {"value 1": None, "user_id": "u9", "value 3": None}
    assert message == ("3 events within 24h for value 1 (hidden), user_id u9, value 3 (hidden): the threshold is 3")


def test_errors_of_judging(masked: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong with true values while policies are judged is not told to who may not see them."""

    def fails(*_: object, **__: object) -> None:
        raise duckdb.ConversionException("could not convert 'dave' to INT32")

    monkeypatch.setattr("auditlake.policies.evaluate.evaluate", fails)
    for principal, told in (("erika", "dave"), ("somebody", "the view findings cannot be made")):
        with session(masked, principal=principal) as opened, pytest.raises(QueryError) as failure:
            opened.sql("from findings")
        assert told in str(failure.value)
        assert ("dave" in str(failure.value)) == (principal == "erika")


@pytest.mark.parametrize("principal", ["", "  ", "a\nb", "x" * 201, "\x1b[31m", 7, None])
def test_names(principal: object, tmp_path: Path) -> None:
    """A principal has a name that can be shown."""
    lake = create(tmp_path / "lake")

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


@pytest.mark.parametrize("asked", ["sum: resource", "average: cast(resource as int)"])
def test_a_sum_of_hidden_values(tmp_path: Path, asked: str) -> None:
    """Of one event the sum is the very value: neither the peak nor the message tells it."""
    lake = judged_lake(tmp_path)
    lake.layout.policy("failures").write_text(f"{POLICY}{asked}\n")
    lake.ingest([auditlake.AuditEvent("auth_failure", NOW - timedelta(hours=1), user_id="u9", resource="4711")])
    (lake.layout.root / "auditor.yaml").write_text("principals: {hide: {columns: {resource: hide}}}")
    with session(lake, principal="hide") as opened:
        assert opened.sql("select peak, message from findings").fetchall() == [(None, "(hidden)")]
