"""The command line: verbs, exit codes, one line for every error, JSON for machines."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import auditlake
from auditlake import AuditLake
from auditlake.errors import ReportError
from auditlake.policies.files import SETS
from tests.cli.conftest import Run
from tests.lakes import create

AS_OF = "2026-11-24T12:00:00Z"


def test_from_nothing_to_a_report(run: Run, events: Path, tmp_path: Path) -> None:
    """init, ingest and report leave a table of statuses, and for each policy a JSON file and a page, with an index."""
    assert run("init").code == 0
    ingested = run("ingest", events)
    reported = run("report", "--as-of", AS_OF)

    assert "10 records of 1 input: 10 landed, 0 duplicates, 0 quarantined (snapshot 1)" in ingested.out
    assert reported.code == 0
    assert "failed_logins" in reported.out
    names = sorted(file.name for file in (tmp_path / "lake" / "reports").iterdir())
    parts = "JSON, a page, one over time, and the way to the latest of each; the index"
    assert len(names) == 4 * len(SETS["starter"]) + 1, parts
    assert "compliance_failed_logins_20261124T120000Z_v1.json" in names


def test_a_lake_is_made_where_it_is_named(run: Run, tmp_path: Path) -> None:
    """The place after ``init`` goes before that of ``--lake``."""
    assert "elsewhere" in run("--lake", "lake", "init", str(tmp_path / "elsewhere")).out
    assert (tmp_path / "elsewhere" / "lake.toml").exists()
    assert not (tmp_path / "lake").exists()


def test_quarantine_is_no_failure_unless_strict(run: Run, events: Path) -> None:
    """A bad record leaves exit code 0 and is counted; under --strict it is 3, and nothing lands."""
    events.write_text(events.read_text() + "no json\n")
    create("lake")
    strict = run("ingest", events, "--strict")
    after_strict = run("stats", "--json", "--as-of", AS_OF)
    plain = run("ingest", events, "--json")

    assert (strict.code, after_strict.json["total_events"]) == (3, 0)
    assert "not valid JSON" in strict.err
    assert (plain.code, plain.json["landed"], plain.json["quarantined"]) == (0, 10, 1)
    assert plain.json["reasons"] == {"not valid JSON": 1}


def test_strangers_in_a_folder_are_named(run: Run, events: Path) -> None:
    """A file of a folder that is no log is left out, and the summary says so."""
    folder = events.parent / "logs"
    folder.mkdir()
    events.rename(folder / events.name)
    (folder / "README\x1b[31m").write_text("Notes\n")
    create("lake")
    done = run("ingest", "logs")
    strict = run("ingest", "logs", "--strict")
    told = [each["notice"] for each in run("ingest", "logs", "--json").json["inputs"]]

    assert done.code == 0
    why = "not recognised (it is neither JSON nor a table with the columns of an event)"
    assert rf"left out logs/README\u001b[31m: {why}" in done.out
    assert "10 records of 2 inputs: 10 landed" in done.out
    assert told == [why, ""]
    assert strict.code == 3
    assert r"logs/README\u001b[31m is not recognised" in strict.err


@pytest.mark.parametrize(
    ("fail_on", "code"), [("violation", 1), ("no_data", 0), ("violation,no_data", 1), ("compliant", 0)]
)
def test_fail_on(run: Run, filled: AuditLake, fail_on: str, code: int) -> None:
    """--fail-on makes the exit code 1 when any of its statuses is reported, and only then."""

    assert run("report", "failed_logins", "--as-of", AS_OF, "--fail-on", fail_on).code == code


def test_no_data_is_reported_as_such(run: Run) -> None:
    """An empty lake is neither compliant nor in violation, and --fail-on no_data says so."""
    create("lake")
    done = run("report", "--as-of", AS_OF, "--fail-on", "no_data", "--json")

    assert done.code == 1
    assert {each["status"] for each in done.json["reports"]} == {"no_data"}


ERRORS = {
    "no lake": (("stats",), 3, "there is no lake at"),
    "no such policy": (("report", "faild_logins"), 3, "did you mean failed_logins?"),
    "no such file": (("ingest", "nowhere.jsonl"), 3, "nowhere.jsonl does not exist"),
    "no name at all": (("ingest", ""), 3, "an input has an empty name"),
    "no such source": (("ingest", "lake/lake.toml", "--source", "syslog"), 3, "there is no source 'syslog'"),
    "not recognised": (("ingest", "notes"), 3, "tried auditlake"),
    "no such snapshot": (("report", "--snapshot", "9"), 3, "the lake has no snapshot 9"),
    "period backwards": (("report", "--since", "2026-11-25", "--as-of", AS_OF), 3, "the period must end after"),
    "period twice": (("report", "--last", "3d", "--period", "2026"), 3, "more than one way"),
    "odd period": (("report", "--period", "2026-13"), 3, "period: expected"),
    "odd length": (("report", "--last", "soon"), 3, "last:"),
    "odd time": (("report", "--as-of", "yesterday"), 2, "not a time"),
    "odd format": (("report", "--format", "docx"), 2, "expected some of json, html"),
    "no format": (("report", "--format", ""), 2, ", got nothing"),
    "half a format": (("report", "--format", "json,"), 2, ", got nothing"),
    "no status": (
        ("report", "--fail-on", ""),
        2,
        "expected some of violation, no_data, compliant, error, fail, not_evaluated, got nothing",
    ),
    "no folder": (("report", "--out", ""), 2, "expected a folder, got nothing"),
    "a file for a folder": (("report", "--out", "lake/lake.toml"), 2, "'lake/lake.toml' is a file"),
    "a folder below a file": (("report", "--out", "lake/lake.toml/x"), 3, "lake.toml is there and no folder"),
    "a link to nothing": (("report", "--out", "dangling"), 3, "dangling is there and no folder"),
    "odd status": (("report", "--fail-on", "bad"), 2, "expected some of violation"),
    "grace without end": (("compact", "--grace", "inf"), 2, "expected a number of hours, got inf"),
    "grace that is no number": (("compact", "--grace", "nan"), 2, "expected a number of hours, got nan"),
    "negative grace": (("compact", "--grace", "-1"), 2, "-1.0 is not in the range x>=0"),
    "no verb": (("frobnicate",), 2, "No such command"),
    "lake is there": (("init",), 3, "there is a lake at"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_clear_line(run: Run, name: str, tmp_path: Path) -> None:
    """What cannot be done is told in a line on standard error, with its exit code and no traceback."""
    arguments, code, message = ERRORS[name]
    (tmp_path / "dangling").symlink_to("nothing")
    (tmp_path / "notes").write_text("hello\n")
    if name != "no lake":
        create("lake")
    done = run(*arguments)

    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.out == ""


def test_every_mistake_of_a_policy_is_told(run: Run, tmp_path: Path) -> None:
    """A policy file's mistakes are all listed, each with file, line and column."""
    file = tmp_path / "bad.yaml"
    file.write_text(
        "name: Bad\ndescription: d\nrequired_events: [logn]\nretention_period: 3 moons\nalert_threshold: 0\n"
    )
    create("lake")
    done = run("policy", "add", file)

    assert done.code == 3
    assert [line for line in (3, 4, 5) if f"bad.yaml:{line}:" in done.err] == [3, 4, 5]


