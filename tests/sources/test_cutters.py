"""The cutters of text: every byte ends up in a record or is rejected with its bytes, whatever the pieces it came in."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.errors import MappingError, SourceError, UnrecognisedInputError
from auditlake.events.schema import BUILT_IN_TYPES
from auditlake.sources.catalog import built_in, own_source
from auditlake.sources.cutters.catalog import CUTTERS
from auditlake.sources.cutters.patterns import PIECES, PatternError, compiled
from auditlake.sources.cutters.text_lines import Years
from auditlake.sources.mappings.loader import load_mapping
from auditlake.sources.mappings.outline import outline_of
from auditlake.sources.model import (
    NO_AUDIT_LINE,
    NO_PAIR,
    NO_PATTERN,
    NOT_CSV,
    NOT_UTF8,
    TOO_LONG,
    WRONG_FIELDS,
    InputFile,
)
from auditlake.sources.recognise import recognise
from tests.ingest.lakes import events, made
from tests.sources.pieces import Pieces, Seen, seen

SIZES = (1, 2, 7, 64, 1 << 20)
DOORS = """\
source: doors
match: [at, who.name]
event_id: id
timestamp: at
user_id: who.name
action: did
event_type: [api_call: true]
"""


def cut(
    data: bytes,
    read: str,
    keys: Mapping[str, Any] | None = None,
    size: int = 1 << 25,
    max_record: int = 1 << 24,
    path: Path | None = None,
) -> list[Seen]:
    """Cut bytes as the mapping of a source says."""
    text = json.dumps({"source": "doors", "match": ["at"], "timestamp": "at", "read": read, **(keys or {})})
    stream: Any = Pieces(data, size)
    stream.input = InputFile("x", path)
    return seen(CUTTERS[read](stream, max_record, outline_of(text)))


def said(found: list[Seen]) -> list[Any]:
    """The records, or why there are none."""
    return [json.loads(each.text) if each.text is not None else each.reason for each in found]


# CSV


@pytest.mark.parametrize("size", SIZES)
def test_csv_of_a_mapping(size: int) -> None:
    """Dotted columns are fields of fields, an empty field is null, and a bad row costs nothing but itself."""
    data = b'id,who.name,who.mail,\n1,ann,,x\n2,"a\nb","",\n3,c\n4,"c,d,e,f\n5,\xff,,\n6,g,h,i\n'
    found = cut(data, "csv", size=size)

    assert said(found) == [
        {"id": "1", "who": {"name": "ann", "mail": None}, "column_4": "x"},
        {"id": "2", "who": {"name": "a\nb", "mail": None}, "column_4": None},
        WRONG_FIELDS,
        NOT_CSV,
        NOT_UTF8,
        {"id": "6", "who": {"name": "g", "mail": "h"}, "column_4": "i"},
    ]
    assert [each.raw for each in found] == [
        b"1,ann,,x", b'2,"a\nb","",', b"3,c", b'4,"c,d,e,f', b"5,\xff,,", b"6,g,h,i",
    ]  # fmt: skip
    assert all(data[each.offset :].startswith(each.raw) for each in found)


def test_csv_without_a_header() -> None:
    """Columns of the mapping stand for a header; a preamble is passed over; another encoding is named."""
    keys = {"columns": ["id", "who.name"], "delimiter": ";", "preamble": 2}

    assert said(cut(b'made by x\n"one\n1;a,b\n', "csv", keys)) == [{"id": "1", "who": {"name": "a,b"}}]
    assert said(cut(b"\n", "csv", {"columns": ["id"]})) == []
    assert said(cut(b"a\tb\n1\t2\n", "csv")) == [{"a": "1", "b": "2"}]
    for encoding in ("utf-16", "utf-16-le", "latin-1"):
        for size in (1, 3, 1 << 20):
            found = cut("id,wer\n1,Ängström\n".encode(encoding), "csv", {"encoding": encoding}, size)
            assert said(found) == [{"id": "1", "wer": "Ängström"}]
    assert said(cut(b"\xef\xbb\xbfid\n1\n", "csv")) == [{"id": "1"}]
    assert said(cut("a,b\nx\n".encode("utf-16") + b"\x00\xd8", "csv", {"encoding": "utf-16"}))[0] == WRONG_FIELDS


def test_columns_in_the_way_of_one_another() -> None:
    """A dotted column below another stays whole; one with nothing between dots does, too."""
    assert said(cut(b"a,a.b,c..d,e.f.g\n1,2,3,4\n", "csv")) == [
        {"a": "1", "a.b": "2", "c..d": "3", "e": {"f": {"g": "4"}}}
    ]
    with pytest.raises(SourceError, match="column a is there twice"):
        cut(b"a,a\n1,2\n", "csv")
    with pytest.raises(SourceError, match="has no header"):
        cut(b"\n\n", "csv")


@given(
    st.lists(st.tuples(*[st.text(st.sampled_from('a,;"\n\r é'), max_size=6)] * 3), max_size=6),
    st.sampled_from(SIZES),
)
def test_any_csv(table: list[tuple[str, str, str]], size: int) -> None:
    """What Python's csv module writes is read back."""
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n").writerows([("x.a", "x.b", "c"), *table])
    assert said(cut(out.getvalue().encode(), "csv", size=size)) == [
        {"x": {"a": a or None, "b": b or None}, "c": c or None} for a, b, c in table
    ]


