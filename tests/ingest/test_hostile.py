"""Inputs that are too long, too deep, broken or not what they should be."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.errors import SourceError, StrictIngestError, UnrecognisedInputError
from auditlake.sources import reader
from auditlake.sources.model import KEPT
from auditlake.sources.stream import open_stream
from tests.cli.conftest import Run, run  # noqa: F401 - a fixture
from tests.ingest.lakes import BARE, checked, events, ids, kept, login, made, put
from tests.soak import mostly

GOOD = [login(n) for n in range(3)]


def sized(size: int, number: int) -> str:
    """An event of exactly so many bytes."""
    line = login(number, user_id="")
    return login(number, user_id="x" * (size - len(line)))


def test_hundred_megabytes_in_a_line(tmp_path: Path) -> None:
    """A line of 100 MB is quarantined with its beginning, length and digest; its neighbours land."""
    head, piece, lake = b'{"user_id":"', b"x" * 1_000_000, made(tmp_path / "lake")
    path = tmp_path / "x.jsonl"
    with path.open("wb") as file:
        file.write(f"{GOOD[0]}\n".encode() + head)
        for _ in range(100):
            file.write(piece)
        file.write(f'"}}\n{GOOD[1]}\n'.encode())
    summary = checked(lake, lake.ingest(path))
    (item,) = kept(summary)
    assert (summary.landed, item.reason, item.line, item.length) == (2, "too long", 2, len(head) + 100_000_002)
    assert item.data == (head + piece)[:KEPT]
    assert item.sha256 == hashlib.sha256(head + piece * 100 + b'"}').hexdigest()


DEEP = {
    "arrays": ("[" * 10**6, "]" * 10**6, "nested too deeply"),
    "objects": ('{"a":' * 10**6 + "1", "}" * 10**6, "nested too deeply"),
    "never closed": ('[{"a":' * 10**6, "", "not valid JSON"),
    "one level too many": ("[" * 512, "]" * 512, "nested too deeply"),
}


@pytest.mark.parametrize("name", mostly(DEEP, always=["arrays", "never closed", "one level too many"]))
def test_deep_nesting(tmp_path: Path, name: str) -> None:
    """Nesting of a million levels, or of one too many, is quarantined; nothing crashes and the others land."""
    opened, closed, reason = DEEP[name]
    lake = made(tmp_path / "lake")
    line = f'{{{BARE},"details":{opened}{closed}}}'
    summary = checked(lake, lake.ingest(put(tmp_path / "x.jsonl", GOOD[0], line, GOOD[1])))
    assert (summary.landed, summary.reasons) == (2, {reason: 1})
    assert kept(summary)[0].data == line.encode()


@pytest.mark.parametrize(("begin", "end", "levels"), [("[", "]", 511), ('{"a":', "}", 511), ("[", "]", 970)])
def test_deep_where_text_belongs(tmp_path: Path, begin: str, end: str, levels: int) -> None:
    """It is quarantined, though there may be more levels than Python has calls, and it is what an input begins with."""
    lake, value = made(tmp_path / "lake"), f"{begin * levels}1{end * levels}"
    summary = lake.ingest(put(tmp_path / "x.jsonl", f'{{{BARE},"action":{value}}}', GOOD[0]))
    (item,) = kept(checked(lake, summary))
    too_deep, misplaced = ("nested too deeply", ""), ("an object or array where text belongs", f"{value[:199]}…")
    assert (summary.landed, (item.reason, item.value)) == (1, too_deep if levels > 511 else misplaced)


def test_as_deep_as_allowed(tmp_path: Path) -> None:
    """512 levels, the event's own among them, land and read back."""
    lake, value = made(tmp_path / "lake"), "[" * 511 + "]" * 511
    checked(
        lake, lake.ingest(put(tmp_path / "x.jsonl", f'{{{BARE},"details":{value},"unknown":{value}}}'), strict=True)
    )
    (event,) = events(lake)
    assert (event["details"], event["metadata"]) == (value, f'{{"_extra":{{"unknown":{value}}}}}')


