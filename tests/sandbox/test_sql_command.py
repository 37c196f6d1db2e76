"""``sql``, ``query`` and ``doctor`` on the command line, in every form."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from datetime import UTC, date, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import click
import pyarrow.parquet as pq
import pytest

import auditlake
from auditlake.cli import main
from auditlake.cli.xlsx import workbook
from auditlake.display.formula_guard import guarded, unguarded
from auditlake.sandbox.selfcheck import Holds

HOSTILE = "=cmd|' /C calc'!A0"


@pytest.fixture
def run(lake: auditlake.AuditLake, capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch):
    """Run a command on the lake; its exit code, output and complaints."""

    def ran(*words: str, stdin: str | None = None) -> tuple[int, bytes, str]:
        monkeypatch.setattr("sys.argv", ["auditlake", "--lake", str(lake.layout.root), *words])
        if stdin is not None:
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
        with pytest.raises(SystemExit) as left:
            main()
        captured = capsysbinary.readouterr()
        return int(left.value.code or 0), captured.out, captured.err.decode()

    return ran


def test_table(run) -> None:
    """A table, with how many rows on which snapshot told beside it."""
    code, out, err = run("sql", "select user_id, count(*) as n from events where user_id = 'bob' group by all")

    assert code == 0
    assert out.decode().split() == ["user_id", "n", "-" * 12, "bob", "100"]
    assert "1 row on snapshot" in err


def test_parameters(run, tmp_path: Path) -> None:
    """Parameters are text, or JSON after :=; the query can come from a file or standard input."""
    code, out, _ = run("sql", "select $a as a, $b + 1 as b, $c as c", "--param", "a=x=y", "--param", "b:=41",
                       "--param", "c:=[1,2]", "--format", "jsonl")  # fmt: skip
    assert (code, json.loads(out)) == (0, {"a": "x=y", "b": 42, "c": [1, 2]})
    file = tmp_path / "query.sql"
    file.write_text("select 1 as one")
    assert run("sql", "--file", str(file), "--format", "csv")[1] == b"one\n1\n"
    assert run("sql", "--file", "-", "--format", "csv", stdin="select 2 as two")[1] == b"two\n2\n"
    assert run("sql")[0] == 2
    assert run("sql", "select 1", "--file", str(file))[0] == 2
    assert run("sql", "select $a", "--param", "a")[0] == 2
    assert run("sql", "select $a", "--param", "a:=x")[0] == 2


def test_csv(run) -> None:
    """CSV has an apostrophe before what a spreadsheet would run, unless it is to be raw."""
    query = f"select '{HOSTILE.replace(chr(39), chr(39) * 2)}' as \"=head\", -5 as n, null as nothing, '-x' as minus"
    rows = list(csv.reader(io.StringIO(run("sql", query, "--format", "csv")[1].decode())))
    raw = list(csv.reader(io.StringIO(run("sql", query, "--format", "csv", "--raw")[1].decode())))

    assert rows == [["'=head", "n", "nothing", "minus"], [f"'{HOSTILE}", "-5", "", "'-x"]]
    assert raw == [["=head", "n", "nothing", "minus"], [HOSTILE, "-5", "", "-x"]]
    formulas = ("=a", "+a", "-a", "@a", "\ta", "\ra", "\na", "＝a", "'=a", "''@a")
    assert all(guarded(text) == f"'{text}" for text in formulas)
    assert all(unguarded(guarded(text)) == text for text in (*formulas, "'a'", "'", "", "a=b"))


def test_csv_keeps_every_character(run) -> None:
    """In a pipe control characters are data, a lone carriage return is quoted, and NULL is told from an empty text."""
    query = "select chr(27) || '[31mred' as c, 'a' || chr(13) || 'b' as r, null as n, '' as e, 1.50 as d"

    assert run("sql", query, "--format", "csv")[1] == b'c,r,n,e,d\n\x1b[31mred,"a\rb",,,1.50\n'
    assert run("sql", query, "--format", "csv", "--quote-empty")[1] == b'c,r,n,e,d\n\x1b[31mred,"a\rb",,"",1.50\n'
    assert run("sql", "select null as n", "--format", "csv")[1] == b'n\n""\n'


def test_json(run) -> None:
    """JSON has the snapshot, whether it is whole, and rows with a name for each value."""
    query = (
        "select 1 as a, 2 as a, timestamptz '2026-01-02 03:04:05' as t, 1.50 as d, {'x': [1]} as s, 'nan'::double as f"
    )
    said = json.loads(run("sql", query, "--format", "json")[1])

    assert said["complete"] is True
    assert said["snapshot"] >= 1
    assert said["columns"] == ["a", "a_2", "t", "d", "s", "f"]
    assert said["rows"] == [
        {"a": 1, "a_2": 2, "t": "2026-01-02T03:04:05.000000Z", "d": "1.50", "s": {"x": [1]}, "f": "nan"}
    ]


def test_files(run, tmp_path: Path) -> None:
    """The form follows the file's name; Parquet keeps types, a workbook has text as text."""
    text = HOSTILE.replace("'", "''")
    query = f"select 42 as n, '{text}' as t, 2::hugeint ** 60 as big, true as yes, null as no"
    for name in ("a.parquet", "a.xlsx", "a.md"):
        code, out, _ = run("sql", query, "--out", str(tmp_path / name))
        assert (code, out) == (0, b"")
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
    assert pq.read_table(tmp_path / "a.parquet")["n"].to_pylist() == [42]
    with zipfile.ZipFile(tmp_path / "a.xlsx") as archive:
        for part in archive.namelist():
            ET.fromstring(archive.read(part))
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
    assert '<c r="A2"><v>42</v></c>' in sheet
    assert f'<c r="B2" t="inlineStr"><is><t>{HOSTILE}</t></is></c>' in sheet
    assert "<f>" not in sheet
    assert (
        (tmp_path / "a.md").read_text().startswith("| n | t | big | yes | no |\n|---|---|---|---|---|\n| 42 | =cmd\\|")
    )


