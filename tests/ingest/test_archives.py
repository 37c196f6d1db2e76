"""Archives: each member is an input with a name, and no archive can do more than be refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from auditlake.errors import SourceError, UnrecognisedInputError
from auditlake.sources import archive, zip_archive
from auditlake.sources.damaged import Gap
from auditlake.sources.model import InputFile
from auditlake.sources.stream import open_stream
from auditlake.sources.tar_archive import tar_entries
from auditlake.store.deltalog import commit_metadata
from tests.ingest.lakes import checked, ids, kept, login, made
from tests.soak import mostly


def logs(*numbers: int, **fields: Any) -> bytes:
    return "".join(login(n, **fields) + "\n" for n in numbers).encode()


def tarred(members: Mapping[str, bytes], mode: str = "w") -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode=mode) as file:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return sink.getvalue()


def zipped_up(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return sink.getvalue()


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return bytes(sink.getvalue())


def table(*numbers: int) -> bytes:
    sink = io.BytesIO()
    at = "2026-11-24T00:00:00Z"
    rows = [{"event_id": f"e{n}", "event_type": "login", "timestamp": at} for n in numbers]
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue()


MEMBERS = {
    "./a.jsonl": logs(1, 2),
    "dir/b.jsonl.gz": gzip.compress(logs(3)),
    "dir/c.csv": b"event_id,event_type,timestamp\ne4,login,2026-11-24T00:00:00Z\n",
    "d.parquet": table(5, 6),
    "x" * 200 + "/é\n.json": b"[" + logs(7).strip() + b"]",
    "no-ids.jsonl": b'{"event_type":"login","timestamp":"2026-11-24T00:00:00Z"}\nbad\n',
    "README": b"SECRET",
    "empty.log": b"",
    ".hidden.jsonl": logs(9),
    "nested.zip": zipped_up({"z.jsonl": logs(8)}),
}
KINDS = {
    "x.tar.gz": tarred(MEMBERS, "w:gz"),
    "no name": zstd(tarred(MEMBERS)),
    "x.zip": zipped_up(MEMBERS),
}


@pytest.mark.parametrize("name", KINDS)
def test_each_member_is_an_input(name: str, tmp_path: Path) -> None:
    """Members land by names of their own, what is no log is named, and the custody has all of them and the whole."""
    lake, path = made(tmp_path / "lake"), tmp_path / name
    path.write_bytes(KINDS[name])
    summary = checked(lake, lake.ingest(path))
    assert (summary.landed, summary.reasons) == (8, {"not valid JSON": 1})
    *members, whole = summary.inputs
    assert [each.name for each in members] == [f"{path}!/{member.removeprefix('./')}" for member in MEMBERS]
    assert {each.name.rpartition("!/")[2]: each.notice for each in members if each.notice} == {
        "README": "not recognised (it is neither JSON nor a table with the columns of an event)",
        "empty.log": "it is empty",
        ".hidden.jsonl": "its name begins with a dot",
        "nested.zip": "not recognised (an archive in an archive; unpack it first)",
    }
    for each, data in zip(members, MEMBERS.values(), strict=True):
        assert each.sha256 in (hashlib.sha256(data).hexdigest(), "")
    assert (whole.name, whole.size, whole.sha256) == (
        str(path), len(KINDS[name]), hashlib.sha256(KINDS[name]).hexdigest(),
    )  # fmt: skip
    entries: Any = commit_metadata(lake.layout, 1)
    assert [each["name"] for each in entries["inputs"]] == [each.name for each in summary.inputs]
    assert kept(summary)[0].input == f"{path}!/no-ids.jsonl"


def test_stamps_without_a_year(tmp_path: Path) -> None:
    """They are of the year in which the member was modified, as its archive says it, whenever that is read."""
    line = b"Nov  3 09:00:0%d web1 sshd[811]: Accepted password for ann from 192.0.2.10 port 50122 ssh2\n"
    lake = made(tmp_path / "lake")
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for number, at in enumerate((1_262_304_000, 2**62)):  # 2010, and a time that is none
            info = tarfile.TarInfo(f"ssh-{number}.log")
            info.size, info.mtime = len(line) - 1, at
            file.addfile(info, io.BytesIO(line % number))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as zipped:
        zipped.writestr(zipfile.ZipInfo("ssh.log", (2013, 12, 1, 0, 0, 0)), line % 2)
    lake.ingest(tmp_path / "a.tar", tmp_path / "b.zip")

    years = lake.sql("select year(timestamp) from events order by event_id is null, timestamp").fetchall()
    assert [year for (year,) in years][:2] == [2009, 2013]
    assert years[2][0] > 2020


def test_the_same_members_again(tmp_path: Path) -> None:
    """What came in an archive is known in another form of it and in the unpacked files, also without ids of its own."""
    lake, path, folder = made(tmp_path / "lake"), tmp_path / "x", tmp_path / "unpacked"
    for name, landed in (("x.tar.gz", 8), ("x.zip", 0), ("no name", 0)):
        path.write_bytes(KINDS[name])
        assert lake.ingest(path).landed == landed
    with tarfile.open(fileobj=io.BytesIO(tarred(MEMBERS))) as file:
        file.extractall(folder, filter="data")
    assert lake.ingest(folder).duplicates == 8
    assert not list(lake.layout.staging.rglob("member-*"))


@pytest.mark.parametrize("kind", mostly(["tar.gz", "zip", "standard input"], always=["zip", "standard input"]))
def test_conflicts_in_members(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records of members that conflict are found again with their bytes, whatever came between."""
    lake = made(tmp_path / "lake")
    first = {f"{n}.jsonl": logs(n, n + 100) for n in range(5)} | {"t.parquet": table(50, 51)}
    other = {name: data.replace(b"login", b"logout") for name, data in first.items() if name != "t.parquet"}
    other["t.parquet"] = table(*range(40, 52)).replace(b"login", b"logix")
    pack = {"zip": partial(zipped_up, method=zipfile.ZIP_STORED), "standard input": tarred}.get(
        kind, partial(tarred, mode="w:gz")
    )
    path = tmp_path / "x"
    path.write_bytes(pack(first))
    checked(lake, lake.ingest(path))
    path.write_bytes(pack(other))
    if kind == "standard input":
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(path.read_bytes())))
    summary = lake.ingest("-" if kind == "standard input" else path)
    conflicts = [each for each in kept(summary) if each.reason == "id_conflict"]
    assert len(conflicts) >= 10
    assert [each.data + b"\n" for each in conflicts[:10]] == [
        line for name in list(other)[:5] for line in other[name].splitlines(keepends=True)
    ]
    assert not list(lake.layout.staging.rglob("member-*"))


