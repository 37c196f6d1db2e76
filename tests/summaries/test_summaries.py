"""Counts of data files: those of their rows, whatever happens to a lake, and nothing of what was deleted in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from auditlake import AuditEvent, AuditLake
from auditlake.disk.lock import exclusive
from auditlake.engine.duck import connect, view_events
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import StatementError, Summary
from auditlake.engine.statements import statement
from auditlake.engine.summed import DAY_US, RowSummaries
from auditlake.events.times import EPOCH, micros
from auditlake.policies.evaluate import evaluate
from auditlake.query.view import judging_engine
from auditlake.store.model import Snapshot
from auditlake.store.snapshot import file_paths
from auditlake.summaries import segments
from auditlake.summaries.filled import by_footers, spared
from auditlake.summaries.lake import LakeSummaries, lake_summaries, statement_digest
from auditlake.summaries.segments import forget_summaries
from tests.lakes import FOUR
from tests.remembered.test_memory import NUMBERS, events
from tests.retention.lakes import DAY, MIDNIGHT, NOW, US, Clock, bring, graced, made, put_policies, record
from tests.retention.test_foreign import add
from tests.soak import mostly
from tests.templates import copy_of

POLICY = {
    "short": "name: S\ndescription: S\nrequired_events: [login, logout]\nretention_period: 15d\nalert_threshold: 2\n"
             "window: 36h\ngroup_by: [user_id]\n",
}  # fmt: skip
MINUTES = Summary(
    "minutes",
    """
select file_index, event_type, source, epoch_us("timestamp") // 60000000 as "minute", count(*) as events,
  min(epoch_us("timestamp")) as first_event, max(epoch_us("timestamp")) as last_event
from events
group by file_index, event_type, source, "minute"
""",
)
USERS = Summary("users", "select file_index, user_id, count(*) as events from events group by file_index, user_id")
OF_USERS = pa.schema({"file_index": pa.uint32(), "user_id": pa.string(), "events": pa.int64()})
ASKED = "is_filled(user_id)"
_IS_FILLED = statement("policies/is_filled.sql", "is_filled").text
FILLED = Summary(
    "filled",
    "select file_index, is_filled(user_id) as by_user, coalesce(IS_FILLED(action), false) as by_action, "
    f"action = '{ASKED}' as is_odd, count(*) as events "
    "from events group by all",
    (_IS_FILLED,),
)
TOGETHER = {
    "filled": "select * exclude (events), cast(sum(events) as bigint) from filled group by all",
    "minutes": "select * exclude (events, first_event, last_event), cast(sum(events) as bigint), min(first_event), "
               "max(last_event) from minutes group by all",
    "users": "select * exclude (events), cast(sum(events) as bigint) from users group by all",
}  # fmt: skip
ROOM = 10**8
Step = tuple[str, Any]


@pytest.fixture(scope="module", autouse=True)
def of_any_size() -> Iterator[None]:
    """Let small lakes have summaries, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auditlake.summaries.lake.FEWEST", 0)
        patch.setattr("auditlake.remembered.memory.FEWEST", 0)
        yield


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("days"), st.sampled_from([1, 3])),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("apply"), st.none()),
        st.tuples(st.just("erase"), st.sampled_from(["user 0", "user 1"])),
        st.tuples(st.just("damage"), st.integers(0, 400)),
        st.tuples(st.just("together"), NUMBERS),
    ),
    min_size=3,
    max_size=8,
)


def rows(
    lake: AuditLake, summary: Summary, days: Collection[int] | None = None, *,
    instants: Sequence[datetime] = (), most: int = ROOM, kept: bool = True,
) -> set[tuple[Any, ...]]:  # fmt: skip
    """Return what a summary says of each day and stretch, put together; counted anew unless it is ``kept``."""
    with connect(threads=1) as connection:
        view_events(connection, [lake.layout.events / file.path for file in lake.snapshot().files])
        known = LakeSummaries(lake.layout, lake.snapshot(), connection, most)
        (known if kept else RowSummaries(DuckEngine(connection))).lay_out(summary, days, instants)
        return {*connection.sql(TOGETHER[summary.name]).fetchall()}


