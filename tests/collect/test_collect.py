"""What is new in every place is taken, each object once, whatever happens meanwhile."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from auditlake.collect import collect as module
from auditlake.collect import taken as room
from auditlake.disk.layout import Layout
from auditlake.disk.lock import exclusive
from auditlake.errors import LakeBusyError, SourceError
from tests.collect.conftest import Between, Bucket, Collecting, event, ids


def test_new_objects_are_taken_once(bucket: Bucket, collecting: Collecting) -> None:
    """An object is taken once; one that comes late or is rewritten is taken the next time, and no event is doubled."""
    bucket.put("2026/11/b.jsonl", event("b1") + event("b2"))
    bucket.put("2026/11/c.jsonl", event("c1"))
    lake = collecting(f"s3://{bucket.name}/2026/")
    first = lake.routine.collect()
    again = lake.routine.collect()
    bucket.put("2026/11/a-late.jsonl", event("a1"))  # it sorts before what was taken
    bucket.put("2026/11/c.jsonl", event("c1", status="x") + event("c2"))
    bucket.put("2027/other.jsonl", event("other"))
    third = lake.routine.collect()

    assert (first.listed, first.taken, first.landed, first.failed) == (2, 2, 3, False)
    assert (again.listed, again.known, again.taken, again.snapshot) == (2, 2, 0, first.snapshot)
    assert (third.listed, third.known, third.taken) == (3, 1, 2)
    assert ids(lake) == ["a1", "b1", "b2", "c1", "c2"]


def test_custody_names_each_object(bucket: Bucket, collecting: Collecting) -> None:
    """The chain of custody has each object's URL, size and SHA-256, and so has the record of what was taken."""
    data = event("e1")
    bucket.put("a b/ü%20.jsonl", data)
    lake = collecting(f"s3://{bucket.name}")
    lake.routine.collect()
    name, digest = f"s3://{bucket.name}/a b/ü%20.jsonl", hashlib.sha256(data).hexdigest()
    log = (lake.layout.commit(lake.snapshot().version)).read_text()
    (line,) = map(json.loads, lake.layout.collected.read_text().splitlines())

    assert (line["name"], line["bytes"], line["sha256"]) == (name, len(data), digest)
    assert digest in log
    assert json.dumps(json.dumps(name))[3:-3] in log or name in log


ODD = ["a b.jsonl", "p/100%.jsonl", "p/ü%20x.jsonl", "p/~{}|\\x.jsonl", "p/+a&b=c#d?e*[1].jsonl", "p/\u202e.jsonl", "-"]


def test_odd_names(bucket: Bucket, collecting: Collecting) -> None:
    """Objects with spaces, percent signs, signs of patterns and other scripts in their names are taken as they are."""
    for number, key in enumerate(ODD):
        bucket.put(key, event(f"e{number}"))
    lake = collecting(f"s3://{bucket.name}/")

    assert lake.routine.collect().taken == len(ODD)
    assert ids(lake) == [f"e{number}" for number in range(len(ODD))]
    assert lake.routine.collect().known == len(ODD)


def test_names_that_cannot_be_listed(bucket: Bucket, collecting: Collecting) -> None:
    """A folder with a part '..' or an empty one in a name is told; every other folder is taken."""
    for number, key in enumerate(("x/../secret.jsonl", "q//y.jsonl", "ok/a.jsonl", "ok/deep/b.jsonl", "top.jsonl")):
        bucket.put(key, event(f"e{number}"))
    lake = collecting(f"s3://{bucket.name}/")
    done = lake.routine.collect()

    assert done.failed
    assert done.not_read == 2
    assert [line.partition(": ")[0].removeprefix(f"s3://{bucket.name}/") for line in done.places[0].told] == [
        "q/",
        "x/",
    ]
    assert ids(lake) == ["e2", "e3", "e4"]


def test_many_objects(bucket: Bucket, collecting: Collecting) -> None:
    """A listing of more than a page is read to its end; an empty object is nothing to take."""
    for number in range(1_200):
        bucket.put(f"{number:05d}.jsonl", event(f"e{number}") if number % 300 == 299 else b"")
    lake = collecting(f"s3://{bucket.name}/")
    done = lake.routine.collect()

    assert (done.listed, done.taken, done.landed) == (1_200, 4, 4)