def test_what_is_damaged_in_an_archive(tmp_path: Path) -> None:
    """A header, a member, a directory or a stretch that is damaged costs itself, and all that is lost is kept."""
    members = {f"{n}.jsonl": logs(*range(n * 10, n * 10 + 10)) for n in range(4)}
    tar, zip_, gz = (
        tarred(members),
        zipped_up(members),
        b"".join(gzip.compress(part) for part in parts(tarred(members))),
    )
    header = tar.index(b"1.jsonl")
    data = zip_.index(b"2.jsonl") + 60
    places = {
        "a tar header": (tar[: header + 20] + b"????" + tar[header + 24 :], 30, "corrupt tar"),
        "a tar cut off": (tar[: tar.index(b"3.jsonl") + 700], 31, "truncated tar"),
        "bytes of a zip member": (zip_[:data] + b"????" + zip_[data + 4 :], 30, "corrupt zip"),
        "a zip cut off": (zip_[: zip_.index(b"3.jsonl") + 40], 30, "corrupt zip"),
        "a zip without its directory": (zip_[: zip_.index(b"PK\x01\x02")], 40, ""),
        "a stretch of gzip": (gz[: len(gz) // 2] + b"????" + gz[len(gz) // 2 + 4 :], 20, "corrupt gzip"),
    }
    for n, (name, (content, least, reason)) in enumerate(places.items()):
        lake, path = made(tmp_path / f"lake{n}"), tmp_path / f"{n}"
        path.write_bytes(content)
        summary = checked(lake, lake.ingest(path))
        assert summary.landed >= least, name
        assert not reason or reason in summary.reasons, (name, summary.reasons)
        found = set(ids(lake))
        lost = b"".join(each.data for each in kept(summary) if each.reason == "corrupt tar")
        if reason == "corrupt tar":
            assert all(f"e{k}" in found or b'"e%d"' % k in lost for k in range(40)), name


def test_a_member_of_which_nothing_is_left(tmp_path: Path) -> None:
    """A member that is damaged from its first bytes on is called damaged, not empty, and its bytes are kept."""
    zip_ = zipped_up({"one.jsonl": logs(1), "two.jsonl": logs(2), "none.jsonl": b""})
    at = zip_.index(b"two.jsonl") + len("two.jsonl")
    tar = tarred({"one.jsonl": logs(1), "two.jsonl": logs(2)})
    damaged = {
        "x.zip": zip_[:at] + bytes([zip_[at] ^ 0x07]) + zip_[at + 1 :],
        "x.tar": tar[: tar.index(b"two.jsonl") + 512],
    }
    for name, data in damaged.items():
        lake, path = made(tmp_path / f"lake-{name}"), tmp_path / name
        path.write_bytes(data)
        summary = checked(lake, lake.ingest(path))
        notices = {each.name.rpartition("!/")[2]: each.notice for each in summary.inputs if each.notice}
        assert notices.pop("two.jsonl") == "it is damaged, and no record of it could be unpacked"
        assert notices == ({"none.jsonl": "it is empty"} if name == "x.zip" else {})
        assert (summary.landed, summary.quarantined) == (1, 1)


def test_a_lake_in_an_archive(tmp_path: Path) -> None:
    """What lies in a lake within an archive belongs to the lake; what lies beside it there, or elsewhere, is read."""
    own = ("x/lake.toml", "x/policies/p.yaml", "x/certificates/c.json", "x/reports/r.json")
    members = {**dict.fromkeys(own, logs(9)), "x/logs/a.jsonl": logs(1), "policies/b.jsonl": logs(2)}
    path = tmp_path / "x.tar"
    path.write_bytes(tarred(members))
    summary = made(tmp_path / "lake").ingest(path)
    notices = {each.name.rpartition("!/")[2]: each.notice for each in summary.inputs if each.notice}
    assert notices == dict.fromkeys(own, "it belongs to a lake, which is never an input")
    assert summary.landed == 2


def parts(data: bytes) -> list[bytes]:
    return [data[at : at + 2048] for at in range(0, len(data), 2048)]


def test_hostile_archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that leave the folder, links, devices, holes, repeated names and absurd sizes harm nothing."""
    sink, own = io.BytesIO(), f"a/event_date=2026-11-24/part-{'0' * 64}.parquet"
    with tarfile.open(fileobj=sink, mode="w") as file:
        for name, kind in (
            ("l", tarfile.SYMTYPE),
            ("h", tarfile.LNKTYPE),
            ("f", tarfile.FIFOTYPE),
            ("c", tarfile.CHRTYPE),
        ):
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "/etc/passwd"
            file.addfile(info)
        for name in (
            "../../up.jsonl",
            "/root.jsonl",
            "same.jsonl",
            "same.jsonl",
            own,
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data := logs(len(sink.getvalue())))
            file.addfile(info, io.BytesIO(data))
        huge = tarfile.TarInfo("huge.jsonl")
        huge.size = 1 << 60
    lake, path = made(tmp_path / "lake"), tmp_path / "x.tar"
    path.write_bytes(sink.getvalue()[:-1024] + huge.tobuf() + logs(1))
    before = set(tmp_path.parent.rglob("*.jsonl")) | {Path("/root.jsonl")}
    summary = checked(lake, lake.ingest(path))
    assert summary.landed == 5
    told = {each.name.rpartition("!/")[2]: each.notice for each in summary.inputs[:-1]}
    assert told == {
        "l": "a link to etc/passwd", "h": "a link to etc/passwd", "f": "neither a file nor a folder",
        "c": "neither a file nor a folder", "../../up.jsonl": "", "root.jsonl": "", "same.jsonl": "",
        "same.jsonl#2": "", own: "it belongs to a lake, which is never an input", "huge.jsonl": "",
    }  # fmt: skip
    assert summary.reasons == {"truncated tar": 1}
    assert set(tmp_path.parent.rglob("*.jsonl")) - before <= set(lake.layout.root.rglob("*.jsonl"))

    monkeypatch.setattr(archive, "MEMBERS", 5)
    with pytest.raises(SourceError, match="more than 5 members"):
        lake.ingest(path)
    monkeypatch.setattr(archive, "MEMBERS", 100)
    monkeypatch.setattr(archive, "_LOOK", 10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    with pytest.raises(SourceError, match="more than half of the disk's free space"):
        lake.ingest(path)


def test_zip_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What unpacks to far more than a log is given up, and members over the same bytes are read once."""
    monkeypatch.setattr(zip_archive, "BOMB_FLOOR", 100_000)
    lake, path = made(tmp_path / "lake"), tmp_path / "x.zip"
    path.write_bytes(zipped_up({"a.jsonl": logs(1), **{f"{n}.jsonl": b"\n" * 500_000 for n in range(6)}}))
    summary = checked(lake, lake.ingest(path))
    assert (summary.landed, summary.reasons) == (1, {"zip bomb": 1})

    data = zipped_up({"a.jsonl": logs(2), "b.jsonl": logs(3)})
    directory = data.index(b"PK\x01\x02")
    second = data.index(b"PK\x01\x02", directory + 4)
    path.write_bytes(data[: second + 42] + b"\0\0\0\0" + data[second + 46 :])  # both begin at 0
    summary = lake.ingest(path)
    assert sorted(each.notice for each in summary.inputs[:-1]) == ["", "its bytes belong to another member"]


def test_archives_of_no_logs(tmp_path: Path) -> None:
    """A document in the form of an archive, a ZIP inside gzip and an archive of strangers are refused with why."""
    lake = made(tmp_path / "lake")
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "book.xlsx").write_bytes(zipped_up({"[Content_Types].xml": b"<x/>", "xl/a.xml": b"<x/>"}))
    (folder / "x.zip.gz").write_bytes(gzip.compress(zipped_up({"a.jsonl": logs(1)})))
    for name, why in (("book.xlsx", "a document or a program"), ("x.zip.gz", "a ZIP archive in gzip; unpack it first")):
        with pytest.raises(UnrecognisedInputError, match=why):
            lake.ingest(folder / name)
    (tmp_path / "foreign.tar").write_bytes(tarred({"a": b"hello", "b": b"{}"}))
    with pytest.raises(UnrecognisedInputError, match=r"nothing in .*foreign\.tar is an input"):
        lake.ingest(tmp_path / "foreign.tar")
    with pytest.raises(UnrecognisedInputError, match="an archive in an archive"):
        (tmp_path / "y.tar").write_bytes(tarred({"a.jsonl": logs(1), "b.zip": zipped_up({"a": b""})}))
        lake.ingest(tmp_path / "y.tar", strict=True)
    (folder / "a.jsonl").write_bytes(logs(1))
    summary = lake.ingest(folder)
    assert (summary.landed, sum(bool(each.notice) for each in summary.inputs)) == (1, 2)


class Pipe(io.RawIOBase):
    """Who writes an archive into it knows no size before a member's end."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.data += bytes(data)
        return len(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
@pytest.mark.parametrize("streamed", [True, False])
def test_members_without_a_directory(tmp_path: Path, method: int, streamed: bool) -> None:
    """Members whose own headers say no size, or that it stands elsewhere, are each read once and not lost as well."""
    noise = "".join(hashlib.sha256(b"%d" % n).hexdigest() for n in range(2_000))
    pipe, disk = Pipe(), io.BytesIO()
    with zipfile.ZipFile(pipe if streamed else disk, "w", method) as file:
        for n in (1, 2):
            with file.open(f"{n}.jsonl", "w", force_zip64=not streamed) as member:
                member.write(logs(n, resource=noise))
    data = pipe.data or disk.getvalue()
    (path := tmp_path / "x.zip").write_bytes(data[: data.index(b"PK\x01\x02")])
    with open_stream(InputFile("x.zip", path)) as stream:
        lost: list[Gap] = []
        found = [(entry.name, b"".join(entry.pieces)) for entry in zip_archive.zip_entries(stream, lost)]
    assert found == [(f"{n}.jsonl", logs(n, resource=noise)) for n in (1, 2)]
    assert lost == []


def test_small_bytes_of_much(tmp_path: Path) -> None:
    """A few bytes that hold very much come out in pieces."""
    (path := tmp_path / "x.zip").write_bytes(zipped_up({"a": bytes(1 << 24)}, zipfile.ZIP_BZIP2))
    with open_stream(InputFile("x.zip", path)) as stream:
        sizes = [len(piece) for entry in zip_archive.zip_entries(stream, []) for piece in entry.pieces]
    assert (sum(sizes), max(sizes)) == (1 << 24, 1 << 20)


def test_notes_of_a_member(tmp_path: Path) -> None:
    """Of an extended header, however many notes it has, the name and the size are taken."""
    notes = b"5 a=\n" * 200_000 + b"18 path=b/c.jsonl\n"
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, len(notes)
    (path := tmp_path / "x.tar").write_bytes(header.tobuf() + notes + bytes(-len(notes) % 512) + tarred({"a": b"1"}))
    with open_stream(InputFile("x.tar", path)) as stream:
        found = [(entry.name, b"".join(entry.pieces)) for entry in tar_entries(stream, [])]
    assert found == [("b/c.jsonl", b"1")]