def oracle(lake: AuditLake, instants: Sequence[datetime] = ()) -> tuple[set[Any], set[Any]]:
    """Return what both summaries are to say, counted event by event."""
    minutes: dict[Any, list[int]] = {}
    users = Counter[Any]()
    for kind, source, at, user in lake.sql("select event_type, source, epoch_us(timestamp), user_id from events"):
        place = at // DAY_US, sum(micros(each) < at for each in instants)
        minutes.setdefault((*place, kind, source, at // 60_000_000), []).append(at)
        users[*place, user] += 1
    return (
        {(*key, len(own), min(own), max(own)) for key, own in minutes.items()}, {(*key, n) for key, n in users.items()}
    )  # fmt: skip


def both(lake: AuditLake, days: Collection[int] | None = None, **options: Any) -> tuple[set[Any], set[Any]]:
    """Return what both summaries say."""
    return rows(lake, MINUTES, days, **options), rows(lake, USERS, days, **options)


def files(lake: AuditLake) -> list[Path]:
    """Return all segments."""
    return sorted(lake.layout.summaries.glob("*/*.parquet"))


def names(lake: AuditLake) -> set[str]:
    """Return all users that segments name."""
    found = [parquet.read_table(path) for path in files(lake)]
    return {name for each in found if "user_id" in each.column_names for name in each["user_id"].to_pylist()}


def lived(folder: Path) -> tuple[AuditLake, Clock]:
    """Return a lake with some events whose files were counted once."""
    clock = Clock(NOW)
    return AuditLake(copy_of(_counted, folder) / "lake", clock=clock), clock


def _counted(folder: Path) -> None:
    lake = graced(made(folder / "lake", POLICY, Clock(NOW)), "0h")
    lake.retention.apply(accept_weaker="a lake of tests")
    bring(lake, events(range(24)))
    both(lake)


def run(lake: AuditLake, clock: Clock, steps: Sequence[Step]) -> None:
    """Take steps, and compare what is counted after each."""
    for step, what in steps:
        if step == "ingest":
            bring(lake, events(what), "more.jsonl")
        elif step == "days":
            clock.move(f"{24 * what}h")
        elif step == "compact":
            lake.compact(grace_seconds=0)
        elif step == "apply":
            lake.retention.apply(accept_weaker="a test")
        elif step == "erase":
            lake.retention.erase(what, reason="r", ticket="t")
            assert what not in names(lake)
        elif step == "damage":
            for path in files(lake)[:1]:
                content = bytearray(path.read_bytes())
                content[what % len(content)] ^= 1
                path.write_bytes(content)
        else:  # two processes count the same files at once: neither knows what the other writes
            with connect(threads=1) as one, connect(threads=1) as other:
                bring(lake, events(what), "more.jsonl")
                own = [LakeSummaries(lake.layout, lake.snapshot(), each, ROOM) for each in (one, other)]
                for each in own:
                    each._known = {digest(MINUTES): [], digest(USERS): []}
                    each.lay_out(USERS)
        assert both(lake) == oracle(lake), steps
        for as_of in (clock(), clock() - 2 * DAY + 7 * US):
            assert lake.statistics(as_of=as_of) == lake.statistics(as_of=as_of, cache=False), steps
        cut = sorted({events([n])[0]["timestamp"] for n in range(0, 24, 5)} | {MIDNIGHT.isoformat()})
        instants = [datetime.fromisoformat(each) for each in cut]
        assert both(lake, instants=instants) == oracle(lake, instants) == both(lake, instants=instants, kept=False)


def digest(summary: Summary) -> str:
    """Return the name of the folder of a summary."""
    return statement_digest(summary)


def test_counts_are_those_of_the_rows(tmp_path: Path) -> None:
    """Whatever comes late, goes, is rewritten or damaged: the counts are those of the events that are there."""
    steps: list[Step] = [
        ("ingest", [30, 31]), ("damage", 300), ("together", [3, 40]), ("compact", None), ("erase", "user 0"),
        ("days", 3), ("apply", None),
    ]  # fmt: skip
    run(*lived(tmp_path), steps)


@pytest.mark.soak
@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_of_many_histories(steps: list[Step]) -> None:
    """The same of many."""
    with tempfile.TemporaryDirectory() as folder:
        run(*lived(Path(folder)), steps)


def test_what_is_in_no_data_file_counts_too(tmp_path: Path) -> None:
    """Events that were logged and not flushed are in statistics and in what is laid out, beside what is kept."""
    lake, _ = lived(tmp_path)
    with lake.trail(flush_seconds=None) as trail:
        for number in range(3):
            trail.log(AuditEvent("login", NOW - number * DAY, user_id="user 7"))
        counted = lake.statistics()
        assert counted == lake.statistics(cache=False)
        assert (counted.total_events, counted.events_by_user["user 7"]) == (27, 3)
        with judging_engine(lake._context, None) as (engine, snapshot):
            counts = lake_summaries(lake._context, engine, snapshot)
            assert isinstance(counts, LakeSummaries), "kept counts answer beside what waits"
            counts.lay_out(USERS, [(NOW - EPOCH).days])
            assert engine.rows(f"{TOGETHER['users']} having user_id = 'user 7'") == [
                ((NOW - EPOCH).days, 0, "user 7", 1)
            ]


def test_what_auditlake_writes_about_itself_is_no_reason_to_read_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question that waits in the landing leaves statistics what is remembered, unless a policy asks about it."""
    lake, _ = lived(tmp_path)
    with lake.audit_session(principal="erika") as session:
        session.sql("select 1")
    known = list[bool]()
    monkeypatch.setattr(
        "auditlake.analysis.statistics.evaluate",
        lambda *args, **options: known.append(options["memory"] is not None) or evaluate(*args, **options),
    )
    for _ in range(2):
        assert lake.statistics() == lake.statistics(cache=False)
        put_policies(lake, {"asked": FOUR["failed_logins"].replace("[auth_failure]", "[audit_log_access]")})
    assert known == [True, False, False, False]


def test_statistics_read_no_rows_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once the files are counted, statistics read the rows of the days alone that as_of and the windows cut."""
    lake, _ = lived(tmp_path)
    before = lake.statistics()
    read = set[date]()
    for place in ("summaries.lake", "remembered.memory"):
        paths = f"auditlake.{place}.file_paths"
        monkeypatch.setattr(paths, lambda layout, some: read.update(f.day for f in some) or file_paths(layout, some))
    narrowed, beside, of_memory = DuckEngine._narrowed, DuckEngine.beside, list[DuckEngine]()
    monkeypatch.setattr(DuckEngine, "beside", lambda self: of_memory.append(own := beside(self)) or own)

    def none(self: DuckEngine, sql: str, values: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
        """Show the statistics no event, and the memory of days those that it asks for."""
        if self in of_memory:
            return narrowed(self, sql, values)
        if self._events:
            self._events.narrow(())
        return sql, values

    monkeypatch.setattr(DuckEngine, "_narrowed", none)
    assert lake.statistics() == before
    assert read <= {NOW.date() - days * DAY for days in range(5)}
    assert before.total_events == 24


def test_what_is_filled_is_so_with_and_without_a_look(tmp_path: Path) -> None:
    """Whatever footers say, as many values are filled as the rows have, by day."""
    lake = made(tmp_path / "lake", POLICY)
    users = [
        ["ann", "bob"],
        ["ann", None],
        ["ann", "None"],
        [None, None],
        [" ", "\t-"],
        ["anna", "über", "uo"],
        ["n", "u"],
    ]
    bring(lake, [
        record(10 * day + place, NOW - day * DAY, user_id=user, action=(ASKED, "act")[place % 2])
        for day, some in enumerate(users) for place, user in enumerate(some)
    ])  # fmt: skip
    expected = Counter[Any]()
    for day, some in enumerate(users):
        for place, user in enumerate(some):
            said = None if user is None else user.strip(" \t") not in ("", "-", "None")
            expected[(NOW - EPOCH).days - day, 0, said, True, place % 2 == 0] += 1
    assert rows(lake, FILLED) == {(*key, n) for key, n in expected.items()} == rows(lake, FILLED, kept=False)


@pytest.mark.parametrize(
    ("values", "asked"),
    [
        (["ann", "mary"], "true"), (["ann", None], "case when user_id is not null then true end"),
        (["ann", "zoe"], ASKED), ([None], ASKED), (["none"], ASKED),
        (["ann", "bob", "zoe"], "true"), (["ann", "bob", "none"], ASKED),
    ],
)  # fmt: skip
def test_a_footer_says_what_need_not_be_asked(tmp_path: Path, values: list[str | None], asked: str) -> None:
    """A column is asked for nulls alone, or for nothing, where each text between bounds of every two rows is filled."""
    with connect(threads=1) as connection:
        for known, expected in ((True, asked), (False, ASKED)):
            path = tmp_path / f"{known}.parquet"
            table = pa.table({"user_id": pa.array(values, pa.string())})
            parquet.write_table(table, path, write_statistics=known, row_group_size=2)
            sql = f"select {ASKED}, '{ASKED}' /* {ASKED} */"
            ((columns, names),) = by_footers(connection, sql, {"it": path})
            assert (spared(sql, columns), names) == (f"select {expected}, '{ASKED}' /* {ASKED} */", ["it"])


def test_files_without_some_types_are_asked_less(tmp_path: Path) -> None:
    """A file without events of some types, or that always has a text that would do, is asked what reads less."""
    lake = made(tmp_path / "lake", POLICY)
    users = dict(enumerate(["ann", None, None, "bob", "-"]))
    bring(lake, [record(n, NOW - n * DAY, ("login", "logout")[n == 1], user_id=user) for n, user in users.items()])
    text = f"select file_index, '{{}}' as said, count({ASKED}) as events from events group by file_index"
    for texts, types, expected in (
        ((), True, ["all", "less", "all", "all", "all"]),
        (("user_id", "action"), True, ["less", "less", "all", "less", "all"]),
        (("user_id",), False, ["less", "all", "all", "less", "all"]),
    ):
        nested = [(frozenset({"login"}), frozenset(texts))]
        summary = Summary("asked", text.format("all"), (_IS_FILLED,), (nested, lambda: text.format("less")))
        shutil.rmtree(lake.layout.summaries, ignore_errors=True)
        with connect(threads=1) as connection:
            own = LakeSummaries(lake.layout, lake.snapshot(), connection, ROOM)
            own.__dict__ |= {} if types else {"_types": {}}
            own.lay_out(summary)
            found = connection.sql("select said from asked order by day desc").fetchall()
        assert [said for (said,) in found] == expected


def test_only_some_days_are_laid_out(tmp_path: Path) -> None:
    """Rows are of the days that were asked for, and other days are not counted for it."""
    lake, _ = lived(tmp_path)
    day = min(rows(lake, MINUTES))[0]
    expected = tuple({row for row in each if row[0] == day} for each in oracle(lake))
    assert both(lake, [day, day + 1_000]) == expected == both(lake, [day, day + 1_000], kept=False)
    assert both(lake, []) == (set(), set()) == both(lake, [], kept=False)


def test_an_empty_lake_has_empty_tables(tmp_path: Path) -> None:
    """A lake without events gives a table without rows, and keeps nothing."""
    lake = made(tmp_path / "lake", POLICY)
    assert rows(lake, MINUTES) == set()
    assert not files(lake)


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files that are new are read, all at once, and a summary is a few segments however often events come."""
    lake, _ = lived(tmp_path)
    read: list[int] = []
    paths = "auditlake.summaries.lake.file_paths"
    monkeypatch.setattr(paths, lambda layout, some: read.append(len(some)) or [layout.events / f.path for f in some])
    both(lake)
    assert not any(read)
    for number in range(8):
        bring(lake, [record(100 + number, NOW - number * DAY)], "late.jsonl")
        rows(lake, MINUTES)
    assert [each for each in read if each] == [1] * 8
    assert len([path for path in files(lake) if path.parent.name == digest(MINUTES)]) <= 4


def test_users_are_added_up_by_month(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a new file its month is written anew and no other, from its rows alone; what was erased in a month is gone."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100 + number, NOW - number * 32 * DAY, user_id=f"of {number}") for number in range(1, 4)])

    def kept() -> set[Path]:
        expected = lake.statistics(cache=False)
        assert lake.statistics() == expected
        return {*(lake.layout.summaries / digest(SUMMED)).iterdir()}

    before, read = kept(), list[int]()
    paths = "auditlake.summaries.lake.file_paths"
    monkeypatch.setattr(paths, lambda layout, some: read.append(len(some)) or file_paths(layout, some))
    assert kept() == before
    bring(lake, [record(200, NOW - 33 * DAY)], "late.jsonl")
    read.clear()
    after = kept()
    assert len(after) == len(before)
    assert len(after - before) == 1
    assert max(read) == 1
    lake.retention.erase("of 2", reason="r", ticket="t")
    left = {*(lake.layout.summaries / digest(SUMMED)).iterdir()}
    assert "of 2" not in names(lake)
    assert left < after
    assert len(after - left) == 1
    craft(next(iter(left)), parquet.ParquetFile(next(iter(left))).read(), "[]")
    kept()


SUMMED = Summary("user_counts", statement("summaries/users.sql", "user_counts").text, adds_up=True)


def sums(lake: AuditLake) -> list[segments.Segment]:
    """Return what is kept of users, added up."""
    return segments.read_segments(lake.layout, digest(SUMMED), OF_USERS.remove(0))


def test_a_future_event_lets_its_month_be_kept(tmp_path: Path) -> None:
    """Users of all days are added up and kept but of the one that as_of cuts, whatever lies after it."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100, NOW - DAY), record(101, NOW - US), record(102, NOW + DAY)])
    lake.statistics()
    table = lake.snapshot().table
    whole = table.without(table.of_days({NOW.date()}).table["path"].combine_chunks())
    kept = [path for each in sums(lake) for path in each.files.to_pylist()]
    assert sorted(kept) == sorted(whole.paths)


def test_what_another_process_added_up_stays(tmp_path: Path) -> None:
    """Two processes keep sums that neither has read of the other; those of files that are gone are not kept on."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100 + number, NOW - number * 32 * DAY) for number in range(1, 4)])
    lake.statistics()
    before, (one, *others) = set(files(lake)), sums(lake)
    forget_summaries(lake.layout, Snapshot(lake.snapshot().version, ()))
    for new in ([one], others):
        segments.keep_sums(lake.layout, digest(SUMMED), new, (), lake.snapshot(), ROOM)
    assert set(files(lake)) == {each.path for each in (one, *others)} <= before
    segments.keep_sums(lake.layout, digest(SUMMED), others, (), Snapshot(lake.snapshot().version, ()), ROOM)
    assert set(files(lake)) == {each.path for each in others}


def test_names_go_in_the_same_deed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure removes a name from summaries before there is a certificate, even if its writer died in between."""
    lake, _ = lived(tmp_path)
    assert "user 0" in names(lake)

    def dead(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("auditlake.retention.cleanup.forget_summaries", dead)
        lake.retention.erase("user 0", reason="r", ticket="t")
    assert not list(lake.layout.certificates.glob("*erasure*"))
    (draft := files(lake)[0].with_name(".left.draft")).write_bytes(b"user 0")
    lake.retention.apply()
    assert "user 0" not in names(lake)
    assert not draft.exists()
    assert "user 1" in names(lake), "what was counted in other files stays"


def test_a_count_under_way_keeps_nothing_of_what_is_gone(tmp_path: Path) -> None:
    """Who counted an older snapshot than the newest one keeps nothing."""
    lake, _ = lived(tmp_path)
    then = lake.snapshot()
    kept = segments.read_segments(lake.layout, digest(USERS), OF_USERS)
    lake.retention.erase("user 0", reason="r", ticket="t")
    segments.keep(lake.layout, digest(USERS), kept[0], (), then, ROOM)
    assert "user 0" not in names(lake)
    segments.keep(lake.layout, digest(USERS), kept[0], (), lake.snapshot(), ROOM)
    assert "user 0" not in names(lake), "files that are gone are passed over"


def test_another_process_is_not_waited_for(tmp_path: Path) -> None:
    """Where another process writes, and where nothing can be written, counts are right and nothing is kept."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100, NOW - DAY)], "late.jsonl")
    before = files(lake)
    with exclusive(lake.layout.summaries_lock, wait_seconds=0):
        assert both(lake) == oracle(lake)
    assert files(lake) == before
    for path in before:
        path.unlink()
        path.parent.rmdir()
        path.parent.write_bytes(b"no folder")
    assert both(lake) == oracle(lake)


def test_a_damaged_segment_is_none(tmp_path: Path) -> None:
    """Any changed byte makes a segment none, and the next one who counts writes it anew."""
    lake, _ = lived(tmp_path)
    path = next(path for path in files(lake) if path.parent.name == digest(USERS))
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert segments.read_segments(lake.layout, digest(USERS), OF_USERS) == []
    rows(lake, USERS)
    assert path.read_bytes() == whole


def craft(path: Path, table: pa.Table, listed: str | None = None) -> Path:
    """Put a table into the place of a segment, under its right digest; return where it lies."""
    metadata = parquet.ParquetFile(path).metadata.metadata
    with parquet.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata(metadata if listed is None else {"auditlake.files": listed})
    return path.rename(path.with_stem(hashlib.sha256(path.read_bytes()).hexdigest()))


@pytest.mark.parametrize("numbers", [[0, 1, 999], [0, None, 1], ["a", "b", "c"], [0, -5, 1], [0.0, 0.5, 1.0]])
def test_odd_content_is_none(numbers: list[Any], tmp_path: Path) -> None:
    """What a hand put there under its right digest is none if it numbers files that are not listed; it is forgotten."""
    lake, _ = lived(tmp_path)
    path = next(path for path in files(lake) if path.parent.name == digest(USERS))
    odd = parquet.ParquetFile(path).read().slice(0, 3).set_column(0, "file_index", pa.array(numbers))
    path = craft(path, odd)
    listed = parquet.ParquetFile(path).metadata.metadata[b"auditlake.files"].decode()
    assert both(lake) == oracle(lake)
    assert not path.exists(), "what is counted anew takes its place"
    whole = next(path for path in files(lake) if path.parent.name == digest(USERS))
    path = craft(whole, odd, listed.replace("event_date=", "event_date=9", 1))
    forget_summaries(lake.layout, lake.snapshot())
    assert not path.exists()


OTHERS: tuple[Callable[[pa.Table], pa.Table], ...] = (
    lambda table: table.drop_columns(["events"]),
    lambda table: table.append_column("more", table["events"]),
    lambda table: table.set_column(table.column_names.index("events"), "events", table["events"].cast(pa.string())),
    lambda table: table.select(["file_index"]),
)


@pytest.mark.parametrize("change", mostly(OTHERS, always=OTHERS[1:3]))
def test_other_columns_are_none(change: Callable[[pa.Table], pa.Table], tmp_path: Path) -> None:
    """What has other columns than the statement gives is none, beside what is sound and when more is counted."""
    lake, _ = lived(tmp_path)
    sound = {path: path.read_bytes() for path in files(lake)}
    for path, content in sound.items():
        craft(path, change(parquet.ParquetFile(path).read()))
        path.write_bytes(content)
    assert both(lake) == oracle(lake)
    bring(lake, [record(100, NOW - DAY)], "late.jsonl")
    assert both(lake) == oracle(lake)
    for path in files(lake):
        craft(path, change(parquet.ParquetFile(path).read()))
    assert both(lake) == oracle(lake)
    assert lake.statistics() == lake.statistics(cache=False)


def test_a_list_of_files_that_is_too_deep(tmp_path: Path) -> None:
    """It makes a segment none, and is forgotten."""
    lake, _ = lived(tmp_path)
    for path in files(lake):
        craft(path, parquet.ParquetFile(path).read(), "[" * 100_000)
    assert both(lake) == oracle(lake)
    path = craft(files(lake)[0], parquet.ParquetFile(files(lake)[0]).read(), "[" * 100_000)
    forget_summaries(lake.layout, lake.snapshot())
    assert not path.exists()


def test_a_folder_that_is_a_link_leads_nowhere(tmp_path: Path) -> None:
    """Nothing behind it is read, written, touched or removed; forgetting removes the link, and what else is there."""
    lake, _ = lived(tmp_path)
    away = [tmp_path / path.parent.name for path in files(lake)]
    for folder in away:
        (own := lake.layout.summaries / folder.name).rename(folder)
        own.symlink_to(folder)
        bring(lake, [record(100, NOW - DAY)], "late.jsonl")
        os.utime(folder, (0, 0))
    before = {path: path.read_bytes() for folder in away for path in folder.iterdir()}
    assert both(lake) == oracle(lake)
    (lake.layout.summaries / "loose.parquet").write_bytes(b"user 0")
    (lake.layout.summaries / "other").mkdir()
    (lake.layout.summaries / "other" / "Old.parquet").write_bytes(b"user 0")
    forget_summaries(lake.layout, lake.snapshot())
    assert {path: path.read_bytes() for folder in away for path in folder.iterdir()} == before
    assert {folder.stat().st_mtime for folder in away} == {0}
    assert [*lake.layout.summaries.iterdir()] == [lake.layout.summaries_lock]


def test_they_are_bounded_and_left_out_of_backups(tmp_path: Path) -> None:
    """What has no room is not kept, and what was not used for the longest time makes room; a backup has none."""
    lake, _ = lived(tmp_path)
    lake.backup(tmp_path / "copy")
    assert not (tmp_path / "copy" / ".summaries").exists()
    size = sum(path.stat().st_size for path in files(lake))
    other = Summary("users", USERS.sql.replace("count(*)", "count(action)"))
    rows(lake, other, most=10)
    assert not (lake.layout.summaries / digest(other)).exists()
    assert len(files(lake)) == 2, "what has no room at all takes none from others"
    rows(lake, MINUTES)
    rows(lake, other, most=size + 10)
    assert {path.parent.name for path in files(lake)} == {digest(MINUTES), digest(other)}


def test_files_of_another_program_are_not_counted(tmp_path: Path) -> None:
    """They may have events of other days and names that say nothing: a lake that has one has no summaries."""
    lake, _ = lived(tmp_path)
    with judging_engine(lake._context, None) as (engine, snapshot):
        assert isinstance(lake_summaries(lake._context, engine, snapshot), LakeSummaries)
        assert isinstance(lake_summaries(lake._context, engine, snapshot, kept=False), RowSummaries)
    add(lake, (NOW - 9 * DAY).date(), ("other", "login", NOW - DAY), stats=1)
    with judging_engine(lake._context, None) as (engine, snapshot):
        assert isinstance(lake_summaries(lake._context, engine, snapshot), RowSummaries)
    assert lake.statistics() == lake.statistics(cache=False)


def test_a_statement_that_fails_says_so(tmp_path: Path) -> None:
    """A statement that cannot be evaluated on the events raises, and nothing is kept of it."""
    lake, _ = lived(tmp_path)
    wrong = Summary("users", "select file_index, cast(action as bigint) as number from events group by all")
    with pytest.raises(StatementError):
        rows(lake, wrong)
    assert len(files(lake)) == 2


def test_forgetting_needs_no_summaries(tmp_path: Path) -> None:
    """A lake without summaries has nothing to forget, and one of which all files are gone has no segment left."""
    lake = made(tmp_path / "lake", POLICY)
    forget_summaries(lake.layout, lake.snapshot())
    bring(lake, [record(1, MIDNIGHT - DAY)])
    rows(lake, USERS)
    assert files(lake)
    forget_summaries(lake.layout, Snapshot(lake.snapshot().version, ()))
    assert not files(lake)