def test_workbook(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows give the same bytes: dates are dates, text is text, the heading stays and filters, columns fit."""
    at = datetime(2026, 11, 1, 0, 0, 0, 500_000, UTC)
    rows = [
        ["a\x00b\ud800", 1.5, at],
        ["_x0041_", None, date(2026, 11, 2)],
        [True, 7, at.replace(year=1850)],
        ["=1+1", 0, datetime.max],
        [None, None, datetime(1900, 1, 1, tzinfo=UTC)],
    ]
    headings = ["x", "y", "when it happened"]

    assert workbook(headings, rows) == workbook(headings, rows)
    with zipfile.ZipFile(io.BytesIO(workbook(headings, rows))) as archive:
        text = archive.read("xl/worksheets/sheet1.xml").decode()
        styles = archive.read("xl/styles.xml").decode()
    assert re.findall(r'<c r="(..)"[^>]*><is><t[^>]*>([^<]*)<', text)[3:] == [
        ("A2", "a_x0000_b\ufffd"), ("A3", "_x005F_x0041_"), ("C4", "1850-11-01 00:00:00.500000+00:00"), ("A5", "=1+1"),
        ("C6", "1900-01-01 00:00:00+00:00"),
    ]  # fmt: skip
    assert '<c r="C2" s="2"><v>46327.000005787' in text
    assert '<c r="C3" s="3"><v>46328</v></c>' in text
    assert "yyyy-mm-dd hh:mm:ss.000" in styles
    assert '<c r="C5" s="2"><v>2958465.9999' in text
    assert '<autoFilter ref="A1:C6"/>' in text
    assert 'state="frozen"' in text
    assert text.count("customWidth") == 3

    monkeypatch.setattr("auditlake.cli.xlsx.MOST_ROWS", 3)
    with zipfile.ZipFile(io.BytesIO(workbook(["x"], [[n] for n in range(7)]))) as archive:
        sheets = [archive.read(f"xl/worksheets/sheet{n}.xml").decode().count("<row") for n in (1, 2, 3)]
    assert sheets == [4, 4, 2]
    with pytest.raises(click.ClickException, match="row 1, column 'x': 32,768 characters; a cell holds 32,767"):
        workbook(["x"], [["a" * 32_768]])


def test_terminals_get_no_control_characters(run) -> None:
    """What a terminal would act on is spelled out, in cells and in headings and in complaints."""
    query = "select chr(27) || '[31mred' || chr(7) || chr(8238) as \"\x1b[32mgreen\x07\u202e\""
    out = run("sql", query)[1]
    markdown = run("sql", query, "--format", "markdown")[1]
    err = run("sql", 'select "\x1b[31m" from events')[2]

    assert not set("\x1b\x07\u202e") & set((out + markdown).decode() + err)


def test_refusals(run) -> None:
    """What is refused, stopped or wrong is told in a line, and the exit code is 3."""
    for query, told in (("copy events to 'x'", "refused: COPY"), ("select nothing from events", "nothing")):
        code, out, err = run("sql", query)
        assert (code, out) == (3, b"")
        assert told in err.splitlines()[0]


def test_who_asks(run, lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """On record is the name that one is logged in with, or the one that is given."""
    monkeypatch.setenv("LOGNAME", "mallory")
    monkeypatch.setenv("USER", "mallory")
    run("sql", "select 'who am i'")
    run("sql", "select 'who am i'", "--principal", "erika")
    monkeypatch.setenv("AUDITLAKE_PRINCIPAL", "franz")
    run("sql", "select 'who am i'")

    import os
    import pwd

    rows = lake.sql("select user_id from events where details like '%who am i''%' order by timestamp").fetchall()
    assert {user for (user,) in rows} == {pwd.getpwuid(os.getuid()).pw_name, "erika", "franz"}


def test_queries(run) -> None:
    """Canned questions are listed, shown and run."""
    code, out, _ = run("query", "list", "--json")
    assert code == 0
    assert len(json.loads(out)["queries"]) >= 15
    assert b"failed_logins" in run("query", "list")[1]
    assert b"$since (time, -30d): from" in run("query", "show", "failed_logins")[1]
    assert json.loads(run("query", "show", "session", "--json")[1])["parameters"][0]["name"] == "session"
    found = run(
        "query",
        "run",
        "deletions",
        "--param",
        "since=2026-01-01",
        "--as-of",
        "2026-11-24T12:00:00Z",
        "--format",
        "jsonl",
    )
    assert len(found[1].splitlines()) == 57
    assert run("query", "run", "nothing")[0] == 3
    assert run("query", "run", "user_activity")[0] == 3


def test_doctor(run, layers: tuple[Holds, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """doctor --sandbox says which layers hold."""
    monkeypatch.setattr("auditlake.sandbox.selfcheck.examine", lambda: layers)
    code, out, _ = run("doctor", "--sandbox")
    assert code == 0
    assert out.decode().count("ok  ") >= 4
    said = json.loads(run("doctor", "--sandbox", "--json")[1])
    assert said["sandbox"] is True
    assert {each["layer"] for each in said["layers"]} >= {"landlock", "engine", "gate"}


def test_cut_off(run, tmp_path: Path) -> None:
    """An answer that was cut off says so in its last line, and the exit code is 5, whatever it is written as."""
    query = ("sql", "from range(21)", "--rows", "20")
    code, out, err = run(*query)
    assert code == 5
    assert out.decode().splitlines()[-1] == err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("cut off after 20 rows: ")
    for name, last in (("a.csv", "19"), ("a.json", "}"), ("a.md", err.splitlines()[-1])):
        code, out, said = run(*query, "--out", str(tmp_path / name))
        assert (code, out, said.splitlines()[-1]) == (5, b"", err.splitlines()[-1])
        assert (tmp_path / name).read_text().splitlines()[-1] == last
    assert json.loads((tmp_path / "a.json").read_text())["complete"] is False
    assert run("query", "run", "deletions", "--param", "since=2026-01-01", "--rows", "3", "--format", "csv")[0] == 5


def test_rows_of_the_owner(run, lake: auditlake.AuditLake, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lake's owner lifts the limit with --rows 0, by their own name; nobody else has more than lake.toml says."""
    code, out, err = run("sql", "from range(100001)", "--rows", "0", "--format", "csv")
    assert (code, out.count(b"\n"), err) == (0, 100_002, "")
    for who in (("--principal", "erika"), ()):
        if not who:
            monkeypatch.setattr("os.geteuid", lambda: 12345)
        code, out, err = run("sql", "select 1", "--rows", "0" if who else "100001", *who)
        assert (code, out) == (3, b"")
        assert "at most 100,000 rows" in err
    assert run("sql", "select 1", "--rows", "5")[0] == 0


def test_places(run, tmp_path: Path) -> None:
    """A file is named by an ending that is known, is new unless --force, and is never anything but a file; nothing is
    asked before that is clear."""
    there = tmp_path / "a.csv"
    there.write_text("kept")
    (tmp_path / "link.csv").symlink_to("nowhere")
    for name in ("b.zzz", "b", "a.csv", "link.csv", "no/b.csv", "."):
        for command in (("sql", "select 1"), ("query", "run", "deletions", "--param", "since=2026-01-01")):
            code, out, err = run(*command, "--out", str(tmp_path / name))
            assert (code, out) == (2, b""), name
            assert str(tmp_path / name).removesuffix("/b.csv") in err
    assert there.read_text() == "kept"
    assert "recorded" not in run("sql", "select 'recorded' from queries where query like '%recorded%'")[2]
    assert run("sql", "select 1 as n", "--out", str(there), "--force")[0] == 0
    assert there.read_text() == "n\n1\n"
    assert run("sql", "select 1", "--out", "/dev/null", "--force")[0] == 2
    assert run("sql", "select 1 as n", "--out", str(tmp_path / "b.zzz"), "--format", "csv")[0] == 0
    assert run("evidence", "failed_logins", "--out", str(tmp_path / "pack.tar"))[0] == 2
    assert run("evidence", "failed_logins", "--out", str(there))[0] == 2
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.csv", "b.zzz", "link.csv"]


def test_events_that_are_shown(run) -> None:
    """A table of events says that there are more only where there are."""
    shown = run("events", "--limit", "3")[1].decode().splitlines()
    assert shown[-1].startswith("the first 3; ")
    assert len([line for line in shown if line.startswith("2026-")]) == 3
    assert "the first" not in run("events", "--limit", "16", "--user", "alice", "--session", "s0")[1].decode()


@pytest.mark.parametrize(("view", "ending"), [
    ("findings", "xlsx"), pytest.param("events", "parquet", marks=pytest.mark.soak),
])  # fmt: skip
def test_without_numpy(view: str, ending: str, lake: auditlake.AuditLake, tmp_path: Path) -> None:
    """A command of its own does without numpy, whatever the view and the form."""
    import subprocess
    import sys

    out = tmp_path / f"{view}.{ending}"
    words = ["--lake", str(lake.layout.root), "sql", f"from {view} limit 5", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "auditlake", *words], check=True, cwd=Path(__file__).parents[2])
    assert out.stat().st_size