def test_event_filters(run: Run, filled: AuditLake) -> None:
    """Filters narrow what is shown; start and end are inclusive."""

    def ids(*filters: str) -> list[str]:
        return [each["event_id"] for each in run("events", "--json", *filters).json["events"]]

    assert ids("--type", "login") == ["l1"]
    assert ids("--user", "alice", "--user", "nobody") == ["l1"]
    assert ids("--start", "2026-11-24T09:07:00Z", "--end", "2026-11-24T09:08:00Z") == ["e7", "e8"]
    assert ids("--status", "failure", "--limit", "2") == ["e0", "e1"]
    assert ids("--ip", "203.0.113.9", "--source", "auditlake", "--limit", "1") == ["e0"]
    assert ids("--resource", "x") == ids("--session", "x") == []


def test_events_as_lines_and_csv(run: Run, filled: AuditLake) -> None:
    """JSON lines come back as they went in, and CSV has a header and all columns."""
    lines = [json.loads(line) for line in run("events", "--format", "jsonl").out.splitlines()]
    rows = list(csv.DictReader(io.StringIO(run("events", "--format", "csv").out)))

    assert [line["event_id"] for line in lines] == [row["event_id"] for row in rows]
    assert lines[0]["details"] == {"n": 0}
    assert rows[0]["timestamp"] == "2026-11-24T09:00:00.000000Z"


