"""Numbers keep their digits: in details, metadata, ids and names, whatever spells them and wherever they stand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from auditlake import AuditEvent, AuditLake
from tests.ingest.lakes import NOW, checked, events, made, put

FAULTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "faults"
NUMBERS = (
    "12345678901234567.89", "9007199254740993.0", "1e-400", "1E5", "-0", "-0.0", "1.10", "1.0", "0.10", "1e400",
    "1E+05", "123456789012345678901234567890", "18446744073709551616", "100000000000000000000.5", "5e-324",
    "0.30000000000000004", "0.000001", "0.00001", "1e-7", "1e16", "1764442489.123456", "1234567890123456.7", "0e0",
    "-1.50", "0.97", "7",
)  # fmt: skip
TIME = '"event_type":"login","timestamp":"2026-11-24T09:00:00.125Z"'
CALL: dict[str, Any] = {
    "eventVersion": "1.08", "eventSource": "s3.amazonaws.com", "eventName": "PutObject", "awsRegion": "eu-west-1",
    "eventTime": "2026-11-24T09:00:00Z", "eventID": "c1", "userIdentity": {"type": "IAMUser", "userName": "a"},
}  # fmt: skip


def before(lake: AuditLake, monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Put into a lake what a build stored that let DuckDB write the numbers, which says nothing of digits."""
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.ingest.ingest.EXACT", "auditlake-nothing")
        lake.ingest(put(lake.layout.root.parent / "before.jsonl", *lines), strict=True)


def test_digits_are_kept(tmp_path: Path) -> None:
    """Each spelling of a number comes out as it came, of lines in the usual order and of any other, in every field."""
    inner = '{"n":%s,"in":[%s,{"m":%s}],"text":"\\"n\\": 1.50, [1.50, -0"}'
    told = [inner % (number, number, number) for number in NUMBERS]
    usual = [
        f'{{"event_id":"u{i}",{TIME},"user_id":null,"action":null,"resource":null,"status":null,"details":{text},'
        f'"metadata":{text},"session_id":null,"ip_address":null}}'
        for i, text in enumerate(told)
    ]
    other = [
        f'{{ "details" : {text}, {TIME}, "user_id": {number}, "event_id": {number}, "extra": {number}}}'
        for text, number in zip((text.replace('":', '" : ') for text in told), NUMBERS, strict=True)
    ]
    lake = made(tmp_path / "lake")
    assert checked(lake, lake.ingest(put(tmp_path / "x.jsonl", *usual, *other), strict=True)).landed == 2 * len(NUMBERS)
    found = {event["event_id"]: event for event in events(lake)}
    assert [found[f"u{i}"]["details"] for i in range(len(told))] == told
    assert [found[f"u{i}"]["metadata"] for i in range(len(told))] == told
    for text, number in zip(told, NUMBERS, strict=True):
        assert found[number]["user_id"] == number
        assert found[number]["details"] == text.replace('\\"n\\": 1.50', '\\"n\\" :  1.50')
        assert found[number]["metadata"] == f'{{"_extra":{{"extra":{number}}}}}'
    assert lake.ingest(tmp_path / "x.jsonl").duplicates == 2 * len(NUMBERS)


@pytest.mark.skipif(not FAULTS.exists(), reason="no ../shared here")
def test_another_amount_is_another_event(tmp_path: Path) -> None:
    """Two amounts that are one double are a conflict under one id, and neither is a duplicate of the other."""
    lake = made(tmp_path / "lake")
    assert lake.ingest(FAULTS / "numbers_a.jsonl").landed == 1
    assert dict(lake.ingest(FAULTS / "numbers_b.jsonl").reasons) == {"id_conflict": 1}
    rounded = (FAULTS / "numbers_a.jsonl").read_text().replace("12345678901234567.89", "12345678901234568.0")
    assert dict(lake.ingest(put(tmp_path / "c.jsonl", rounded.strip())).reasons) == {"id_conflict": 1}
    assert lake.ingest(FAULTS / "numbers_a.jsonl").duplicates == 1