# Lines

PATTERNS = {"pattern": [r"^%{SYSLOGTIME:stamp} %{WORD:who} did (?P<did>.*)$", r"^%{INT:code}(?: %{QUOTED:said})?$"]}


@pytest.mark.parametrize("size", SIZES)
def test_lines(size: int) -> None:
    """The first pattern that fits gives the fields; a line that none fits is rejected with its bytes."""
    data = b'\xef\xbb\xbf12 "a b"\r\n\n}{[[\n7\nNov  3 09:00:01 ann did x\nx \xff\n<13>9\n' + b"[" * 600 + b"\n5 "
    found = cut(data, "lines", {**PATTERNS, "year": 2024}, size)

    assert said(found) == [
        {"line": '12 "a b"', "code": "12", "said": '"a b"'},
        NO_PATTERN,
        {"line": "7", "code": "7"},
        {"line": "Nov  3 09:00:01 ann did x", "stamp": "Nov  3 09:00:01", "who": "ann", "did": "x", "_year": 2024},
        NOT_UTF8,
        {"line": "<13>9", "code": "9"},
        NO_PATTERN,
        NO_PATTERN,
    ]
    assert [each.raw for each in found][:3] == [b'12 "a b"', b"}{[[", b"7"]
    assert found[-1].raw == b"5 "
    assert all(data[each.offset :].startswith(each.raw) for each in found)
    assert [each.line for each in found] == [1, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("size", SIZES)
def test_characters_that_json_escapes(size: int) -> None:
    """Quotes, backslashes and control characters in lines and groups come through."""
    line = 'a"b\\c\x00\x01\t\x1f\x7fé\u2028😀'
    (record,) = said(cut(line.encode(), "lines", {"pattern": "^(?s:(?P<x>.*))$"}, size))
    assert record == {"line": line, "x": line}


@pytest.mark.parametrize("size", SIZES)
def test_long_lines(size: int) -> None:
    """A line over the limit is rejected, and those around it are records."""
    found = cut(b"1\n" + b"2" * 100 + b"\n3\n" + b"4" * 100, "lines", PATTERNS, size, max_record=50)
    assert [each.reason for each in found] == ["", TOO_LONG, "", TOO_LONG]


def test_frames() -> None:
    """A frame of syslog is taken off, unless a pattern is about it."""
    lines = b"31 <13>1 Nov  3 09:00:01 a did x\n<13>Nov  3 09:00:01 a did y\n<13>z\n"
    found = said(cut(lines, "lines", {"pattern": [*PATTERNS["pattern"], "^<(?P<priority>[0-9]+)>z"], "year": 2025}))
    assert [each.get("did", each.get("priority")) for each in found] == ["x", "y", "13"]


@pytest.mark.parametrize("size", SIZES)
def test_messages_that_say_how_long_they_are(size: int) -> None:
    """They need no line ends between them, and may have some in them; where they no longer fit, lines follow."""
    first, second, third = b"<13>1 a did x", b"<13>a\ndid y", b"<1>c did \xc3\xa9\n"
    counted = [b"%d %s" % (len(each), each) for each in (first, second, third)]
    fits = {"pattern": "(?s)did (?P<did>.+)$"}
    found = cut(b"".join(counted), "lines", fits, size)
    assert [(each.raw, each.line) for each in found] == list(
        zip([counted[0], counted[1], counted[2].rstrip()], (1, 1, 2), strict=True)
    )
    assert [each["did"] for each in said(found)] == ["x", "y", "é"]
    assert [each.raw for each in cut(b"\n".join(counted[:2]) + b"\n", "lines", fits, size)] == counted[:2]
    short = b"".join(counted)[:-6]
    assert [each.raw for each in cut(short, "lines", fits, size)] == [*counted[:2], b"".join([counted[2][:-6]])]
    lost = cut(counted[0] + counted[0] + b"did z\n14 <13>w", "lines", fits, size)
    assert [(each.raw, each.reason, each.line) for each in lost[2:]] == [
        (b"did z", "", 1), (b"14 <13>w", NO_PATTERN, 2),
    ]  # fmt: skip
    wrong = b"20 <13>1 did x\n20 <13>1 did y\n"
    assert [each.raw for each in cut(wrong, "lines", fits, size)] == wrong.splitlines()
    assert [each.reason for each in cut(b"99 <13>" + b"x" * 92, "lines", fits, size, max_record=50)] == [TOO_LONG]


def test_a_message_of_several_lines() -> None:
    """Patterns that stop at the end of a line are tried on its first one; the record has all of them."""
    message = b"<13>1 Nov  3 09:00:01 a did x\r\ndid y\n"
    counted = b"%d %s" % (len(message), message)
    (found, other) = cut(counted * 2, "lines", PATTERNS | {"year": 2025})
    assert found.raw == other.raw == counted.rstrip()
    assert [(each["did"], each["line"]) for each in said([found])] == [("x", found.raw.decode())]
    late = cut(b"13 <13>\na did x\n14 <13>a did\nx y\n", "lines", {"pattern": "^(?P<who>a) did(?: (?P<did>.*))?$"})
    assert [each.get("did") for each in said(late)] == ["x", None]


def test_many_lines() -> None:
    """More lines than are looked at together keep their numbers, places and order; so do those that are rejected."""
    data = b"".join(b"%d\n" % number if number % 7 else b"x%d\n" % number for number in range(40_000))
    found = cut(data, "lines", PATTERNS)
    assert [each.raw for each in found] == data.split(b"\n")[:-1]
    assert [each.reason == NO_PATTERN for each in found] == [number % 7 == 0 for number in range(40_000)]


_MESSAGES = st.lists(
    st.sampled_from([b"6 <1>a b", b"7 <13>\n=x", b"5 <1>x\n", b"\n", b"9 <1>", b"6 x", b"x=1\n"]), max_size=6
)


@given(st.binary(max_size=60) | st.text(max_size=40).map(str.encode) | _MESSAGES.map(b"".join), st.sampled_from(SIZES))
def test_any_lines(data: bytes, size: int) -> None:
    """Chunks do not matter, and no line that has anything in it is lost."""
    for read, keys in (("lines", PATTERNS), ("kv", {}), ("auditd", {})):
        found = cut(data, read, keys, size)
        assert found == cut(data, read, keys)
        for each in found:
            assert data[each.offset :].startswith(each.raw)


def test_years(tmp_path: Path) -> None:
    """A stamp without a year is of the year in which the file was modified, or of the one before."""
    path = tmp_path / "x"
    path.touch()
    os.utime(path, (0, datetime(2025, 3, 1, 12, tzinfo=UTC).timestamp()))
    years = Years(InputFile("x", path))
    stamps = {
        "Mar  1 12:00:00": 2025, "Mar  2 12:00:00": 2025, "Mar  2 12:00:01": 2024, "Dec 31 23:59:59": 2024,
        "Jan  1 00:00:00": 2025, "Feb 29 00:00:00": 2024,
    }  # fmt: skip
    column = pa.array([*stamps, None], pa.large_string())
    assert years.of(column).to_pylist() == [*stamps.values(), None]
    assert Years(InputFile("x", path), 1999).of(column).to_pylist() == [1999] * len(stamps) + [None]
    now = Years(InputFile("x", tmp_path / "gone")).of(pa.array(["Jan  1 00:00:00"], pa.large_string()))
    assert now.to_pylist() == [datetime.now(UTC).year]


def test_pieces() -> None:
    """Each built-in piece takes what it is for, as a whole."""
    takes = {
        "SYSLOGTIME": ["Nov  3 09:00:01", "Nov 13 09:00:01"], "WORD": ["a_1"], "NOTSPACE": ["[a]"], "INT": ["-1", "+2"],
        "ISO8601": ["2026-11-03T09:00:01Z", "2026-11-03 09:00:01.123456+01:00", "2026-11-03T09:00:01,5 -0700"],
        "DATA": ["a b", ""], "GREEDYDATA": ["a b", ""], "QUOTED": ['"a \\" b"', "'x'"], "USER": ["a.b@example.org"],
        "IP": ["192.0.2.1", "::1", "2001:db8::1", "::ffff:192.0.2.1", "fe80::1%eth0"], "HOST": ["a-1.example.org"],
        "UUID": ["6fa459ea-ee8a-3ca4-894e-db77e160355e"],
    }  # fmt: skip
    assert set(takes) == set(PIECES)
    for name, texts in takes.items():
        for text in texts:
            (record,) = said(cut(f"<{text}>".encode(), "lines", {"pattern": f"^<%{{{name}:x}}>$"}))
            assert record.get("x", "") == text


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?P<a>x)(?<=y)", "RE2 has no look-ahead, look-behind"),
        ("(x)", "a group has no name"),
        ("(?P<a>", "missing )"),
        ("%{NOPE}", "unknown piece %{NOPE}; there are DATA, "),
        ("%{ME}", "the piece %{ME} stands in itself"),
        ("%{WORD:a} %{WORD:a}", "duplicate|twice"),
        ("(?P<line>x)", "a group cannot be called 'line'"),
        ("%{WORD:_a}", "a group cannot be called '_a'"),
        ("%{P9}", "longer than 32768 characters"),
    ],
)
def test_patterns_that_are_none(pattern: str, why: str) -> None:
    """What RE2 does not take is told with the reason."""
    own = {"ME": "a%{ME}", **{f"P{n}": f"%{{P{n - 1}}}" * 9 for n in range(1, 10)}, "P0": "x"}
    with pytest.raises(PatternError, match=why.replace("(", r"\(").replace(")", r"\)").replace("{", r"\{")):
        compiled(pattern, own)


