"""What an input is."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.errors import UnrecognisedInputError
from auditlake.sources.catalog import built_in
from auditlake.sources.model import InputFile
from auditlake.sources.recognise import recognise
from auditlake.sources.stream import PEEK, open_stream
from tests.sources.pieces import SHARED

A = b'{"event_type":"login","timestamp":"2026-11-24T00:00:00Z","user_id":"alice"}'
C = b'{"eventVersion":"1.08","userIdentity":{"type":"Root"},"eventTime":"2026-11-24T00:00:00Z","eventName":"x"}'
LOOKUP = (
    b'{"EventId":"1","EventName":"x","EventTime":"2022-02-08 09:23:37+11:00","CloudTrailEvent":'
    + json.dumps(C.decode()).encode()
    + b"}"
)
DIGEST = (
    b'{"awsAccountId":"1","digestStartTime":"t","digestEndTime":"t","digestS3Object":"o","logFiles":[{"s3Bucket":"b"}]}'
)
PRETTY = json.dumps(json.loads(A), indent=2).encode()

# Name, content, expected source and format.
CASES = {
    "lines": ("audit_20261124.jsonl", A + b"\n" + A, "auditlake lines"),
    "lines in a .json": ("x.json", A + b"\n" + A, "auditlake lines"),
    "lines from standard input": ("-", A + b"\n" + A + b"\n", "auditlake lines"),
    "lines with half a pair beside a large number": (
        "x.jsonl",
        A + b'\n{"$":1e400,"x":"\\ud800"}\n',
        "auditlake lines",
    ),
    "lines after blanks": ("x.log", b"\xef\xbb\xbf\r\n\n" + A, "auditlake lines"),
    "one object on one line": ("x.json", A, "auditlake documents"),
    "one object, laid out": ("x.json", PRETTY, "auditlake documents"),
    "one object, laid out, from standard input": ("-", PRETTY, "auditlake documents"),
    "an array": ("x.json", b"[" + A + b"," + A + b"]", "auditlake documents"),
    "an array whatever the name": ("x.jsonl", b"[" + A + b"," + A + b"]", "auditlake documents"),
    "an array over many lines": ("-", b"[\n" + A + b",\n" + A + b"\n]", "auditlake documents"),
    "a torn first line in a log": ("x.jsonl", A[30:] + b"\n" + A, "auditlake lines"),
    "a torn first line that begins like one": ("x.ndjson.gz", A[:30] + b"\n" + A + b"\n" + A, "auditlake lines"),
    "a torn first line from standard input": ("-", b"a\n" + A + b"\n" + A, "auditlake lines"),
    "a huge number first": ("x.jsonl", b'{"n":1e400,' + A[1:], "auditlake lines"),
    "a first record longer than what is looked at": (
        "x.jsonl",
        A[:-1] + b',"details":"' + b"x" * PEEK,
        "auditlake lines",
    ),
    "the same in a document": ("x.json", b"[" + A[:-1] + b',"details":"' + b"x" * PEEK, "auditlake documents"),
    "CSV": ("x.csv", b"event_type,timestamp\r\nlogin,2026", "auditlake csv"),
    "CSV by content": ("-", b'\xef\xbb\xbf"user_id";"timestamp";"event_type"\nalice', "auditlake csv"),
    "tabs": ("x.txt", b"event_type\ttimestamp\n", "auditlake csv"),
    "Parquet": ("x", b"PAR1\x15\x04", "auditlake parquet"),
    "CloudTrail Records": ("1_CloudTrail_x.json.gz", b'{"Records":[' + C + b"," + C[:40], "cloudtrail documents"),
    "CloudTrail Records without name": ("-", b'{\n "Records": [\n' + C + b"\n]}", "cloudtrail documents"),
    "CloudTrail array": ("x.json", b"[" + C + b"]", "cloudtrail documents"),
    "CloudTrail lines": ("x.json", C + b"\n" + C, "cloudtrail lines"),
    "CloudTrail LookupEvents": ("x.json", b'{"NextToken":"n","Events":[' + LOOKUP + b"]}", "cloudtrail documents"),
    "LookupEvents rows": ("x.ndjson", LOOKUP + b"\n", "cloudtrail lines"),
    "lines of Records": ("x.jsonl", b'{"Records":[' + C + b"]}\n" * 2, "cloudtrail documents"),
    "no Records": ("x.json", b'{"Records": [ ]}', "cloudtrail documents"),
    "a digest": ("d.json.gz", DIGEST, "cloudtrail skip"),
    "a digest, laid out": ("d.json", json.dumps(json.loads(DIGEST), indent=1).encode(), "cloudtrail skip"),
    "no records": ("x.json", b" [ ]\n", "auditlake documents"),
    "no records twice": ("x.json", b"[][]", "auditlake documents"),
    "no records, then one": ("x.json", b"[][" + C + b"]", "cloudtrail documents"),
    "an event with a field Events": ("x.jsonl", b'{"Events":[1],' + A[1:] + b"\n" + A, "auditlake lines"),
    "an event with a field Events in a document": ("x.json", b'{\n"Events":[{"a":1}],' + A[1:], "auditlake documents"),
    "an event with a field Records last": ("x.json", C[:-1] + b',\n"Records":[{}]}', "cloudtrail documents"),
    "much before Records": ("x.json", b'{"x":"%s","Records":[%s]}' % (b"x" * 5000, C), "cloudtrail documents"),
    "objects before Records": ("x", b'{"a":[{"b":1}],"c":{},"Records":[%s]}' % C, "cloudtrail documents"),
    "wrappers that touch": ("-", b'{"Records":[%s]}' % C * 2, "cloudtrail documents"),
    "objects that touch": ("x", A * 3, "auditlake documents"),
    "objects that touch, on several lines": ("-", A + A + b"\n" + A, "auditlake lines"),
    "foreign lines first": ("x.log", b"starting\n" * 100 + A, "auditlake lines"),
    "foreign objects first": ("x.log", b"{}\n" * 100 + A, "auditlake lines"),
    "nothing": ("x.jsonl", b"", "auditlake lines"),
    "nothing in a document": ("x.json", b" \n", "auditlake documents"),
}


@pytest.mark.parametrize("name", CASES)
def test_recognised(name: str) -> None:
    """Content says what an input is, and its name only where content leaves it open."""
    file, content, expected = CASES[name]
    found = recognise(content[:PEEK], file)
    assert f"{found.source} {found.format}" == expected
    assert bool(found.notice) == (found.format == "skip")


LONG = b'"details":"' + b"x" * (PEEK + 40_000) + b'",'
# Of inputs whose first record ends behind what is looked at first: name, content, expected source and format.
BEYOND = {
    "a line whose keys come late": ("x.jsonl", b"{" + LONG + A[1:] + b"\n" + A, "auditlake lines"),
    "a line that is not the first": ("x.jsonl", b"x" * PEEK + b"\n" + A, "auditlake lines"),
    "an object": ("x.json", b"{\n" + LONG + A[1:], "auditlake documents"),
    "an element of an array": ("x", b"[{" + LONG + A[1:] + b"]", "auditlake documents"),
    "much before Records": ("x", b"{" + LONG + b'"Records":[' + C + b"," + C, "cloudtrail documents"),
    "a record under Records": ("x", b'{"Records":[{' + LONG + C[1:], "cloudtrail documents"),
    "an event with a field Events": ("x.jsonl", b'{"Events":[{}],' + LONG + A[1:] + b"\n" + A, "auditlake lines"),
    "objects that touch": ("x", b"{" + LONG + A[1:] + A, "auditlake documents"),
    "blank lines": ("x", b"\n" * (PEEK + 9) + A, "auditlake lines"),
}


@pytest.mark.parametrize("name", BEYOND)
def test_recognised_beyond_the_beginning(name: str) -> None:
    """However long the first record is, and wherever its keys stand, it is recognised, with as little as is needed."""
    file, content, expected = BEYOND[name]
    found = recognise(content[:PEEK], file, more=lambda size: content[:size])
    assert f"{found.source} {found.format}" == expected


def test_looks_no_further_than_needed() -> None:
    """Where whole records are in the beginning, they decide, and a long input is not read further."""
    for content in (A + b"\n", b'{"Records":[' + C + b",", b"[" + A + b","):
        assert recognise((content * 9000)[:PEEK], "x", more=lambda _: pytest.fail("read further"))


UNKNOWN = {
    "other JSON": b'{"a":1}\n{"b":2}\n',
    "an empty object": b"{}",
    "an empty array and other JSON": b'[]{"a":1}',
    "a field that is called Records": b'{"a":1,"Records":[1]}',
    "text": b"a line of words, and no log of anything\n",
    "other CSV": b"time,type\n1,2\n",
    "UTF-16": "\ufeff{}".encode("utf-16"),
    "a ZIP": b"PK\x03\x04rest",
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_unrecognised(name: str) -> None:
    """What no source knows is an error that names every source, what it looked for, and what was there instead."""
    with pytest.raises(UnrecognisedInputError) as caught:
        recognise(UNKNOWN[name], "x.json" if name == "deep" else "x.txt")
    assert "x." in str(caught.value)
    for source in built_in():
        said = source.name if source.outline else f"{source.name}: {source.looks_for}"
        assert not source.is_input or said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "--source" not in (caught.value.hint or "--source")


def test_an_input_with_a_key_of_an_event() -> None:
    """Only where a record has a key of an event, the hint is to name the source."""
    with pytest.raises(UnrecognisedInputError) as caught:
        recognise(b'{"event_type": "login", "when": "2026-11-24"}', "x.jsonl")

    assert "--source" in (caught.value.hint or "")


def test_a_zip_is_called_a_zip() -> None:
    """What it looks like is said, where that is known."""
    for content, what in ((UNKNOWN["a ZIP"], "ZIP"), (UNKNOWN["UTF-16"], "UTF-16"), (b"hello", "neither JSON nor")):
        with pytest.raises(UnrecognisedInputError, match=what):
            recognise(content, "x")


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("x.json", b"{", "documents"),
        ("x.json", b'{"a":1}\n{"a":2}', "lines"),
        ("x", b"garbage\n", "lines"),
        ("x.jsonl", b'{"a":\n', "lines"),
        ("x.csv", b"a,b\n", "csv"),
        ("x.csv.gz", b"a,b\n", "csv"),
        ("-", b'[{"a":1}', "documents"),
        ("x.jsonl", A[:-1] + b',"Events":[1]}', "lines"),
    ],
)
def test_named_by_the_user(name: str, content: bytes, expected: str) -> None:
    """A source that the user named is believed; only how to cut the input is found out."""
    found = recognise(content, name, "auditlake")
    assert (found.source, found.format) == ("auditlake", expected)


@given(
    st.binary(max_size=60) | st.text(st.sampled_from('[]{},:"\\ \n1ae'), max_size=60).map(str.encode),
    st.sampled_from(["x.json", "x.jsonl", "-"]),
)
def test_any_bytes(content: bytes, name: str) -> None:
    """No beginning makes it fail in any other way than by its own error."""
    with suppress(UnrecognisedInputError):
        recognise(content, name)
    assert recognise(content, name, "cloudtrail").source == "cloudtrail"


def real(folder: str, pattern: str) -> list[Path]:
    return sorted(path for path in (SHARED / "data" / folder).rglob(pattern) if "labels" not in path.name)


@pytest.mark.skipif(not real("real/cloudtrail", "*json"), reason="the real data is not on this machine")
def test_real_cloudtrail() -> None:
    """Every real CloudTrail file is recognised without its name."""
    for path in real("real/cloudtrail", "*json"):
        with open_stream(InputFile("-", path)) as stream:
            assert recognise(stream.peek(), "-").source == "cloudtrail", path


VENDORS = {
    "okta": ("okta",),
    "k8s_audit": ("k8s_audit",),
    "github_audit": ("github_audit",),
    "gcp_audit": ("gcp_audit",),
    "security-analytics": ("gcp_audit",),
    "gworkspace": ("gworkspace",),
    "slack": ("slack",),
    "onepassword": ("onepassword",),
    "entra": ("entra",),
    "azure_activity": ("azure_activity",),
    "m365": ("m365",),
    "llm": ("litellm", "litellm_spend", "langfuse", "garak", "openai_audit", "anthropic_compliance"),
    "otlp": ("otlp_genai",),
    "ocsf": ("ocsf",),
    "prowler": ("ocsf",),
    "sshd": ("sshd",),
    "auditd": ("auditd",),
}
"""The folders of real data, and the sources that their files may be taken for."""


@pytest.mark.skipif(not real("real", "*json"), reason="the real data is not on this machine")
def test_real_data_is_taken_for_what_it_is() -> None:
    """A real file is taken for a source of its own vendor or for none."""
    others = [path for path in real("real", "*json") if "cloudtrail" not in path.parts]
    assert others
    for path in others:
        with open_stream(InputFile("-", path)) as stream, suppress(UnrecognisedInputError):
            found = recognise(stream.peek(), path.name)
            assert found.source in VENDORS.get(path.relative_to(SHARED / "data" / "real").parts[0], ()), path


@pytest.mark.skipif(not real("corpora/json-test-suite", "*.json"), reason="JSONTestSuite is not on this machine")
def test_json_test_suite() -> None:
    """Every file of JSONTestSuite is read as a document when a source is named, and none is recognised otherwise."""
    for path in real("corpora/json-test-suite", "*.json"):
        assert recognise(path.read_bytes(), path.name, "auditlake").format == "documents", path


def test_marks_alone() -> None:
    """A million byte order marks are looked at once, and what follows them counts."""
    assert recognise(b"\xef\xbb\xbf" * 1_000_000 + A, "-").format == "lines"