HOSTILE = "\x1b[31mred\x07 =cmd() \u202eevil\r\nline"


def test_hostile_text_stays_text(run: Run, tmp_path: Path) -> None:
    """Control characters of events never reach a terminal, and CSV cells never begin as formulas."""
    file = tmp_path / "hostile.jsonl"
    file.write_text(json.dumps({"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": HOSTILE,
                                "action": "=HYPERLINK(1)", "event_id": "+1"}) + "\n")  # fmt: skip
    create("lake")
    run("ingest", file)
    shown = run("events").out
    told = run("stats", "--as-of", AS_OF).out
    lines = run("events", "--format", "jsonl").out
    (row,) = csv.DictReader(io.StringIO(run("events", "--format", "csv").out, newline=""))

    for text in (shown, told, lines):
        assert not any(character in text for character in "\x1b\x07\u202e\r")
    assert row["action"] == "'=HYPERLINK(1)"
    assert row["event_id"] == "'+1"


def test_stats_say_what_narrows_them(run: Run, filled: AuditLake) -> None:
    """A policy with a scope counts what is in it: its numbers of now are never read as those of all its events."""
    for name, scope in (("own", "user_id = 'ann'"), ("every", "true")):
        said = {"name": name, "description": "d", "required_events": ["login"], "alert_threshold": 1, "scope": scope}
        (filled.layout.policies / f"{name}.yaml").write_text(json.dumps(said))
    told = run("stats", "--as-of", AS_OF)
    found = run("stats", "--json", "--as-of", AS_OF).json["policy_compliance"]

    assert "narrowed by a scope:" in told.out
    assert found["own"]["narrowed_by"] == "user_id = 'ann'"
    assert [name for name, each in found.items() if "narrowed_by" in each] == ["own"], "true leaves nothing out"


def test_standard_input_and_environment(filled: AuditLake, events: Path) -> None:
    """A hyphen reads standard input, and AUDITLAKE_LAKE names the lake."""
    done = subprocess.run(
        [sys.executable, "-m", "auditlake", "ingest", "-", "--json"], input=events.read_bytes(), check=True,
        env=os.environ | {"AUDITLAKE_LAKE": str(filled.layout.root)}, cwd="/", capture_output=True,
    )  # fmt: skip

    assert json.loads(done.stdout)["duplicates"] == 10


def test_a_closed_pipe_is_no_error(events: Path, tmp_path: Path) -> None:
    """When the reader of our output goes away, as head does, nothing is complained about."""
    environment = os.environ | {"AUDITLAKE_LAKE": str(tmp_path / "lake")}
    many = tmp_path / "many.jsonl"
    line = '{{"event_id":"{}","event_type":"login","timestamp":"2026-11-24T09:00:00Z"}}\n'
    many.write_text("".join(line.format(i) for i in range(2_000)))
    create(tmp_path / "lake").ingest(many)
    shell = f"{sys.executable} -m auditlake events --format jsonl | head -1"
    done = subprocess.run(shell, shell=True, env=environment, capture_output=True, text=True, check=True)

    assert json.loads(done.stdout)["event_type"] == "login"
    assert done.stderr == ""


def test_one_is_no_plural(run: Run, tmp_path: Path) -> None:
    """What there is one of is said in the singular, by every verb that counts."""
    (tmp_path / "one.jsonl").write_text(
        '{"event_id": "e", "event_type": "login", "timestamp": "2020-11-24T09:00:00Z", "user_id": "ann"}\n'
    )
    (tmp_path / "p.yaml").write_text("name: n\ndescription: d\nrequired_events: [login]\nretention_period: 1d\n")
    create("lake")
    for name in ("authentication_monitoring", "data_access_tracking", "failed_logins", "security_compliance"):
        run("policy", "remove", name, "--yes")
    said = [
        run(*words) for words in (
            ("ingest", tmp_path / "one.jsonl"), ("flush",), ("policy", "add", tmp_path / "p.yaml", "--yes"),
            ("erase", "--user-id", "ann", "--reason", "r", "--ticket", "t", "--yes"), ("stats",), ("verify",),
            ("evidence", "p", "--out", tmp_path / "p.zip"), ("retention", "plan"), ("retention", "apply", "--yes"),
            ("compact",), ("backup", tmp_path / "copy"), ("finding", "list"),
        )
    ]  # fmt: skip
    text = "".join(done.out + done.err for done in said)
    assert text.count("1 event ") >= 4
    assert not re.findall(
        r"(?<![\d,.-])1 (?:[a-z]+ )?(?:event|record|row|file|segment|day|input|entrie|duplicate)s", text
    )


