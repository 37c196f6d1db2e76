"""A followed file: each of its lines lands, whatever happens to the file or to whoever follows it."""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
from pathlib import Path

import pytest

from auditlake import AuditLake, AuditLakeError
from auditlake.errors import LakeBusyError, LandingError, SourceError
from auditlake.landing.trail import Trail
from auditlake.tail.follow import Follower, tail
from auditlake.tail.place import Bookmark
from tests.lakes import create
from tests.tail.conftest import Follow, append, content_ids, event, landed, numbers, quarantined, rotated

HOW = pytest.mark.parametrize("how", ["rename", "copy"])


def test_a_growing_file(lake: AuditLake, log: Path, follow: Follow) -> None:
    """Whole lines land as they come, with the ids of an ingest; a line without a newline is waited for."""
    append(log, event(0), event(1), event(2)[:20])
    with follow() as followed:
        followed.all()
        assert numbers(lake) == [0, 1]
        assert followed.follower.unfinished == 20
        append(log, event(2)[20:], event(1))
        followed.all()

    assert numbers(lake) == [0, 1, 1, 2]
    assert {json.loads(line)["event_id"] for line in landed(lake)} == content_ids(log.read_bytes())


def test_going_on_where_it_was_left(lake: AuditLake, log: Path, follow: Follow) -> None:
    """Another process goes on behind the last line that landed, and counts identical records on from there."""
    append(log, event(0), event(1)[:-5])
    follow().all().close()
    append(log, event(1)[-5:], event(0), event(2))
    follow().all().close()

    assert numbers(lake) == [0, 0, 1, 2]
    assert len(landed(lake)) == 4
    assert {json.loads(line)["event_id"] for line in landed(lake)} == content_ids(log.read_bytes())


@HOW
@pytest.mark.parametrize("stopped", [False, True])
def test_rotation(how: str, stopped: bool, lake: AuditLake, log: Path, follow: Follow) -> None:
    """What was written before a rotation lands too, whether somebody followed at that moment or not."""
    append(log, event(0), event(1)[:10])
    followed = follow().all()
    if stopped:
        followed.close()
    append(log, event(1)[10:], event(2))
    with rotated(log, how=how):
        pass
    append(log, event(3))
    (follow() if stopped else followed).all()

    assert numbers(lake) == [0, 1, 2, 3]
    assert len(landed(lake)) == 4


@HOW
def test_several_rotations_while_nobody_followed(how: str, lake: AuditLake, log: Path, follow: Follow) -> None:
    """Files that came and went in between are read whole."""
    append(log, event(0))
    follow().all().close()
    for n in (1, 3, 5):
        append(log, event(n))
        with rotated(log, how=how):
            pass
        append(log, event(n + 1))
    follow().all()

    assert numbers(lake) == [0, 1, 2, 3, 4, 5, 6]


@HOW
@pytest.mark.parametrize("stopped", [False, True])
@pytest.mark.parametrize("target", ["audit.jsonl", "../spool/app.log"])
def test_rotation_behind_a_link(
    target: str, how: str, stopped: bool, lake: AuditLake, log: Path, follow: Follow
) -> None:
    """What a link leads to is rotated in its own folder, under its own name: the rest is found there."""
    link = log.parent / "current" / "link.jsonl"
    file = log.parent / target
    for folder in (link.parent, file.parent):
        folder.mkdir(exist_ok=True)
    (link.parent / "middle").symlink_to(Path("..") / target)
    link.symlink_to("middle")
    append(file, event(0), event(1)[:10])
    followed = follow(link).all()
    if stopped:
        followed.close()
    append(file, event(1)[10:], event(2))
    for n in (3, 4):
        with rotated(file, how=how):
            pass
        append(file, event(n))
    (follow(link) if stopped else followed).all()

    assert numbers(lake) == [0, 1, 2, 3, 4]
    assert len(landed(lake)) == 5