# Pairs, the audit daemon, OTLP, Parquet


@pytest.mark.parametrize("size", SIZES)
def test_kv(size: int) -> None:
    """The first of a repeated key counts, quotes are taken off, and what is no pair is kept."""
    data = b'<189>date=2026-11-03 user="a \\"b\\" c" msg=\'x y\' n= user=z,to=1\nno pair\nopen="a b\n'
    assert said(cut(data, "kv", size=size)) == [
        {"date": "2026-11-03", "user": 'a "b" c', "msg": "x y", "n": "", "_again": {"user": ["z"]}, "to": "1"},
        NO_PAIR,
        {"open": '"a', "_rest": "b"},
    ]


AUDIT = b"""\
type=SYSCALL msg=audit(1.5:7): syscall=59 success=yes a0=DEAD comm="x" key=(null)\x1dAUID="ann" UID="root"
node=n type=USER_CMD msg=audit(1.5:7): pid=1 msg='cwd="/" cmd=6C73202D6C terminal=? res=success'UID="bob"
type=UNKNOWN[1] msg=?
type=EXECVE msg=audit(1.5:7): argc=2 a0="ls" a1=2D6C
type=PATH msg=audit(1.5:7): item=0 name=612062
type=PATH msg=audit(1.5:7): item=1 name="/DEAD"
<13>Nov  3 09:00:01 h audispd: type=DAEMON_END msg=audit(1.5:8) halt, auid=0, res=1
type=EOE msg=audit(1.5:7):
type=CWD msg=audit(1.5:7): cwd=DEADx"""