def test_small_objects_share_a_commit(bucket: Bucket, collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small objects land together, up to a number of bytes and of objects."""
    for number in range(5):
        bucket.put(f"{number}.jsonl", event(f"e{number}"))
    monkeypatch.setattr(module, "BATCH_BYTES", 2 * len(event("e0")))
    lake = collecting(f"s3://{bucket.name}/")
    before = lake.snapshot().version

    assert lake.routine.collect().snapshot - before == 3
    assert not any(lake.layout.staging.iterdir())


def test_an_empty_bucket(bucket: Bucket, collecting: Collecting) -> None:
    """A bucket without an object is listed, and there is nothing to take."""
    done = collecting(f"s3://{bucket.name}/").routine.collect()

    assert (done.listed, done.taken, done.failed) == (0, 0, False)


def test_patterns_and_single_objects(bucket: Bucket, collecting: Collecting) -> None:
    """A URL may name one object, also one that looks like a pattern, a folder with or without a slash, or a pattern."""
    for key in ("a/1.jsonl", "a/2.jsonl", "a/deep/3.jsonl", "a/x.txt", "ab/4.jsonl", "a*.jsonl"):
        bucket.put(key, event(key))
    expected = {
        "a/1.jsonl": ["a/1.jsonl"], "a": ["a/1.jsonl", "a/2.jsonl", "a/deep/3.jsonl", "a/x.txt"],
        "a/*.jsonl": ["a/1.jsonl", "a/2.jsonl"], "a/**/?.jsonl": ["a/1.jsonl", "a/2.jsonl", "a/deep/3.jsonl"],
        "a*/4.jsonl": ["ab/4.jsonl"], "a*.jsonl": ["a*.jsonl"],
    }  # fmt: skip
    from auditlake.sources.remote import open_remote

    for path, keys in expected.items():
        assert [each.key for each in open_remote(f"s3://{bucket.name}/{path}").objects()] == keys, path


def test_local_places(tmp_path: Path, collecting: Collecting) -> None:
    """Files, folders and patterns of this machine are places too; what has grown is read again, and lands once."""
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "a.jsonl").write_bytes(event("a1"))
    (logs / "b.txt").write_bytes(event("b1"))
    (logs / ".hidden").write_bytes(event("h"))
    lake = collecting(str(logs / "*.jsonl"), "own")
    (lake.layout.root / "own").mkdir()
    (lake.layout.root / "own" / "o.jsonl").write_bytes(event("o1"))
    first = lake.routine.collect()
    with (logs / "a.jsonl").open("ab") as file:
        file.write(event("a2"))
    second = lake.routine.collect()

    assert (first.taken, second.known, second.taken, second.landed, second.duplicates) == (2, 1, 1, 1, 1)
    assert ids(lake) == ["a1", "a2", "o1"]
    assert (logs / "a.jsonl").exists()


def test_a_damaged_record_only_costs_work(bucket: Bucket, collecting: Collecting) -> None:
    """Where the record of what was taken is damaged or gone, objects are read again, and no event is doubled."""
    for number in range(3):
        bucket.put(f"{number}.jsonl", event(f"e{number}"))
    lake = collecting(f"s3://{bucket.name}/")
    lake.routine.collect()
    file = lake.layout.collected
    whole = file.read_bytes()
    for data, taken in ((whole[:-20], 1), (b"\xff\n[1]\n{}\n" + whole, 0), (b"", 3), (None, 3)):
        file.unlink() if data is None else file.write_bytes(data)
        done = lake.routine.collect()
        assert (done.taken, done.duplicates, done.landed) == (taken, taken, 0)
        assert lake.routine.collect().known == 3
    assert ids(lake) == ["e0", "e1", "e2"]


def test_what_is_no_longer_listed_is_forgotten(
    bucket: Bucket, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record does not grow for ever: most of it being of objects that are gone, it is written anew."""
    monkeypatch.setattr("auditlake.collect.taken._LEAST", 0)
    for number in range(4):
        bucket.put(f"{number}.jsonl", event(f"e{number}"))
    lake = collecting(f"s3://{bucket.name}/")
    lake.routine.collect()
    for number in range(3):
        bucket.delete(f"{number}.jsonl")
    lake.routine.collect()

    assert [json.loads(line)["name"][-7:] for line in lake.layout.collected.read_text().splitlines()] == ["3.jsonl"]
    assert lake.routine.collect().known == 1
    assert not list(lake.layout.root.glob("*.draft"))


KILLED = """
import os, sys
import auditlake
from auditlake.collect import taken
taken.Taken.record = lambda *_: os.kill(os.getpid(), 9)
auditlake.open(sys.argv[1]).routine.collect()
"""


def test_a_killed_run_loses_and_doubles_nothing(
    bucket: Bucket, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that ends before a commit, or is killed between commit and record, leaves each event to land once."""
    for number in range(3):
        bucket.put(f"{number}.jsonl", event(f"e{number}"))
    lake = collecting(f"s3://{bucket.name}/")

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "ingest", interrupted)
        lake.routine.collect()
    before = ids(lake)
    died = subprocess.run([sys.executable, "-c", KILLED, str(lake.layout.root)], check=False)
    landed = ids(lake)
    after = lake.routine.collect()

    assert (before, died.returncode, landed) == ([], -9, ["e0", "e1", "e2"])
    assert (after.taken, after.landed, after.duplicates) == (3, 0, 3)
    assert ids(lake) == ["e0", "e1", "e2"]
    assert lake.routine.collect().known == 3
    assert not any(lake.layout.staging.iterdir())


def test_failing_requests(bucket: Bucket, between: Between, collecting: Collecting) -> None:
    """A request that fails once is made again; an object that always fails is told, and taken when it can be read."""
    bucket.put("a.jsonl", event("a"))
    bucket.put("b.jsonl", event("b"))
    failed: set[str] = set()

    def spoil(line: str) -> int | None:
        if "b.jsonl" in line:
            return 503
        is_first = line not in failed
        failed.add(line)
        return 500 if is_first else None

    between.spoil = spoil
    lake = collecting(f"s3://{bucket.name}/")
    first = lake.routine.collect()
    between.spoil = lambda _: None
    second = lake.routine.collect()

    assert (first.taken, first.not_read, first.failed) == (1, 1, True)
    assert first.places[0].told == (f"s3://{bucket.name}/b.jsonl cannot be read: the store answered 503",)
    assert (second.known, second.taken, second.failed) == (1, 1, False)
    assert ids(lake) == ["a", "b"]


def test_a_silent_store(
    bucket: Bucket, between: Between, collecting: Collecting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that does not answer is waited for so long and no longer, and the other places are collected."""
    from auditlake.storage import client

    for name in ("timeout", "read_timeout"):
        monkeypatch.setitem(client.CLIENT, name, "300ms")
    monkeypatch.setitem(client.RETRIES, "max_retries", 1)
    between.spoil = lambda _: 0
    lake = collecting(f"s3://{bucket.name}/", "own")
    (lake.layout.root / "own").mkdir()
    (lake.layout.root / "own" / "o.jsonl").write_bytes(event("o1"))
    silent, own = lake.routine.collect().places

    assert silent.problem.startswith(f"s3://{bucket.name}/ cannot be read: the store did not answer in time")
    assert (own.taken, own.failed) == (1, False)


def test_an_object_that_changes_meanwhile(bucket: Bucket, between: Between, collecting: Collecting) -> None:
    """An object that is rewritten between listing and reading is left for the next time, never mixed."""
    bucket.put("a.jsonl", event("old"))

    def rewrite(line: str) -> None:
        if line.startswith("GET") and "a.jsonl" in line:
            between.spoil = lambda _: None
            bucket.put("a.jsonl", event("new"))

    between.spoil = rewrite
    lake = collecting(f"s3://{bucket.name}/")
    first, second = lake.routine.collect(), lake.routine.collect()

    assert first.places[0].told == (f"s3://{bucket.name}/a.jsonl changed since it was listed",)
    assert (first.taken, second.taken) == (0, 1)
    assert ids(lake) == ["new"]


def test_missing_credentials(bucket: Bucket, collecting: Collecting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials a place fails with one line that says which variables are read."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9/169.254.169.254")
    (place,) = collecting(f"s3://{bucket.name}/").routine.collect().places

    assert "\n" not in place.problem
    assert "the environment has no credentials" in place.problem
    assert "AWS_ACCESS_KEY_ID" in place.problem


@pytest.mark.parametrize(
    ("status", "told"), [(401, "answered 401"), (403, "answered 403"), (404, "answered 404"), (301, "AWS_REGION")]
)
def test_refusals_name_no_secret(
    bucket: Bucket, between: Between, collecting: Collecting, status: int, told: str
) -> None:
    """What a store refuses is told with its status, and without key, secret, signature or address of the request."""
    between.spoil = lambda _: status
    (place,) = collecting(f"s3://{bucket.name}/x/").routine.collect().places

    assert told in place.problem
    for secret in ("AKIATHEKEYID", "the-secret-key", "Signature", between.url, "Debug"):
        assert secret not in place.problem


def test_unrecognised_objects(bucket: Bucket, collecting: Collecting) -> None:
    """An object that no source knows is told once, and read again when the lake reads other sources."""
    bucket.put("a.jsonl", event("a"))
    bucket.put("b.bin", bytes(range(256)) * 9)
    lake = collecting(f"s3://{bucket.name}/")
    first, second = lake.routine.collect(), lake.routine.collect()
    lake = collecting(f"s3://{bucket.name}/", each='source = "cloudtrail"')
    third = lake.routine.collect()

    assert (first.taken, first.unrecognised, first.failed) == (2, 1, False)
    assert first.places[0].told[0].startswith(f"s3://{bucket.name}/b.bin: not recognised")
    assert (second.known, second.taken) == (2, 0)
    assert third.taken == 1


def test_quarantine_limit(bucket: Bucket, collecting: Collecting) -> None:
    """More quarantined records than a place allows are a failure; what is good lands all the same."""
    bucket.put("a.jsonl", event("a") + b"{}\n" + event("b"))
    lake = collecting(f"s3://{bucket.name}/", each='max_quarantined = "10%"')
    done = lake.routine.collect()

    assert (done.landed, done.quarantined, done.failed) == (2, 1, True)
    assert done.places[0].too_many_quarantined


def test_everything_again(bucket: Bucket, collecting: Collecting) -> None:
    """Asked for everything, a run reads each object once more, and no event lands twice."""
    bucket.put("a.jsonl", event("a"))
    lake = collecting(f"s3://{bucket.name}/", f"s3://{bucket.name}/a.jsonl")
    first = lake.routine.collect()
    again = lake.routine.collect(everything=True)

    assert [(each.taken, each.known) for each in first.places] == [(1, 0), (0, 1)]
    assert [(each.taken, each.known) for each in again.places] == [(1, 0), (0, 1)]
    assert (again.landed, again.duplicates) == (0, 1)


def test_one_at_a_time(bucket: Bucket, collecting: Collecting) -> None:
    """A second collection at the same time says so and ends; a lake without places has nothing to collect."""
    lake = collecting(f"s3://{bucket.name}/")
    with exclusive(lake.layout.collect_lock, wait_seconds=0), pytest.raises(LakeBusyError, match="collecting"):
        lake.routine.collect()
    with pytest.raises(SourceError, match="names no place"):
        collecting().routine.collect()


def test_a_source_that_is_not_there(bucket: Bucket, collecting: Collecting) -> None:
    """A place whose source does not exist is told, with the sources that there are, and nothing of it is fetched."""
    bucket.put("a.jsonl", event("a"))
    (place,) = collecting(f"s3://{bucket.name}/", each='source = "nope"').routine.collect().places

    assert "there is no source 'nope'; there are: auditlake" in place.problem
    assert (place.listed, place.failed) == (0, True)


def test_ingest_takes_urls(bucket: Bucket, collecting: Collecting) -> None:
    """The ingest verb takes a URL like a path: of an object, which must be recognised, or of a folder."""
    bucket.put("a/1.jsonl", event("e1"))
    bucket.put("a/2.jsonl", event("e2") + b"{}\n")
    bucket.put("b.bin", bytes(range(256)) * 9)
    lake = collecting()
    done = lake.ingest(f"s3://{bucket.name}/a/")
    again = lake.ingest(f"s3://{bucket.name}/a/2.jsonl")

    assert [each.name for each in done.inputs] == [f"s3://{bucket.name}/a/{n}.jsonl" for n in (1, 2)]
    assert (done.landed, done.quarantined, again.duplicates) == (2, 1, 1)
    assert not any(lake.layout.staging.iterdir())
    for path, why in (("b.bin", "recognised"), ("none/", "nothing lies at")):
        with pytest.raises(SourceError, match=why):
            lake.ingest(f"s3://{bucket.name}/{path}")


def test_what_another_host_takes_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines that another host adds while this one collects stay, each once; those of what is gone leave."""

    def line(name: str) -> bytes:
        return json.dumps({"name": f"s3://logs/{name}", "size": 1, "version": "v", "host": 2}).encode() + b"\n"

    class Shared:
        def __init__(self) -> None:
            self.lines = [line("gone")]

        def host(self) -> int:
            return 1

        def read(self) -> list[bytes]:
            return self.lines

        def append(self, lines: list[bytes]) -> None:
            self.lines += lines

        def keep(self, is_wanted: Callable[[bytes], bool]) -> None:
            self.lines = [*filter(is_wanted, self.lines)]

    shared = Shared()
    monkeypatch.setattr(room, "lines_of", lambda _: shared)
    monkeypatch.setattr(room, "_LEAST", 0)
    own = room.Taken(Layout(tmp_path))
    shared.append([line("new"), line("new")])
    own.forget_unlisted()

    assert shared.lines == [line("new")]