def test_a_link_that_leads_to_another_day(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A link that is set to a new file each day: the days that nobody followed are read, and no other file."""
    for name, n in (("app-2026-11-28.jsonl", 0), ("application-2026-11-28.jsonl", 7), ("app.jsonl", 8)):
        append(log.with_name(name), event(n))
    log.symlink_to("app-2026-11-28.jsonl")
    follow().all().close()
    append(log.with_name("app-2026-11-28.jsonl"), event(1))
    for day, n in ((29, 2), (30, 3)):
        append(log.with_name(f"app-2026-11-{day}.jsonl"), event(n))
    log.unlink()
    log.symlink_to("app-2026-11-30.jsonl")
    follow().all()

    assert numbers(lake) == [0, 1, 2, 3]


def test_a_cut_file_that_grew_again(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A file that is longer than before when it is looked at, but has been cut in between, is read from its start."""
    append(log, event(0), event(1))
    followed = follow().all()
    with rotated(log, how="copy"):
        pass
    append(log, *(event(n) for n in range(2, 20)))
    followed.all()

    assert numbers(lake) == list(range(20))
    assert len(landed(lake)) == 20
    assert followed.told == []


def test_a_file_that_was_cut_before_it_was_read(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A file that was empty when it was looked at, and was written, copied and cut since, is read from the copy."""
    append(log)
    followed = follow().all()
    append(log, event(0))
    with rotated(log, how="copy"):
        pass
    append(log, event(1))
    followed.all()

    assert numbers(lake) == [0, 1]


def test_a_cut_file_without_a_copy(lake: AuditLake, log: Path, follow: Follow) -> None:
    """What was read but not whole when a file was cut lands as it is, and whoever watches is told."""
    append(log, event(0), event(1)[:10])
    followed = follow().all()
    log.write_bytes(event(2))
    followed.all()

    assert [line[:20] for line in landed(lake)[1:]] == [event(1)[:10], landed(lake)[2][:20]]
    assert followed.destination.summary.refused == 1
    assert "was cut at byte" in followed.told[0]


def test_the_writer_of_a_renamed_file_may_take_its_time(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A renamed file is followed until the next rotation; then what stands behind its last newline is all of it."""
    append(log, event(0))
    with log.open("ab", buffering=0) as writer, follow() as followed:
        followed.all()
        with rotated(log):
            followed.all()
        append(log, event(2))
        followed.all()
        writer.write(event(1) + event(3)[:-1])
        followed.all()
        assert numbers(lake) == [0, 1, 2]
        with rotated(log):
            pass
        followed.all()

    assert numbers(lake) == [0, 1, 2, 3]


def test_a_file_that_went_away(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A rotated file that is compressed by now cannot be gone on with: whoever watches is told to ingest it."""
    append(log, event(0))
    follow().all().close()
    log.unlink()
    append(log, event(1))
    followed = follow().all()

    assert numbers(lake) == [0, 1]
    (said,) = followed.told
    assert "is not here any more" in said
    assert "ingest it" in said


@pytest.mark.parametrize("dated", ["audit.jsonl-20261124", "audit.jsonl.2026-11-24_09", "audit-20261124.jsonl"])
def test_names_of_rotated_files(dated: str, lake: AuditLake, log: Path, follow: Follow) -> None:
    """Copies are found by the names that are usual for them, other files of the folder are left alone."""
    append(log, event(0))
    follow().all().close()
    append(log, event(1))
    log.with_name(dated).write_bytes(log.read_bytes())
    log.with_name("audit-errors.jsonl").write_bytes(event(8))
    log.with_name("audit.jsonl.bak").write_bytes(event(9))
    log.write_bytes(event(2))
    followed = follow().all()

    assert (numbers(lake), followed.told) == ([0, 1, 2], [])


def test_nothing_twice_after_a_crash(
    lake: AuditLake, log: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after lines landed and before their place was kept, the next one gives the same lines the same ids."""
    append(log, event(0))
    follow().all().close()
    append(log, event(1), event(1), event(2))
    with monkeypatch.context() as patched:
        patched.setattr(Bookmark, "write", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), follow() as followed:
            followed.all()
    append(log, event(3))
    follow().all().close()

    assert numbers(lake) == [0, 1, 1, 2, 3]


def test_what_could_not_land_is_read_again(
    lake: AuditLake, log: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that refuses ends the following with its error, and the place stays before what it refused."""
    append(log, event(0))
    follow().all().close()
    append(log, event(1), event(2))

    def refuse(*_: object) -> None:
        raise LandingError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Trail, "append_lines", refuse)
        with pytest.raises(LandingError):
            tail(lake, log, once=True)
    assert numbers(lake) == [0]
    assert tail(lake, log, once=True).records == 2
    assert numbers(lake) == [0, 1, 2]


def test_from_the_end(lake: AuditLake, log: Path, follow: Follow) -> None:
    """Begun at the end, only what comes later lands: the line under way whole, with its number among identical ones."""
    append(log, event(0), event(1), event(2)[:10])
    followed = follow(from_end=True).all()
    assert landed(lake) == []
    append(log, event(2)[10:], event(1))
    followed.all()
    followed.close()
    append(log, event(4))
    follow(from_end=True).all()

    assert numbers(lake) == [1, 2, 4]
    assert {json.loads(line)["event_id"] for line in landed(lake)} < content_ids(log.read_bytes())


def test_a_line_that_is_too_long(lake: AuditLake, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is quarantined at once, with its place and digest, and only once however often it is read."""
    append(log, event(0), b"x" * (17 * 1024 * 1024), b"\n", event(1))
    with monkeypatch.context() as patched:
        patched.setattr(Bookmark, "write", lambda *_: None)
        assert tail(lake, log, once=True).too_long == 1
    summary = tail(lake, log, once=True)

    assert (summary.records, summary.too_long, numbers(lake)) == (2, 1, [0, 1])
    (entry,) = quarantined(lake)
    assert (entry["input"], entry["reason"], entry["line"], entry["offset"]) == (str(log), "too long", 2, len(event(0)))
    assert (entry["length"], entry["sha256"]) == (17 * 1024 * 1024, hashlib.sha256(b"x" * 17 * 1024 * 1024).hexdigest())


def test_lines_that_cannot_be_events(lake: AuditLake, log: Path, follow: Follow) -> None:
    """They land byte for byte, for the flush to quarantine, and are counted; blank lines are none."""
    junk = [b'{"event_type":"login"}', b"\xff\xfe", b'{"event_type": "nothing", "timestamp": "2026-11-24T09:00:00Z"}']
    append(log, event(0), *(line + b"\n" for line in junk), b"\n", b" \r\n")
    followed = follow().all()

    assert landed(lake)[1:] == junk
    assert (followed.destination.summary.records, followed.destination.summary.refused) == (4, 3)


@HOW
def test_ingested_besides_counts_once(how: str, lake: AuditLake, log: Path, follow: Follow) -> None:
    """The rotated files of a followed log can be ingested before and after a flush: nothing of them is new."""
    append(log, event(0), event(1), event(1), b"junk\n", event(2, event_id="mine"))
    followed = follow().all()
    with rotated(log, how=how):
        pass
    append(log, event(3), event(0), event(1))
    followed.all()
    files = [log.with_name("audit.jsonl.1"), log]
    early = lake.ingest(*files, source="auditlake")
    flushed = lake.flush()
    late = lake.ingest(*files, source="auditlake")

    assert (early.landed, early.duplicates, early.quarantined) == (5, 2, 1)
    assert (flushed.landed, flushed.duplicates, flushed.quarantined) == (0, 7, 1)
    assert (late.landed, late.duplicates, late.quarantined) == (0, 7, 1)
    assert len(lake.events().fetchall()) == 5
    assert {each["data"] for each in quarantined(lake)} == {"junk"}


def test_what_was_followed_is_in_the_next_answer(lake: AuditLake, log: Path, follow: Follow) -> None:
    """Before and after the flush, and once, whether its lines landed once or twice."""
    append(log, event(0), event(1), b"junk\n", event(2, event_type="nothing"))
    first = follow(log).all()
    first.close()
    for file in (lake.layout.landing / "tails").glob("*.json"):
        file.unlink()
    with follow() as again:
        again.all()
        assert len(landed(lake)) == 8
        assert len(lake.events().fetchall()) == 2
    lake.flush()

    assert len(lake.events().fetchall()) == 2
    kept = {each["data"] for each in quarantined(lake)}
    assert kept == {"junk", event(2, event_type="nothing").decode().rstrip()}


def test_a_record_as_long_as_may_be(tmp_path: Path, log: Path) -> None:
    """A record of exactly the longest length lands, although its id makes it longer; one byte more does not."""
    longest = event(0)[:-1]
    lake = create(tmp_path / "short")
    config = lake.layout.config
    config.write_text(re.sub("max_record = .*", f"max_record = {len(longest)}", config.read_text()))
    lake = AuditLake(lake.layout.root)
    append(log, longest + b"\r\n", event(10), longest + b"\n", event(1)[:-1] + b" \n", event(2)[:-1])
    summary = tail(lake, log, once=True)
    lake.flush()

    assert (summary.records, summary.too_long) == (2, 2)
    assert len(lake.events().fetchall()) == 2
    assert lake.ingest(log, source="auditlake").landed == 1


FOREIGN = {
    "a table": (b"event_type,timestamp\nlogin,2026-11-24T09:00:00Z\n", "as rows of CSV"),
    "a document": (b"[" + event(0)[:-1] + b"]\n", "as documents"),
    "plain text": (b"a line of words, and no log of anything\n", "is not recognised"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_other_inputs_are_refused(name: str, lake: AuditLake, log: Path) -> None:
    """What are no lines of canonical events is refused before anything lands, and the message says what to do."""
    content, expected = FOREIGN[name]
    log.write_bytes(content)
    with pytest.raises(SourceError, match=expected) as caught:
        tail(lake, log, once=True)

    assert landed(lake) == []
    assert caught.value.hint
    assert ("--source" in caught.value.hint) == (name == "plain text")


def test_what_cannot_be_followed(lake: AuditLake, log: Path) -> None:
    """A file that is not there, a folder, and a pipe by its name are refused."""
    os.mkfifo(fifo := log.with_name("pipe"))
    for path in (log, log.parent, fifo):
        with pytest.raises(SourceError):
            tail(lake, path, once=True)


def test_one_follower_a_path(lake: AuditLake, log: Path, follow: Follow) -> None:
    """A second one is told that there is one already, and one of another path is not in the way."""
    append(log, event(0))
    append(log.with_name("other.jsonl"), event(1))
    with follow(), pytest.raises(LakeBusyError, match="another process follows"):
        tail(lake, log, once=True)
    with follow():
        assert tail(lake, log.with_name("other.jsonl"), once=True).records == 1


def test_a_bookmark_that_cannot_be_read(lake: AuditLake, log: Path) -> None:
    """A damaged place is told with its file and what to do, not guessed at."""
    append(log, event(0))
    tail(lake, log, once=True)
    (file,) = (lake.layout.landing / "tails").glob("*.json")
    file.write_text("{")
    with pytest.raises(AuditLakeError, match=file.name) as caught:
        tail(lake, log, once=True)

    assert "remove it" in caught.value.hint


SEEDS = [*range(6), *(pytest.param(seed, marks=pytest.mark.soak) for seed in range(6, 300))]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_every_line_lands_once(
    seed: int, lake: AuditLake, log: Path, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through any sequence of writes, rotations of both kinds, restarts and crashes, the ids that land are those of an
    ingest of every file there ever was; without a crash, each lands once.
    """
    chance = random.Random(seed)
    how = ("rename", "copy")[seed % 2]
    append(log)
    generations, pending, crashes, follower = [b""], b"", 0, follow()
    for _ in range(120):
        step = chance.choices(["write", "round", "rotate", "stop", "crash"], [50, 30, 6, 6, 3])[0]
        if step == "write":
            pending += b"".join(event(chance.randrange(40), g=len(generations)) for _ in range(chance.randrange(30)))
            written, pending = pending[: (cut := chance.randrange(len(pending) + 1))], pending[cut:]
            append(log, written)
            generations[-1] += written
        elif step == "round" and follower:
            follower.follower.round()
        elif step == "rotate":
            append(log, pending)
            generations[-1] += pending
            pending = b""
            generations.append(b"")
            with rotated(log, how=how):
                pass
        elif step == "crash" and follower:
            with monkeypatch.context() as patched:
                patched.setattr(Follower, "_save", lambda _: None)
                follower.follower.round()
            crashes += 1
        if step in ("stop", "crash"):
            if follower:
                follower.close()
            follower = None if follower else follow()
    append(log, pending)
    generations[-1] += pending
    (follower or follow()).all()

    ids = [json.loads(line)["event_id"] for line in landed(lake)]
    assert set(ids) == set().union(*map(content_ids, generations))
    assert crashes or len(ids) == len(set(ids))