def test_what_an_earlier_build_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier build rounded is the same event when its record comes again, and stays as it lies there."""
    lake = made(tmp_path / "lake")
    content = ('{"a":12345678901234568.0,"b":[1.1,0]}', '{"m":100000.0,"_extra":{"x":0.0}}')
    before(
        lake, monkeypatch,
        f'{{"event_id":"o1",{TIME},"user_id":"1e-07","details":{content[0]},"metadata":{content[1]}}}',
        f'{{"event_id":"1.1",{TIME}}}',
    )  # fmt: skip
    again = put(
        tmp_path / "again.jsonl",
        f'{{"event_id":"o1",{TIME},"user_id":1e-7,"details":{{"a":12345678901234567.89,"b":[1.10,-0]}},'
        '"metadata":{"m":1E5},"x":1e-400}',
        f'{{"event_id":1.10,{TIME}}}',
    )
    assert checked(lake, lake.ingest(again), 2).duplicates == 2
    assert [(event["event_id"], event["details"], event["metadata"]) for event in events(lake)] == [
        ("1.1", None, None), ("o1", *content),
    ]  # fmt: skip
    other = put(tmp_path / "other.jsonl", f'{{"event_id":"o1",{TIME},"user_id":1e-7,"details":{{"a":1.10}}}}')
    assert dict(lake.ingest(other).reasons) == {"id_conflict": 1}


def test_vendors_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor's event keeps its digits too, also inside of a text, and is known where they were rounded before."""
    amount = '"requestParameters":{"amount":12345678901234567.89,"userName":1.10}'
    plain = json.dumps(CALL, separators=(",", ":"))[:-1] + f",{amount}}}"
    texts = [plain, plain.replace('"c1"', '"c2"'), plain.replace('"c1"', '"c3"')]
    rows = [json.dumps({"CloudTrailEvent": text}) for text in texts[1:]]
    rows[1] = rows[1].replace("12345678901234567.89", "\\u0031\\u0032345678901234567.89").replace('\\"', "\\u0022")
    lake = made(tmp_path / "lake")
    rounded = plain.replace("4567.89", "4568.0").replace("1.10", "1.1")
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.ingest.ingest.EXACT", "auditlake-nothing")
        lake.ingest(put(tmp_path / "before.jsonl", rounded))
    summary = checked(lake, lake.ingest(put(tmp_path / "x.jsonl", plain, *rows)), 1)
    assert (summary.landed, summary.duplicates, dict(summary.reasons)) == (2, 1, {})
    found = {event["event_id"]: event for event in events(lake)}
    assert [found[name]["details"] for name in ("c1", "c2", "c3")] == [rounded, *texts[1:]]
    assert found["c2"]["resource"] == "1.10"


def test_logged_numbers(tmp_path: Path) -> None:
    """What applications log is flushed with the digits that Python gave it."""
    details = {"a": 1e16, "b": 1e-07, "c": 2**70, "d": 0.1 + 0.2, "e": -0.0}
    lake = made(tmp_path / "lake")
    lake.log(AuditEvent("login", NOW, details=details, event_id="l1"))
    text = json.dumps(details, separators=(",", ":"))
    assert lake.sql("select details from events").fetchall() == [(text,)]
    lake.flush()
    assert lake.sql("select details from events").fetchall() == [(text,)]


def test_rows_below_another_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same row below another header is another event, and what an earlier build named without it is still known."""
    row = "login,2026-11-01T00:00:00Z,a,b"
    headers = ("event_type,timestamp,user_id,resource", "event_type,timestamp,resource,user_id")
    paths = [put(tmp_path / f"{i}.csv", header, row, row) for i, header in enumerate(headers)]
    lake = made(tmp_path / "lake")
    assert [checked(lake, lake.ingest(path), 2 * i).landed for i, path in enumerate(paths)] == [2, 2]
    assert [lake.ingest(path).duplicates for path in paths] == [2, 2]

    digest = hashlib.sha256(row.encode()).hexdigest()
    ids = [hashlib.sha256(f"auditlake\n{digest}\n{n}".encode()).hexdigest() for n in (1, 2)]
    older = made(tmp_path / "older" / "lake")
    before(
        older, monkeypatch,
        *(f'{{"event_id":"{each}","event_type":"login","timestamp":"2026-11-01T00:00:00Z","user_id":"a","resource":"b"}}'
          for each in ids),
    )  # fmt: skip
    first, second = (checked(older, older.ingest(path), 2) for path in paths)
    assert (first.duplicates, second.landed, second.quarantined) == (2, 2, 0)


def test_rounded_and_erased_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an earlier build rounded, or named without its header, and what was erased since, does not come back."""
    row = "login,2026-11-01T00:00:00Z,mallory"
    name = hashlib.sha256(f"auditlake\n{hashlib.sha256(row.encode()).hexdigest()}\n1".encode()).hexdigest()
    lake = made(tmp_path / "lake")
    before(
        lake, monkeypatch,
        f'{{"event_id":"e1",{TIME},"user_id":"mallory","details":{{"amount":12345678901234568.0}}}}',
        f'{{"event_id":"{name}","event_type":"login","timestamp":"2026-11-01T00:00:00Z","user_id":"mallory"}}',
    )  # fmt: skip
    lake.retention.erase("mallory", reason="Article 17", ticket="G-1")
    again = put(
        tmp_path / "a.jsonl",
        f'{{"event_id":"e1",{TIME},"user_id":"mallory","details":{{"amount":12345678901234567.89}}}}',
    )
    summary = lake.ingest(again, put(tmp_path / "b.csv", "event_type,timestamp,user_id", row))
    assert (summary.landed, summary.duplicates, summary.quarantined) == (0, 2, 0)
