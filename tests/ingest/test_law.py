"""Any file of lines: what lands, what is a duplicate and what is quarantined is what plain Python says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake.events.schema import CANONICAL_FIELDS
from tests.ingest import oracle
from tests.ingest.lakes import checked, events, kept, made

# Everything is drawn as JSON text, for what matters is how it is written.
TYPES = ('"login"', '"logout"', '"api_call"', '"lo\\u0067in"')
TIMES = (
    '"2026-11-24T09:00:00Z"', '"2026-11-24 09:00:00.1234567"', '"2026-11-24t09:00:00z"', '"2026-11-25T03:00:60+18:00"',
    '"1970-01-01T00:00:00Z"', '"1969-12-31T23:59:59Z"', '"2026-02-29T00:00:00Z"', '"2026-11-24"', '"infinity"',
    '"2026-11-24T24:00:00Z"', "1764000000", '"9998-12-31T23:59:59.999999Z"', '"9999-01-01T00:00:00Z"',
    '"2026\\u002d11-24T09:00:00Z"',
)  # fmt: skip
TEXTS = (
    '"alice"', '""', '" "', '"null"', '"{"', '"[x"', '"{\\"a\\":1}"', '"[1,]"', '"NaN"', '", NaN"', '":inf"', '",}"',
    '"\\u0000"', '"\\ud83d\\ude00"', '"😀"', '"é\\u00e9\\/\\\\\\"\\n"', '"\\u202e"', "null", "true", "false", "0",
    "-0", "-1", "12",
    "1.5", "1.50", "0.25", "1E5", "100000.0", "1e400", "-1E400", "123456789012345678901234567890",
    "9223372036854775808",
    "-9223372036854775809", "18446744073709551616",
)  # fmt: skip
SHAPES = (
    "{}",
    "[]",
    '{"a":1}',
    "[1]",
    "[{}]",
    "{ }",
    '{"a":{"a":[ 1 , 2.50 ]},"a":null}',
    '{"_extra":1}',
    '{"_value":[]}',
)
VALUES = (*TEXTS, *SHAPES)
BAD = (
    "NaN", "-NaN", "nan", "Infinity", "-Infinity", "inf", "-inf", "+1", "01", "1.", ".5", "1e", "0x10", "1_0", "True",
    "None", "'a'", "undefined", '"\\ud800"', '"\\udc00\\ud800"', '"\\x41"', '"\\u00g0"', '"a', '"\t"', '"\0"', "[1,]",
    "[1 , ]", '{"a":1,}', '{"a":1 ,\t}', "[,]", "[NaN]", "[ -inf]", "[1, Infinity]", '{"a": NaN}', "[1 2]", '{"a"}',
    "{a:1}",
    "[", "]", "{", "}", "1 2", "", "/**/1", "1//", "\x0b1", "\xa01", "\u20281", "\ufeff1",
)  # fmt: skip
KEYS = tuple(f'"{name}"' for name in CANONICAL_FIELDS)
ODD_KEYS = (
    '"x"', '"y"', '""', '"/"', '"~"', '"~0"', '"~1"', '"a/b"', '"a~1b"', '"e.f"', '"$"', '"$.x"', '"*"', '"#"', '"-"',
    '"0"', '"g\\"h"', '"\\\\"', '"\\u0000"', '"x\\u0000"', '"é"', '"Event_Type"', '"timestamp "', '"_extra"',
    '"_value"', '"[0]"',
    '"event\\u005ftype"', '"t\\u0069mestamp"', '"user\\u005Fid"', '"record"', '"text"', '"reason"', '"source"', '"seq"',
)  # fmt: skip
WHITE = st.sampled_from(["", "", "", "", " ", "\t", "  ", " \t ", "\r"])


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, str]]:
    """The members of an event, most of them good."""
    kind = draw(st.sampled_from([*TYPES * 4, '"Login"', '""', "1"]))
    found = [('"event_type"', kind), ('"timestamp"', draw(st.sampled_from([*TIMES[:4] * 8, *TIMES])))]
    if draw(st.booleans()):
        found.append(('"event_id"', draw(st.sampled_from(['"1"', "1", '"\\u0031"', '"2"', "null", '""', "true"]))))
    odd = st.tuples(st.sampled_from(ODD_KEYS), st.sampled_from(VALUES))
    texts = st.tuples(st.sampled_from(KEYS[3:7] + KEYS[9:]), st.sampled_from(TEXTS))
    jsons = st.tuples(st.sampled_from(('"details"', '"metadata"')), st.sampled_from(VALUES))
    found += draw(st.lists(texts | jsons | odd, max_size=4))
    if draw(st.integers(0, 7)) == 5:
        found.append((draw(st.sampled_from(KEYS)), draw(st.sampled_from(VALUES))))
    if draw(st.integers(0, 7)) == 5:
        del found[draw(st.integers(0, len(found) - 1))]
    return draw(st.permutations(found)) if draw(st.booleans()) else found


@st.composite
def records(draw: st.DrawFn) -> str:
    """A line: most often an event, or nearly one."""
    pairs = draw(members())
    if draw(st.integers(0, 7)) < 7:
        # Without keys that come twice, so that something lands.
        pairs = list({oracle.parsed(key): (key, value) for key, value in pairs}.values())
    if draw(st.integers(0, 7)) == 5:
        pairs.append((draw(st.sampled_from(['"details"', '"x"'])), draw(st.sampled_from(BAD))))
    line = (
        "{"
        + ",".join(f"{draw(WHITE)}{key}{draw(WHITE)}:{draw(WHITE)}{value}{draw(WHITE)}" for key, value in pairs)
        + "}"
    )
    damages = [line] * 60 + [
        line[:-1], line[1:], line[:-1] + ",}", line[:-1] + ", }", line + ",", line + "}", line + " x", line + "{}",
        f"[{line}]",
        f"{line} {line}", "\ufeff" + line, line.replace(":", "=", 1), line.replace(",", ",,", 1), line + "\0",
        "\x0c" + line,
    ]  # fmt: skip
    return draw(WHITE) + draw(st.sampled_from(damages)) + draw(WHITE)


DECEIVING = (
    '"a","x":"b"', '"a","user_id":"b"', '"a","event_id":"b"', '"a\\\\","action":"b"', '"\\u0061"', '"a\\/b"', '"a" ',
    '"nan"', '"', "{}", 'null,"x":null',
)  # fmt: skip
"""What stands where a value belongs, and brings more than that."""


PLAIN = ('"1"', '"login"', TIMES[0], '"alice"', "null", '"r"', '"success"', '{"a":1.5}', "{}", "null", '"::1"')
NEARLY = ('{"a":NaN}', '{"a":[1,-inf]}', "nan", "[1,]", '{"nan":1}', '{"a":"inf"}')


@st.composite
def laid_out(draw: st.DrawFn) -> str:
    """A line with all fields in their order and no space, as programs write it, or nearly so."""
    values = list(PLAIN)
    for place in draw(st.sets(st.integers(3, 10), min_size=1, max_size=2)):
        values[place] = draw(st.sampled_from([*VALUES, *NEARLY, *NEARLY, *DECEIVING]))
    values[0] = draw(st.sampled_from(['"1"', '"2"', "1", "null", '""', *DECEIVING[:3]]))
    line = "{" + ",".join(f"{key}:{value}" for key, value in zip(KEYS, values, strict=True)) + "}"
    return line + draw(st.sampled_from(["", "", "", " ", ",", "}", "x"]))


OTHERS = st.sampled_from([*BAD, *VALUES, "", "\t", "   ", '{"event_type":"login"}'])
LINES = st.integers(0, 11).flatmap(lambda number: OTHERS if number == 7 else laid_out() if number > 8 else records())


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """A file of lines that begins like one, with lines that come again."""
    first = '{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}'
    found = [first, *draw(st.lists(LINES, min_size=20, max_size=120))]
    found += draw(st.lists(st.sampled_from(found), min_size=3, max_size=20))
    ends = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    data = ends.join(found).encode() + draw(st.sampled_from([b"", ends.encode(), b"\n\n"]))
    for at in draw(st.lists(st.integers(len(first) + 2, max(len(data), len(first) + 2)), max_size=2)):
        data = (
            data[:at]
            + draw(st.sampled_from([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"\xf4\x90\x80\x80"]))
            + data[at:]
        )
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf"])) + data


def seen(event: dict[str, Any]) -> dict[str, Any]:
    """An event of the lake with its JSON written as the oracle writes it."""
    texts = {name: event[name] and oracle.normal(oracle.parsed(event[name])) for name in oracle.JSONS}
    return {**event, **texts}


def by_id(found: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Events by their id, each of which occurs once."""
    assert len({event["event_id"] for event in found}) == len(found)
    return {event["event_id"]: event for event in found}