@pytest.mark.parametrize("end", mostly(["\n", "\r\n", ""], always=["\r\n", ""]))
def test_just_at_the_limit(tmp_path: Path, end: str) -> None:
    """A record of max_record bytes lands and one of a byte more does not, with any line end."""
    lake, path = made(tmp_path / "lake", max_record=300), tmp_path / "x.jsonl"
    path.write_bytes(end.join([sized(300, 1), sized(299, 2)] if end else [sized(300, 1)]).encode() + end.encode())
    assert checked(lake, lake.ingest(path)).quarantined == 0
    before = lake.snapshot().rows
    path.write_bytes((sized(301, 3) + end).encode())
    (item,) = kept(checked(lake, lake.ingest(path, source="auditlake"), before))
    assert (item.reason, item.length) == ("too long", 301)


def _truncated(data: bytes) -> bytes:
    return gzip.compress(data)[:-20]


def _corrupt(data: bytes) -> bytes:
    packed = bytearray(gzip.compress(data))
    packed[-40] ^= 0xFF
    return bytes(packed)


BROKEN: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (_truncated, "truncated gzip"),
    "corrupt": (_corrupt, "corrupt gzip"),
    "garbage behind": (lambda data: gzip.compress(data) + b"garbage", "trailing garbage after gzip"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_gzip(tmp_path: Path, name: str) -> None:
    """What comes out of a broken gzip file lands, and that it broke off is a quarantined record."""
    pack, reason = BROKEN[name]
    lake, path = made(tmp_path / "lake"), tmp_path / "x.jsonl.gz"
    path.write_bytes(
        pack("".join(login(n, user_id=hashlib.sha256(b"%d" % n).hexdigest()) + "\n" for n in range(500)).encode())
    )
    summary = checked(lake, lake.ingest(path))
    assert summary.reasons[reason] == 1
    assert summary.landed > (499 if name == "garbage behind" else 300)
    assert checked(lake, lake.ingest(path), summary.landed).snapshot == summary.snapshot


def test_gzip_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to far more than it is, is given up, and says so."""
    monkeypatch.setattr(reader, "open_stream", partial(open_stream, bomb_floor=5_000_000))
    lake, path = made(tmp_path / "lake"), tmp_path / "x.jsonl.gz"
    path.write_bytes(gzip.compress(f"{GOOD[0]}\n".encode() + b"\n" * 50_000_000))
    summary = checked(lake, lake.ingest(path))
    assert (summary.landed, summary.reasons) == (1, {"gzip bomb": 1})


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    """NUL bytes and invalid UTF-8 take only their own line to quarantine, byte for byte."""
    bad = [b"\0", b'{"event_type":"log\0in"}', b"{%b}\0" % BARE.encode(), b'{%b,"user_id":"\xff"}' % BARE.encode(),
           b'{%b,"user_id":"\xed\xa0\x80"}' % BARE.encode(), b"\x80" * 1000]  # fmt: skip
    lines = [GOOD[0], *(line for pair in zip(bad, map(login, range(10, 16)), strict=True) for line in pair)]
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(put(tmp_path / "x.jsonl", *lines)))
    assert [item.data for item in sorted(kept(summary), key=lambda item: item.line)] == bad
    assert (summary.landed, summary.reasons) == (7, {"not valid JSON": len(bad)})


@pytest.mark.parametrize("character", mostly("é中\N{GRINNING FACE}", always="\N{GRINNING FACE}"))
def test_broken_lines_of_any_script(character: str, tmp_path: Path) -> None:
    """Text that is no JSON takes only itself to quarantine, wherever a message that quotes it may cut it."""
    lake = made(tmp_path / "lake")
    for number, before in enumerate(range(20, 24)):
        bad = f'{{"event_id":"{"x" * before}{character * 40}" oops}}'
        summary = checked(lake, lake.ingest(put(tmp_path / "x.jsonl", login(number), bad)), number)
        assert (summary.landed, summary.reasons) == (1, {"not valid JSON": 1})


def test_empty_inputs(tmp_path: Path) -> None:
    """Empty files, blank files and empty folders are no error and leave no trace."""
    lake = made(tmp_path / "lake")
    (tmp_path / "folder").mkdir()
    for name, data in {
        "a.jsonl": b"",
        "b.log": b"\n\r\n \n",
        "c": b"\xef\xbb\xbf",
        "d.jsonl.gz": gzip.compress(b""),
    }.items():
        (tmp_path / name).write_bytes(data)
    found = lake.ingest(*sorted(tmp_path.glob("[a-d]*")), tmp_path / "folder")
    assert (len(found.inputs), found.read, found.batch, found.snapshot) == (4, 0, None, 0)
    assert lake.ingest().snapshot == 0


@pytest.mark.parametrize("files", [60, pytest.param(300, marks=pytest.mark.soak)])
def test_many_small_files(files: int, tmp_path: Path) -> None:
    """A folder of many files, some of them empty or bad, is one commit, and each file has its own numbers."""
    for n in range(files):
        (tmp_path / "in" / f"{n % 7}").mkdir(parents=True, exist_ok=True)
        lines = [f"{{{BARE}}}"] * (n % 3) + [login(n), "bad"][: n % 2 + 1] + [login(n // 2)]
        put(tmp_path / "in" / f"{n % 7}" / f"{n:03}.jsonl", *lines)
    (tmp_path / "in" / "0" / "empty.jsonl").touch()
    (tmp_path / "in" / "0" / ".hidden").write_text("no event")
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(tmp_path / "in"))
    assert (summary.snapshot, summary.batch, len(summary.inputs)) == (1, 1, files + 2)
    assert (summary.landed, summary.quarantined) == (files + 2, files // 2)
    pattern = str(tmp_path / "in" / "**" / "*[02468].jsonl")
    assert checked(lake, lake.ingest(pattern), files + 2).duplicates == lake.ingest(pattern).duplicates > 0


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A file may have any name: it is shown with what cannot be printed spelled out."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n[x]*.jsonl"))
    put(path, GOOD[0], "bad")
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(path))
    assert summary.inputs[0].name.endswith(r"/\xff" + "\n[x]*.jsonl")


REFUSED: dict[str, tuple[bytes, str | None, type[Exception], str]] = {
    "unknown source": (b"{}", "nginx", SourceError, "there is no source 'nginx'"),
    "foreign": (
        b'{"a":1}\n',
        None,
        UnrecognisedInputError,
        r"tried auditlake: .*event_type.*; cloudtrail: .*eventVersion",
    ),
    "text": (b"127.0.0.1 - - GET /\n", None, UnrecognisedInputError, "is neither JSON nor .*tried auditlake"),
    "UTF-16": (GOOD[0].encode("utf-16"), None, UnrecognisedInputError, "UTF-16"),
    "no columns": (b"a,b\n", None, UnrecognisedInputError, "tried auditlake"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_inputs(tmp_path: Path, name: str) -> None:
    """An input that nothing knows is an error that says what was tried, and nothing of its neighbours lands."""
    data, source, error, message = REFUSED[name]
    path = tmp_path / "input"
    path.write_bytes(data)
    lake = made(tmp_path / "lake")
    with pytest.raises(error, match=message) as raised:
        lake.ingest(put(tmp_path / "good.jsonl", *GOOD), path, source=source)
    assert "\n" not in str(raised.value)
    _untouched(lake)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may not be read is an error, and nothing of its neighbours lands."""
    path = put(tmp_path / "x.jsonl", GOOD[0])
    path.chmod(0)
    if os.geteuid() == 0:
        # The superuser may read everything.
        monkeypatch.setattr(os, "access", lambda at, _: Path(at) != path)
    lake = made(tmp_path / "lake")
    with pytest.raises(SourceError, match="permission denied"):
        lake.ingest(put(tmp_path / "good.jsonl", *GOOD), path)
    _untouched(lake)


def test_missing_inputs(tmp_path: Path) -> None:
    """A path, a pattern or a broken link that leads nowhere is an error."""
    lake = made(tmp_path / "lake")
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path / "nothing", tmp_path / "*.nothing", tmp_path / "link"):
        with pytest.raises(SourceError):
            lake.ingest(put(tmp_path / "good.jsonl", *GOOD), path)
    _untouched(lake)