@pytest.mark.parametrize("size", SIZES)
def test_auditd(size: int) -> None:
    """Lines of one node, time and number are an event; hexadecimal values are text; the rest is as it came."""
    found = cut(AUDIT, "auditd", size=size)
    first = {"type": "USER_CMD", "time": "1.5", "serial": "7", "node": "n", "types": ["USER_CMD"], "pid": "1",
             "cwd": "/", "cmd": "ls -l", "terminal": "?", "res": "success", "enriched": {"uid": "bob"}}  # fmt: skip
    long = {
        "type": "SYSCALL", "time": "1.5", "serial": "7", "types": ["SYSCALL", "EXECVE", "PATH", "PATH"],
        "syscall": "59", "success": "yes", "a0": "DEAD", "comm": "x", "key": "(null)",
        "enriched": {"auid": "ann", "uid": "root"},
        "lines": {
            "execve": {"argc": "2", "a0": "ls", "a1": "-l", "command": "ls -l"}, "path": {"item": "0", "name": "a b"},
            "_again": {"path": [{"item": "1", "name": "/DEAD"}]},
        },
    }  # fmt: skip
    late = {"type": "CWD", "time": "1.5", "serial": "7", "types": ["CWD"], "cwd": "DEADx"}
    daemon = {
        "type": "DAEMON_END", "time": "1.5", "serial": "8", "types": ["DAEMON_END"], "auid": "0", "res": "1",
        "_rest": "halt,",
    }  # fmt: skip
    got = said(found)
    assert [each for each in got if isinstance(each, str)] == [NO_AUDIT_LINE]
    for each in (first, long, late, daemon):
        assert each in got
    assert len(got) == 5
    lines = AUDIT.split(b"\n")
    assert b"\n".join(lines[i] for i in (0, 3, 4, 5, 7)) in [each.raw for each in found]