def test_a_policy_without_the_form_stops_no_other(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """Asked for form 1, every policy that has one is written, and the others are named: exit code 3."""
    for name, keeps in (("keeps", "retention_period: 30d\n"), ("asks", "")):
        (tmp_path / f"{name}.yaml").write_text(
            f"name: n\ndescription: d\nrequired_events: [login]\nalert_threshold: 2\n{keeps}"
        )
        run("policy", "add", tmp_path / f"{name}.yaml")
    done = run("report", "asks", "keeps", "--form", "1", "--as-of", AS_OF, "--json", "--format", "json")
    files = {each["policy_id"]: each["files"] for each in done.json["reports"]}
    assert (done.code, files["asks"], len(files["keeps"])) == (3, [], 1)
    assert json.loads(Path(files["keeps"][0]).read_bytes())["report_version"] == 1
    assert [line.startswith("error: the report of 'asks' cannot be") for line in done.err.splitlines()] == [True]
    assert run("report", "asks", "keeps", "--form", "1", "--as-of", AS_OF, "--fail-on", "compliant,no_data").code == 1


def test_report_files_are_never_overwritten(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """The same report again is the same file; other bytes under its name are left alone, and it has another one."""
    arguments = ("report", "failed_logins", "--as-of", AS_OF, "--out", tmp_path / "out")
    assert run(*arguments).code == 0
    file = tmp_path / "out" / "compliance_failed_logins_20261124T120000Z_v1.json"
    first = file.read_bytes()

    assert run(*arguments).code == 0
    assert file.read_bytes() == first
    file.write_bytes(b"{}")
    assert run(*arguments).code == 0
    assert file.read_bytes() == b"{}"
    assert [other.read_bytes() for other in (tmp_path / "out").glob(f"{file.stem}_*.json")] == [first]


def test_nobodys_page_is_overwritten(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """Reports go into no folder whose index.html is something else than a list of reports."""
    (page := tmp_path / "web" / "index.html").parent.mkdir()
    page.write_text("<title>my own</title>")
    done = run("report", "failed_logins", "--as-of", AS_OF, "--out", tmp_path / "web")

    assert (done.code, "is no list of reports" in done.err) == (3, True)
    assert [each.name for each in page.parent.iterdir()] == ["index.html"]
    page.unlink()
    for _ in range(2):
        assert run("report", "failed_logins", "--as-of", AS_OF, "--out", tmp_path / "web").code == 0


def test_periods_lie_side_by_side(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """A report over another period than the usual one has it in its name, and the list says the period of each."""
    arguments = ("report", "failed_logins", "--as-of", AS_OF, "--format", "json", "--out", tmp_path / "out")
    for period in ((), ("--last", "30d"), ("--last", "1d"), ("--period", "2026-11"), ("--last", "150y")):
        assert run(*arguments, *period).code == 0
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    listed = (tmp_path / "out" / "index.html").read_text()

    stem = "compliance_failed_logins_20261124T120000Z_v1"
    assert names == [
        f"{stem}.json", f"{stem}_19691231T235959Z_20261124T120000Z.json",
        f"{stem}_20261031T235959Z_20261124T120000Z.json", f"{stem}_20261123T120000Z_20261124T120000Z.json",
        "index.html",
    ]  # fmt: skip
    assert all(f'href="{name}"' in listed for name in names[:-1])
    assert "failed_logins, 2026-11-23 12:00:00 to 2026-11-24 12:00:00" in listed
    assert "failed_logins, 1969-12-31 23:59:59 to 2026-11-24 12:00:00" in listed


def test_a_report_that_cannot_be_written(
    run: Run, filled: AuditLake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All reports are rendered before one is written; where the disk then refuses one, those before it are named."""
    out, seen = tmp_path / "out", []

    def refuse(path: Path) -> None:
        seen.append(path)
        if seen.count(out) == 5:
            raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("auditlake.disk.durable.sync_folder", refuse)
        refused = run("report", "--as-of", AS_OF, "--out", out)

    assert refused.code == 3
    assert len(refused.err.splitlines()) == 2
    assert "compliance_failed_logins_20261124T120000Z_v1.json cannot be written: No space left" in refused.err
    assert "written before it: authentication_monitoring, data_access_tracking" in refused.err

    def check(document: dict[str, Any]) -> None:
        if document["policy_id"] == "security_compliance":
            raise ReportError("it has no form")

    monkeypatch.setattr("auditlake.reports.document.check_report", check)
    assert run("report", "--as-of", AS_OF, "--out", tmp_path / "other").code == 3
    assert not (tmp_path / "other").exists()


def test_a_condition_is_shown_as_it_was_written(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """Reports and `policy show` have the condition that the author wrote; what runs is what DuckDB makes of it."""
    policy = tmp_path / "mine.yaml"
    policy.write_text(
        "name: Mine\ndescription: d\nrequired_events: [auth_failure]\nretention_period: 30d\nalert_threshold: 5\n"
        "where: |\n  status='failure'\n    and user_id<>'x'\n"
    )
    run("policy", "add", policy)
    (report,) = run("report", "mine", "--as-of", AS_OF, "--json").json["reports"]
    data, page = (Path(file).read_text() for file in report["files"])
    said = json.loads(data)

    written = "status='failure'\n  and user_id<>'x'"
    assert (said["threshold"]["where"], said["threshold"]["episodes"]) == (written, 1)
    assert run("policy", "show", "mine", "--json").json["where"] == written
    assert "status = 'failure'" in said["evidence"]["queries"][0]["sql"]
    assert "status=&#39;failure&#39;\n  and" in page


def test_policy_sql_is_what_a_report_runs(run: Run, filled: AuditLake) -> None:
    """`policy sql` prints what the evidence of a report of that policy alone holds, and says of what else it is not."""
    (report,) = run("report", "failed_logins", "--as-of", AS_OF, "--json").json["reports"]
    evidence = json.loads(Path(report["files"][0]).read_text())["evidence"]["queries"]
    arguments = ("policy", "sql", "failed_logins", "--as-of", AS_OF)
    first, *_ = run(*arguments).out.splitlines()

    assert run(*arguments, "--json").json["queries"] == [
        {name: value for name, value in each.items() if name != "rows"} for each in evidence
    ]
    assert first.startswith("-- a report of this policy alone runs this; ")


def test_an_export_brings_nothing_twice(run: Run, filled: AuditLake, tmp_path: Path) -> None:
    """What a lake exported is known to it; what is of a source that nobody but auditlake has is refused with that."""
    exported = tmp_path / "export.jsonl"
    exported.write_text(run("events", "--format", "jsonl").out)
    again = run("ingest", exported, "--json").json
    own, unknown = tmp_path / "own.jsonl", tmp_path / "unknown.jsonl"
    own.write_text(exported.read_text().replace('"source":"auditlake"', '"source":"auditlake.self"'))
    unknown.write_text(exported.read_text().replace('"source":"auditlake"', '"source":"acme"'))
    refused = run("ingest", own, unknown, "--json").json

    assert (again["landed"], again["duplicates"]) == (0, 10)
    assert refused["examples"] == [
        {"reason": reason, "field": "source", "value": source, "records": 10}
        for reason, source in (
            ("a source that auditlake alone writes", "auditlake.self"), ("exported from another source", "acme"),
        )
    ]  # fmt: skip


ODD = (
    '{"event_id":"x1","event_type":"login","timestamp":"2026-11-01T00:00:00.123456Z","user_id":"=cmd()","action":"",'
    '"resource":"\'=x","status":"a\\rb","details":{"a":1.10,"b":"x\\ny"},"session_id":"\\u001b[31m\\u0000 z "}',
    '{"event_id":"=x2","event_type":"login","timestamp":"2026-11-01T00:00:01Z","user_id":"\'quoted\'","action":"\'\'=d",'
    '"details":"text","metadata":5}',
    '{"event_id":"\\ufeffx3","event_type":"login","timestamp":"2026-11-01T00:00:02Z","details":[1e400],"metadata":true,'
    '"user_id":"say \\"\\" hi, \\"x\\"","resource":""}',
)  # fmt: skip


@pytest.mark.parametrize("names", [
    ("events.csv", "sql.jsonl", "sql.parquet"), pytest.param(("events.jsonl", "sql.csv"), marks=pytest.mark.soak),
])  # fmt: skip
def test_exports_come_back(run: Run, tmp_path: Path, names: tuple[str, ...]) -> None:
    """What a lake gives as CSV, Parquet or JSON lines is the same events again, there and in another lake."""
    create("lake")
    file = tmp_path / "odd.jsonl"
    file.write_text("".join(line + "\n" for line in ODD))
    assert run("ingest", file, "--strict").code == 0
    out = tmp_path / "export"
    query = "select * from events where source = 'auditlake'"
    exports = {
        "events.csv": ("events", "--source", "auditlake", "--format", "csv", "--quote-empty"),
        "events.jsonl": ("events", "--source", "auditlake", "--format", "jsonl"),
        "sql.csv": ("sql", query, "--format", "csv", "--quote-empty"), "sql.jsonl": ("sql", query, "--format", "jsonl"),
        "sql.parquet": ("sql", query, "--out", tmp_path / "sql.parquet"),
    }  # fmt: skip
    lake = auditlake.open(tmp_path / "lake")
    every = "select * exclude (ingested_at) from events where source = 'auditlake' order by event_id"
    for name in names:
        out = tmp_path / name
        done = run(*exports[name])
        assert done.code == 0
        if name != "sql.parquet":
            out.write_bytes(done.out.encode())
        again = lake.ingest(out, strict=True)
        other = create(tmp_path / f"from-{name}")
        assert (again.landed, again.duplicates, other.ingest(out, strict=True).landed) == (0, 3, 3)
        assert other.sql(every).fetchall() == lake.sql(every).fetchall()


def test_quarantine_is_told_with_a_value(run: Run, events: Path, tmp_path: Path) -> None:
    """Each reason has its field and a value, escaped and cut; the exit code is 1 if all, or more than allowed, is."""
    create("lake")
    bad = tmp_path / "bad.jsonl"
    line = '{"event_type":"login","timestamp":%s}\n'
    bad.write_text(
        line % '"yester\\u001bday"' * 3 + line.replace("login", "logon" * 100) % '"2026-11-01T00:00:00Z"' + "{broken\n"
        + line.replace("}", ',"action":{"a":1.50}}') % '"2026-11-01T00:00:00Z"' + "no log at all\n"
    )  # fmt: skip
    told = run("ingest", bad)
    said = run("ingest", bad, events, "--json")

    assert told.code == 1
    assert "timestamp: not a time, e.g. 'yester\\u001bday', 3 records" in told.out
    assert "not valid JSON, e.g. '{broken', 2 records" in told.out
    assert "action: an object or array where text belongs, e.g. '{\"a\":1.50}', 1 record" in told.out
    assert "no log at all" not in told.out + told.err
    assert max(map(len, told.out.splitlines())) < 200
    assert (said.code, said.json["failed"], said.json["landed"]) == (0, False, 10)
    first = {"reason": "not a time", "field": "timestamp", "value": "yester\x1bday", "records": 3}
    assert said.json["examples"][0] == first
    kept = [json.loads(each) for each in Path(said.json["quarantine"]).read_text().splitlines()]
    assert [(each["field"], each["value"]) for each in kept if each["reason"] == "not a time"] == [
        ("timestamp", "yester\x1bday")
    ] * 3
    assert max(len(each.get("value", "")) for each in kept) == 200

    codes = [
        run("ingest", bad, events, "--max-quarantined", most).code for most in ("7", "6", "41.2%", "41%", "x", "101%")
    ]
    assert codes == [0, 1, 0, 1, 2, 2]
    summary = auditlake.open(tmp_path / "lake").ingest(bad, events, max_quarantined="5%")
    assert (summary.failed, summary.duplicates) == (True, 10)


def test_csv_on_a_terminal_is_harmless(tmp_path: Path) -> None:
    """On a terminal, CSV too shows control characters of events instead of sending them."""
    file = tmp_path / "hostile.jsonl"
    file.write_text(json.dumps({"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "user_id": HOSTILE}) + "\n")
    command = [sys.executable, "-m", "auditlake", "--lake", str(tmp_path / "lake")]
    create(tmp_path / "lake").ingest(file)
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as screen:
        subprocess.run([*command, "events", "--format", "csv"], check=True, stdout=theirs)
        os.close(theirs)
        shown = screen.read(65536)

    assert b"red" in shown
    assert not {b"\x1b", b"\x07"} & {bytes([byte]) for byte in shown}


def test_a_broken_policy_can_be_removed(run: Run, tmp_path: Path) -> None:
    """A policy file that cannot be used can still be checked by its path, and taken out of the lake."""
    create("lake")
    broken = tmp_path / "lake" / "policies" / "broken.yaml"
    broken.write_text("name: Broken\n")

    assert run("policy", "check", broken).code == 3
    assert run("policy", "list").code == 3
    assert run("policy", "remove", "broken", "--yes").code == 0
    assert run("policy", "list").code == 0


def test_fields_of_a_pipeline_are_kept(run: Run, tmp_path: Path) -> None:
    """An event that brings a source and a time of its own is no export: it lands, and loses nothing."""
    event = {"event_type": "login", "timestamp": "2026-11-24T09:00:00Z", "source": "webapp", "ingested_at": "then"}
    lines, table = tmp_path / "a.jsonl", tmp_path / "b.csv"
    lines.write_text(json.dumps(event) + "\n")
    table.write_text("event_type,timestamp,seq,batch\nlogin,2026-11-24T10:00:00Z,17,night\n")
    create("lake")
    done = run("ingest", lines, table, "--json").json
    kept = [json.loads(each["metadata"])["_extra"] for each in run("events", "--json").json["events"]]

    assert (done["landed"], done["quarantined"]) == (2, 0)
    assert kept == [{"source": "webapp", "ingested_at": "then"}, {"seq": "17", "batch": "night"}]


def test_many_conflicting_files_need_few_descriptors(tmp_path: Path) -> None:
    """Records are fetched again from one file at a time, however many files have conflicts."""
    event = {"event_type": "login", "timestamp": "2026-11-24T09:00:00Z"}
    command = f"{sys.executable} -m auditlake --lake {tmp_path / 'lake'}"
    for folder, user in (("a", "x"), ("b", "y")):
        (tmp_path / folder).mkdir()
        for i in range(70):
            (tmp_path / folder / f"{i}.jsonl").write_text(
                json.dumps(event | {"event_id": f"{i}", "user_id": user}) + "\n"
            )
    create(tmp_path / "lake").ingest(tmp_path / "a")
    script = f"ulimit -n 64; {command} ingest {tmp_path / 'b'} --json; test $? = 1"
    done = subprocess.run(script, shell=True, capture_output=True, text=True, check=True)

    assert '"id_conflict": 70' in done.stdout


def test_nothing_to_read_is_no_success(run: Run, events: Path) -> None:
    """Where each input is empty or left out the exit code is 1; known duplicates and no records are a success."""
    create("lake")
    folder = events.parent / "logs"
    (folder / ".hidden").mkdir(parents=True)
    codes = [run("ingest", "logs").code]
    (folder / "a.jsonl").touch()
    (folder / "b.log").write_text("\n\n")
    codes += [run("ingest", "logs").code, run("ingest", "logs/a.jsonl", "--json").code, run("ingest", "lake").code]
    told = run("ingest", "logs", "lake")
    assert codes == [1, 1, 1, 1]
    assert "left out logs/b.log: it is empty" in told.out
    assert "left out lake: a lake, which is never an input" in told.out
    assert "nothing was read" in told.err
    (folder / "none.json").write_text("[]")
    assert [run("ingest", *each).code for each in ([events], [events], ["logs/none.json"])] == [0, 0, 0]