def agrees(contents: list[bytes]) -> None:
    with TemporaryDirectory() as folder:
        lake, path = made(Path(folder, "lake")), Path(folder, "events.jsonl")
        there: list[dict[str, Any]] = []
        for data in contents:
            path.write_bytes(data)
            expected = oracle.ingested(data, there)
            summary = checked(lake, lake.ingest(path), before=len(there))
            there += expected.landed
            found = sorted((item.line, item.offset, item.reason, item.data) for item in kept(summary))
            assert found == sorted((item.line, item.offset, item.reason, item.data) for item in expected.quarantined)
            assert (summary.read, summary.landed, summary.duplicates) == (
                expected.read, len(expected.landed), expected.duplicates
            )  # fmt: skip
            assert by_id([seen(event) for event in events(lake)]) == by_id(there)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(files(), min_size=1, max_size=2))
def test_any_file(contents: list[bytes]) -> None:
    """Landed rows, duplicates and quarantined bytes with their places are those of the oracle, file after file."""
    agrees(contents)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(files(), min_size=1, max_size=2))
def test_any_file_often(contents: list[bytes]) -> None:
    """The same, five hundred times."""
    agrees(contents)


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(laid_out(), min_size=10, max_size=40))
def test_fields_in_order(lines: list[str]) -> None:
    """The same where every line has all fields in their order and nothing else, or seems to."""
    agrees(["\n".join(['{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}', *lines]).encode()])


@pytest.mark.soak
@settings(max_examples=1_000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(laid_out(), min_size=10, max_size=40))
def test_fields_in_order_often(lines: list[str]) -> None:
    """The same, a thousand times."""
    agrees(["\n".join(['{"event_type":"login","timestamp":"2026-11-24T09:00:00Z"}', *lines]).encode()])


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(files(), min_size=2, max_size=3))
def test_any_file_in_little_memory(contents: list[bytes]) -> None:
    """The same where next to nothing is held in memory and a file takes few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.ingest.day_buffer._HELD_BYTES", 2_000)
        patch.setattr("auditlake.ingest.day_buffer._TURNS", 2)
        patch.setattr("auditlake.ingest.day_files._FILE_BYTES", 3_000)
        patch.setattr("auditlake.ingest.record_buffer._FULL_RECORDS", 20)
        patch.setattr("auditlake.sources.split.BATCH_RECORDS", 20)
        agrees(contents)