def test_events_of_auditd_end() -> None:
    """An event is over when 5,000 more lines have passed; too long a one is rejected."""
    part = b"type=CWD msg=audit(1.5:7): cwd=x\n"
    between = b"".join(b"type=CWD msg=audit(1.5:%d): cwd=x\n" % number for number in range(100, 5_101))
    assert [len(each.get("lines", ())) for each in said(cut(part + between + part, "auditd"))].count(0) == 5_003
    assert cut(part * 9, "auditd", max_record=100)[0].reason == TOO_LONG


@pytest.mark.parametrize("size", SIZES)
def test_otlp(size: int) -> None:
    """Each log record and span is a record with plain attributes; what is no OTLP is as it came."""
    value = {"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {"values": [
        {"intValue": "7"}, {"intValue": "9" * 30}, {"boolValue": False}, {}, {"doubleValue": 1.5}, {"stringValue": "s"},
    ]}}}]}}  # fmt: skip
    attributes = [{"key": "a.b", "value": value}, {"key": "a.b", "value": {"stringValue": "again"}}]
    span = {"events": [{"attributes": attributes}]}
    logs = {"resource": {"attributes": attributes}, "scopeLogs": [{"logRecords": [{"body": value}, {}]}]}
    spans = {"scopeSpans": [{"scope": {"name": "x"}, "spans": [span]}]}
    document = {"resourceLogs": [logs], "resourceSpans": [spans]}
    plain = {"k": [7, "9" * 30, False, None, 1.5, "s"]}
    data = json.dumps(document).encode() + b'\n{"a":1}\n{"resourceLogs":[]}\n{"b":'
    assert said(cut(data, "otlp", size=size)) == [
        {"signal": "log", "body": plain, "resource": {"attributes": {"a.b": plain}}, "scope": {}},
        {"signal": "log", "resource": {"attributes": {"a.b": plain}}, "scope": {}},
        {"signal": "span", "events": [{"attributes": {"a.b": plain}}], "resource": {}, "scope": {"name": "x"}},
        {"a": 1},
        "not valid JSON",
    ]


# What a mapping's file may say of it


def test_mistakes_are_told_with_their_place() -> None:
    """Each key that tells how to read is checked, and stands only where it means something."""
    text = DOORS + (
        "read: [csv, lines, cvs]\npatterns: {bad: x, OK: '(?<=x)'}\npattern: ['%{OK}', '%{NO}']\n"
        "columns: [a, a]\ndelimiter: ';;'\npreamble: -1\nencoding: ebcdic\nyear: 12\n"
    )
    with pytest.raises(MappingError) as caught:
        load_mapping(text, file="x.yaml")
    told = "\n".join(caught.value.problems)
    for words in (
        "x.yaml:8:20: read: unknown way to read 'cvs'", "x.yaml:9:12: patterns: expected a name of capital letters",
        "x.yaml:9:24: patterns OK: invalid perl operator", "x.yaml:10:11: pattern: invalid perl operator",
        "x.yaml:10:20: pattern: unknown piece %{NO}", "x.yaml:11:", "x.yaml:12:12: delimiter: expected one character",
        "x.yaml:13:11: preamble: expected a whole number", "x.yaml:14:11: encoding: unknown value 'ebcdic'",
        "x.yaml:15:7: year: expected a whole number",
    ):  # fmt: skip
        assert words in told, told
    for more, words in (
        ("read: lines\n", "read: lines needs the key 'pattern'"), ("columns: [a]\n", "columns: only where read is csv"),
        ("read: kv\nyear: 2024\n", "year: only where read is lines"), ("read: lines\npattern: []\n", "at least one"),
    ):  # fmt: skip
        with pytest.raises(MappingError, match=words):
            load_mapping(DOORS + more, file="x.yaml")
    with pytest.raises(MappingError, match="a mapping needs the key 'match'"):
        load_mapping(DOORS.replace("match: [at, who.name]\n", ""), file="x.yaml")
    assert load_mapping(DOORS.replace("match: [at, who.name]\n", "read: auditd\n"), file="x.yaml").statement