def _untouched(lake: AuditLake) -> None:
    """Nothing landed, nothing was quarantined, nothing is left lying about."""
    assert (lake.snapshot().version, lake.snapshot().rows) == (0, 0)
    assert [path for folder in ("quarantine", ".staging") for path in (lake.layout.root / folder).iterdir()] == []
    assert not lake.layout.batch.exists()


def test_digest_file_is_left_out(tmp_path: Path) -> None:
    """A CloudTrail digest file is left out with a notice and its digest; what lies beside it lands."""
    digest = put(
        tmp_path / "digest.json",
        json.dumps({"digestStartTime": "t", "digestEndTime": "t", "logFiles": [], "awsAccountId": "1"}),
    )
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(digest, put(tmp_path / "good.jsonl", *GOOD)))
    left = summary.inputs[0]
    assert (left.source, left.read, left.sha256) == ("", 0, hashlib.sha256(digest.read_bytes()).hexdigest())
    assert "digest file" in left.notice
    assert summary.landed == 3


def test_two_sources_in_one_ingest(tmp_path: Path) -> None:
    """Inputs of several sources, in any order, are one commit; the same id of two sources is two events."""
    trail = {
        "eventVersion": "1.08",
        "eventID": "e0",
        "eventName": "GetObject",
        "eventSource": "s3.amazonaws.com",
        "awsRegion": "x",
    }
    lines = [json.dumps({**trail, "eventTime": f"2026-11-24T0{n}:00:00Z", "eventID": f"e{n}"}) for n in range(3)]
    paths = [
        put(tmp_path / f"{n}{kind}.jsonl", text, "bad")
        for n in range(3)
        for kind, text in (("a", GOOD[n]), ("c", lines[n]))
    ]
    lake = made(tmp_path / "lake")
    summary = checked(lake, lake.ingest(*paths))
    assert [each.source for each in summary.inputs] == ["auditlake", "cloudtrail"] * 3
    assert [(each.landed, each.quarantined) for each in summary.inputs] == [(1, 1)] * 6
    assert ids(lake) == {"e0": 2, "e1": 2, "e2": 2}


STRICT = {
    "not JSON": ["bad"],
    "unknown type": [f"{{{BARE.replace('login', 'x')}}}"],
    "conflict": [login(0, user_id="other")],
}


@pytest.mark.parametrize("name", STRICT)
def test_strict(tmp_path: Path, name: str, run: Run) -> None:  # noqa: F811
    """Under strict one bad record keeps everything out and leaves no trace; the command line exits with 3."""
    lake, path = made(tmp_path / "lake"), put(tmp_path / "x.jsonl", *GOOD, *STRICT[name])
    with pytest.raises(StrictIngestError, match=r"1 records cannot become events: .*, 1 record$") as raised:
        lake.ingest(path, strict=True)
    assert f"{path}:4: " in raised.value.hint
    _untouched(lake)
    done = run("--lake", lake.layout.root, "ingest", "--strict", path)
    assert (done.code, done.out) == (3, "")
    assert "strict: nothing was landed" in done.err
    _untouched(lake)
    assert checked(lake, lake.ingest(put(path, *GOOD, GOOD[0]), strict=True)).landed == 3