def test_a_time_without_a_year() -> None:
    """A format without a year takes the record's; one with and one without in a call are refused."""
    with pytest.raises(MappingError, match="need a parse_time each"):
        load_mapping(
            DOORS.replace("timestamp: at", "timestamp: \"parse_time(\\\"at\\\", '%b %d', '%Y')\""), file="x.yaml"
        )
    mapping = load_mapping(
        DOORS.replace("timestamp: at", 'timestamp: "parse_time(\\"at\\", \'%b %d\')"'), file="x.yaml"
    )
    assert "$._year" in mapping.paths


# As sources of a lake


def test_inputs_of_one_source(tmp_path: Path) -> None:
    """A source may come in several ways; each input is recognised by what is in it, and read the same again."""
    lake = made(tmp_path / "lake")
    text = DOORS + "read: [json, csv, kv]\n"
    (tmp_path / "lake" / "sources").mkdir(exist_ok=True)
    (tmp_path / "lake" / "sources" / "doors.yaml").write_text(text)
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.csv").write_text("id,at,who.name,did\n1,2026-11-20T08:00:00Z,ann,in\n2,2026-11-20T08:00:00Z,bob,out\n")
    (folder / "b.csv").write_text("id;at;who.name;did\n")
    (folder / "c.jsonl").write_text('{"id":"3","at":"2026-11-20T08:00:00Z","who":{"name":"eve"},"did":"in"}\n')
    summary = lake.ingest(folder)

    assert [(each.source, each.format) for each in summary.inputs] == [
        ("doors", "csv"), ("doors", "csv"), ("doors", "lines"),
    ]  # fmt: skip
    assert {event["user_id"] for event in events(lake)} == {"ann", "bob", "eve"}
    assert lake.ingest(folder).duplicates == 3
    (folder / "a.csv").write_text("id,at,who.name,did\n1,2026-11-20T08:00:00Z,zoe,in\n2,2026-11-20T08:00:00Z,bob,out\n")
    again = lake.ingest(folder / "a.csv")
    assert (again.duplicates, again.quarantined) == (1, 1)
    assert b"zoe" in b"".join(
        path.read_bytes() for path in (tmp_path / "lake").rglob("*") if "quarantine" in str(path) and path.is_file()
    )


def test_text_is_recognised(tmp_path: Path) -> None:
    """Half of the first lines must fit; a source that was named is believed."""
    text = DOORS.replace("match: [at, who.name]\n", "") + "read: lines\npattern: '^(?P<at>[0-9]+) (?P<did>in|out)$'\n"
    source = own_source(text.encode(), "x.yaml", BUILT_IN_TYPES)
    catalog = built_in().with_source(source)

    def taken(content: bytes, named: str | None = None) -> str:
        found = recognise(content, "x", named, catalog=catalog)
        return f"{found.source} {found.format}"

    assert taken(b"1 in\n2 out\nx\ny\n") == "doors text"
    assert taken(b"x\n" * 30, "doors") == "doors text"
    assert taken(b"", "doors") == "doors lines"
    for content in (b"1 in\nx\ny\n", b"x\n", b"\0\0", b"PK\x03\x04 1 in"):
        with pytest.raises(UnrecognisedInputError):
            taken(content)
    other = own_source(text.replace("doors", "gates").encode(), "y.yaml", BUILT_IN_TYPES)
    catalog = catalog.with_source(other)
    with pytest.raises(UnrecognisedInputError, match="doors and gates both know its records"):
        taken(b"1 in\n")
