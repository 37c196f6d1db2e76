"""A lake's memory: the same reports with and without it, whatever happens, and nothing of what was deleted in it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditlake import AuditLake, testing
from auditlake.disk.lock import exclusive
from auditlake.policies import few_days
from auditlake.remembered import files, memory
from auditlake.remembered.files import forget
from auditlake.remembered.memory import LakeMemory
from auditlake.testing import temporary_lake
from tests.lakes import FOUR
from tests.retention.lakes import DAY, MIDNIGHT, NOW, US, Clock, bring, graced, made, put_policies, record
from tests.retention.test_foreign import add
from tests.soak import mostly
from tests.templates import copy_of

POLICIES = {
    "users": """
name: Logins of a user
description: Logins of a user
required_events: [login, logout]
retention_period: 20d
alert_threshold: 1
window: 24h
group_by: [user_id]
where: user_id <> 'user 9'
max_gap: 30h
""",
    "all": FOUR["failed_logins"].replace("group_by: [user_id]\n", "").replace("[auth_failure]", "[logout]"),
    "addresses": """
name: Addresses
description: Addresses
required_events: [login]
distinct: [action]
alert_threshold: 2
window: 36h
coverage: proven
""",
    "chain": """
name: Chain
description: Out, then in
required_events: [login, logout]
sequence: [{types: [logout]}, {types: [login]}]
window: 24h
group_by: [user_id]
""",
}
Step = tuple[str, Any]
NUMBERS = st.lists(st.integers(0, 60), min_size=1, max_size=12)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("ingest"), NUMBERS),
        st.tuples(st.just("days"), st.sampled_from([0.5, 1, 3])),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("apply"), st.none()),
        st.tuples(st.just("erase"), st.sampled_from(["user 0", "user 1"])),
        st.tuples(st.just("policy"), st.sampled_from(["1", "2"])),
        st.tuples(st.just("damage"), st.integers(0, 400)),
        st.tuples(st.just("as of"), st.sampled_from([0.0, 0.25, 1.0, 3.5])),
    ),
    min_size=3,
    max_size=6,
)


def events(numbers: Sequence[int]) -> list[dict[str, Any]]:
    """Return the events of some numbers: some at midnight, or 1 µs before it."""
    ahead = {number: (number % 24) * DAY + (number % 3) * US - (number % 2) * timedelta(hours=5) for number in numbers}
    return [
        record(number, MIDNIGHT - ahead[number], ("login", "logout")[number % 2], action=f"a{number % 4}")
        for number in numbers
    ]


def said(lake: AuditLake, **options: Any) -> list[tuple[bytes, bytes]]:
    """Return the JSON and the page of every report."""
    return [(each.json(), each.html()) for each in lake.reports(**options)]


def names(lake: AuditLake) -> bytes:
    """Return all that is remembered."""
    return b"".join(path.read_bytes() for path in sorted(lake.layout.remembered.glob("*.json")))


def _now(lake: AuditLake) -> tuple[int, files.DayFiles]:
    return lake.snapshot().version, files.DayFiles(lake.snapshot())


def run(lake: AuditLake, clock: Clock, steps: Sequence[Step]) -> None:
    """Take steps, and compare the reports after each."""
    as_of = NOW
    for step, what in steps:
        if step == "ingest":
            bring(lake, events(what), "more.jsonl")
        elif step == "days":
            clock.move(f"{int(24 * what)}h")
            as_of = clock()
        elif step == "compact":
            lake.compact(grace_seconds=0)
        elif step == "apply":
            lake.retention.apply(accept_weaker="a test")
        elif step == "erase":
            lake.retention.erase(what, reason="r", ticket="t")
            assert what.encode() not in names(lake)
        elif step == "policy":
            put_policies(
                lake, {**POLICIES, "users": POLICIES["users"].replace("alert_threshold: 1", f"alert_threshold: {what}")}
            )
        elif step == "damage":
            for path in sorted(lake.layout.remembered.glob("*.json"))[:2]:
                content = bytearray(path.read_bytes())
                content[what % len(content)] ^= 1
                path.write_bytes(content)
        else:
            as_of = clock() - what * DAY
        assert said(lake, as_of=as_of) == said(lake, as_of=as_of, cache=False), steps


def lived(folder: Path) -> tuple[AuditLake, Clock]:
    """Return a lake with some events that has reported once."""
    clock = Clock(NOW)
    return AuditLake(copy_of(_reported, folder) / "lake", clock=clock), clock


def _reported(folder: Path) -> None:
    lake = graced(made(folder / "lake", POLICIES, Clock(NOW)), "0h")
    lake.retention.apply(accept_weaker="a lake of tests")
    bring(lake, events(range(24)))
    lake.reports()


@settings(max_examples=1, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(STEPS)
def test_reports_do_not_depend_on_it(steps: list[Step]) -> None:
    """Whatever comes late, goes, is rewritten, changed or damaged: the bytes are those of a report without memory."""
    with tempfile.TemporaryDirectory() as folder:
        run(*lived(Path(folder)), steps)


@pytest.mark.soak
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(STEPS)
def test_of_many_histories(steps: list[Step]) -> None:
    """The same of many."""
    with tempfile.TemporaryDirectory() as folder:
        run(*lived(Path(folder)), steps)


def test_a_report_reads_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was reported is not read again: of a year with one new day, two days' files are opened."""
    lake, _ = lived(tmp_path)
    lake.reports(as_of="2026-03-31")
    read: list[str] = []
    monkeypatch.setattr("auditlake.remembered.memory.file_paths", lambda layout, found: read.extend(
        str(file.day) for file in found) or [layout.events / file.path for file in found])  # fmt: skip
    lake.reports(as_of="2026-03-31")
    assert not read
    bring(lake, [record(100, NOW - 3 * DAY)], "late.jsonl")
    lake.reports("users", as_of="2026-03-31")
    late = (NOW - 3 * DAY).date()
    assert set(read) <= {str(late + n * timedelta(days=1)) for n in (-2, -1, 0, 1, 2)}
    assert str(late) in read


def test_names_go_in_the_same_deed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An erasure removes a name from memory before there is a certificate, even if its writer died after the commit."""
    lake, _ = lived(tmp_path)
    assert b"user 0" in names(lake)

    def dead(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("auditlake.retention.cleanup.forget", dead)
        lake.retention.erase("user 0", reason="r", ticket="t")
    assert not list(lake.layout.certificates.glob("*erasure*"))
    lake.retention.apply()
    assert b"user 0" not in names(lake)
    assert b"user 1" in names(lake), "what was made of other files stays"


def test_a_report_under_way_remembers_nothing_of_what_is_gone(tmp_path: Path) -> None:
    """A report that read an older snapshot than the newest one writes nothing down, and one that opened the newest one
    before the deletion had forgotten writes nothing of what it read.
    """
    lake, _ = lived(tmp_path)
    before = {path.name: path.read_bytes() for path in lake.layout.remembered.glob("*.json")}
    then = lake.snapshot()
    kept = files.read(lake.layout, "users")
    lake.retention.erase("user 0", reason="r", ticket="t")
    files.write(lake.layout, {"users": kept}, then.version, files.DayFiles(then), POLICIES, 10**9)
    assert b"user 0" not in names(lake)
    now = lake.snapshot()
    files.write(lake.layout, {"users": kept}, now.version, files.DayFiles(now), POLICIES, 10**9)
    assert b"user 0" not in names(lake)
    assert b"user 1" in names(lake)
    assert before.keys() >= {path.name for path in lake.layout.remembered.glob("*.json")}


def test_a_decision_is_no_change(tmp_path: Path) -> None:
    """A report that was made after a commit which only holds an entry of the ledger is remembered."""
    lake, _ = lived(tmp_path)
    lake.ledger.upgrade()
    for path in lake.layout.remembered.glob("*.json"):
        path.unlink()
    lake.reports()
    assert b"user 0" in names(lake)


def test_a_damaged_file_is_not_believed(tmp_path: Path) -> None:
    """Any changed byte makes a file none."""
    lake, _ = lived(tmp_path)
    path = lake.layout.remembered / "users.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert files.read(lake.layout, "users").is_empty


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _added_to(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


def _signed(content: bytes) -> Callable[[Path], None]:
    return lambda path: _put(path, hashlib.sha256(content).hexdigest().encode() + b"\n" + content)


def _put(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def _of_another_policy(path: Path) -> None:
    path.write_bytes((path.parent / "users.json").read_bytes())


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link(path: Path) -> None:
    path.rename(path.with_suffix(".away"))
    path.symlink_to(path.with_suffix(".away"))


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _unreadable(path: Path) -> None:
    path.write_bytes(b"\xff" * 200)


DAMAGE: Sequence[Callable[[Path], None]] = (
    Path.unlink, lambda path: _put(path, b""), _cut, _added_to, _unreadable, _of_another_policy, _folder, _pipe, _link,
    *map(_signed, (b"", b"nothing", b"[]", b"null", b'{"episodes_by_day":7}', b'{"episodes_by_day":["d",{"1":[1]}]}')),
)  # fmt: skip


@pytest.mark.parametrize("step", mostly([1, len(POLICIES) + 1], always=[len(POLICIES) + 1]))
def test_any_damage(step: int, tmp_path: Path) -> None:
    """Whatever befalls a file, and whatever lies in its place, reports are those without memory: each damage befalls
    one of the files, and every one of them.
    """
    lake, _ = lived(tmp_path)
    plain = said(lake, cache=False)
    whole = {path: path.read_bytes() for path in sorted(lake.layout.remembered.glob("*.json"))}
    assert len(whole) == len(POLICIES) + 1
    for first in range(0, len(DAMAGE), step):
        for path, content in whole.items():
            if path.is_dir():
                path.rmdir()
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        done = [DAMAGE[(first + place) % len(DAMAGE)] for place in range(len(whole))]
        for path, damage in zip(whole, done, strict=True):
            damage(path)
        assert said(lake) == plain, done


def test_a_deletion_while_a_report_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A deletion between reading and remembering leaves nothing of what it took, and later reports are right."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100, NOW - DAY, user_id="user 0")], "late.jsonl")
    writes = files.write

    def overtaken(*arguments: Any) -> None:
        if not list(lake.layout.certificates.glob("*erasure*")):
            lake.retention.erase("user 0", reason="r", ticket="t")
        writes(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr("auditlake.remembered.memory.write", overtaken)
        lake.reports(pages=False)
    assert b"user 0" not in names(lake)
    assert said(lake) == said(lake, cache=False)
    assert b"user 0" not in names(lake)


def test_two_processes_at_once(tmp_path: Path) -> None:
    """Two processes that report at once say the same as one without memory, and what they leave is sound."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100 + number, NOW - number * DAY) for number in range(9)], "late.jsonl")
    code = f"""
import auditlake, hashlib, sys
lake = auditlake.open({str(lake.layout.root)!r})
for _ in range(2):
    made = lake.reports(as_of={NOW.isoformat()!r})
    print(hashlib.sha256(b"".join(each.json() for each in made)).hexdigest())
"""
    command = [sys.executable, "-c", code]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    told = {line for each in both for line in each.communicate()[0].split()}
    plain = b"".join(each.json() for each in lake.reports(as_of=NOW, cache=False))
    assert told == {hashlib.sha256(plain).hexdigest()}
    assert said(lake, as_of=NOW) == said(lake, as_of=NOW, cache=False)


@pytest.mark.parametrize("odd", [None, {"episodes_by_day": [[1]]}])
def test_odd_content_is_no_answer(odd: Any, tmp_path: Path) -> None:
    """Whatever a hand put into a file under its right digest, reports are made, and a deletion is not in its way."""
    lake, _ = lived(tmp_path)
    for path in lake.layout.remembered.glob("*.json"):
        questions = json.loads(path.read_bytes().split(b"\n", 1)[1])
        for _, entries in questions.values():
            for entry in entries.values():
                entry[3] = odd
        content = json.dumps(questions).encode()
        path.write_bytes(hashlib.sha256(content).hexdigest().encode() + b"\n" + content)
    assert [each.report.error for each in lake.reports()] == [None] * len(POLICIES)
    path.write_bytes(path.read_bytes().replace(b'"', b"'"))
    (lake.layout.remembered / "folder.json").mkdir()
    lake.retention.erase("user 0", reason="r", ticket="t")
    assert b"user 0" not in names(lake)


def _crafted(whole: bytes, query: str, change: Callable[[Any], Any]) -> bytes:
    """Return a file with other answers to a query, under its right digest."""
    questions = json.loads(whole.split(b"\n", 1)[1])
    for entry in questions[query][1].values():
        entry[3] = change(entry[3])
    content = json.dumps(questions).encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content


ODD_EPISODES = ((0, 5), (0, []), (0, [5]), (0, ["a", "b"]), (1, 10**18), (2, 10**18), (4, 1e400))
ODD_SAMPLES = (
    5, [1], [[1]], ["texttexts"], [[{"at": 10**18}, *"12345678"]], [[{"at": 1}, *"123"]], [[{"at": 1}, *range(8)]],
)  # fmt: skip


@pytest.mark.parametrize("step", mostly([1, 3], always=[3]))
def test_odd_entries_are_no_answer(step: int, tmp_path: Path) -> None:
    """An episode of another group, or at an instant that no clock shows, makes its policy be asked anew; samples that
    are no events are asked for as if there were none, and remembered.
    """
    lake, _ = lived(tmp_path)
    put_policies(lake, {"users": POLICIES["users"]})
    plain = said(lake, cache=False)
    said(lake)
    path = lake.layout.remembered / "users.json"
    whole = path.read_bytes()
    for place, odd in ODD_EPISODES[::step]:

        def change(answer: Any, place: int = place, odd: Any = odd) -> Any:
            return answer | {
                "episodes_by_day": [[*row[:place], odd, *row[place + 1 :]] for row in answer["episodes_by_day"]]
            }

        path.write_bytes(_crafted(whole, "episodes_by_day", change))
        assert said(lake) == plain, (place, odd)
    for odd in ODD_SAMPLES[::step]:
        path.write_bytes(_crafted(whole, "samples", lambda _, odd=odd: odd))  # type: ignore[misc]
        assert said(lake) == plain, odd
        assert path.read_bytes() == whole, odd


def test_files_of_another_program_are_not_remembered(tmp_path: Path) -> None:
    """They may have events of other days: a lake that has one remembers nothing."""
    lake, _ = lived(tmp_path)
    add(lake, (NOW - 9 * DAY).date(), ("other", "login", NOW - DAY), stats=1)
    assert said(lake) == said(lake, cache=False)


def test_days_of_another_program_that_were_rewritten(tmp_path: Path) -> None:
    """Once a compaction has rewritten the file of another program, its instants in INT96, its day is remembered."""
    lake, _ = lived(tmp_path)
    when = NOW - 3 * DAY
    add(lake, when.date(), ("spark", "login", when), stats=1, int96=True)
    bring(lake, [record(100, when)], "late.jsonl")
    before = names(lake)
    assert said(lake) == said(lake, cache=False)
    assert names(lake) == before
    lake.compact(grace_seconds=0)
    for _ in range(2):
        assert said(lake) == said(lake, cache=False)
    assert names(lake) != before


def test_it_is_bounded_and_left_out_of_backups(tmp_path: Path) -> None:
    """What has no room is not kept; files of policies that are gone go; a copy of the lake has none."""
    lake, _ = lived(tmp_path)
    lake.backup(tmp_path / "copy")
    assert not (tmp_path / "copy" / ".remembered").exists()
    put_policies(lake, {"all": POLICIES["all"]})
    bring(lake, [record(100, NOW - DAY, "logout")], "late.jsonl")
    lake.reports()
    assert {path.stem for path in lake.layout.remembered.glob("*.json")} == {"all", files.OF_ALL}
    files.write(lake.layout, {"all": files.read(lake.layout, "all")}, *_now(lake), ["all"], 10)
    unset = files.read(lake.layout, "all")
    assert not unset.is_empty, "what was there stays"


def test_another_process_is_not_waited_for(tmp_path: Path) -> None:
    """Where another process writes its memory, a report leaves it alone and is made all the same."""
    lake, _ = lived(tmp_path)
    bring(lake, [record(100, NOW - DAY)], "late.jsonl")
    before = names(lake)
    with exclusive(lake.layout.remembered_lock, wait_seconds=0):
        assert said(lake) == said(lake, cache=False)
    assert names(lake) == before


def test_no_memory_is_asked_for(tmp_path: Path) -> None:
    """A report without memory neither reads nor writes it."""
    lake, _ = lived(tmp_path)
    for path in lake.layout.remembered.glob("*"):
        path.unlink()
    lake.reports(cache=False)
    lake.evidence("users", tmp_path / "pack.zip")
    assert not list(lake.layout.remembered.glob("*"))
    forget(lake.layout, lake.snapshot())


def test_days_with_very_many_episodes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy that finds far too much of a day is asked as if nothing were remembered, and that is remembered."""
    text = "name: n\ndescription: d\nrequired_events: [login]\nwindow: 1h\nalert_threshold: 1\n"
    with temporary_lake(policies={"many": text, "few": text.replace("window: 1h", "window: 24h")}) as lake:
        lake.ingest(testing.events("login", "2026-03-25T09:00:00Z", count=60, every="2h"))
        monkeypatch.setattr(memory, "MOST_PIECES", 5)
        monkeypatch.setattr(few_days, "MOST_EVENTS", -1)  # no stretch has few
        asked: list[str] = []

        ask = LakeMemory._ask

        def of_policies(self: LakeMemory, since: int, until: int, asks: Any) -> None:
            asked.extend(each.policy.id for each in asks if each.policy is not None)
            ask(self, since, until, asks)

        monkeypatch.setattr(LakeMemory, "_ask", of_policies)
        for times in (["few", "many"], []):
            with_it, without = (
                [each.json() for each in lake.reports(as_of="2026-03-31T23:59:59.999999Z", last="7d", cache=cache)]
                for cache in (True, False)
            )
            assert with_it == without
            assert sorted(set(asked)) == times
            asked.clear()
        assert len(json.loads(without[1])["violations"]) == 60


@pytest.mark.parametrize("in_tables", mostly([False, True], always=[True]))
def test_the_neighbours_of_a_heavy_day_are_remembered(monkeypatch: pytest.MonkeyPatch, in_tables: bool) -> None:
    """A day of too many episodes is asked about anew, and no other one, in whatever form its rows come."""
    plain = "name: n\ndescription: d\nrequired_events: [login]\nwindow: 1min\n"
    policies = {"plain": f"{plain}alert_threshold: 1\n", "chain": f"{plain}sequence: [{{where: 'true'}}]\n"}
    with temporary_lake(policies=policies) as lake:
        lake.ingest(testing.events("login", "2026-03-25T09:00:00Z", count=7, every="24h"))
        lake.ingest(testing.events("login", "2026-03-27T10:00:00Z", count=9, every="10min"))
        monkeypatch.setattr(memory, "MOST_PIECES", 5)
        if in_tables:
            monkeypatch.setattr("auditlake.engine.duck.MANY", 1)
        for days, until in (("7d", "2026-03-31"), ("4d", "2026-03-31"), ("2d", "2026-03-26")):
            as_of = f"{until}T23:59:59.999999Z"
            made, plain_ones = (lake.reports(as_of=as_of, last=days, cache=cache) for cache in (True, False))
            assert [each.json() for each in made] == [each.json() for each in plain_ones]
        for name in policies:
            entries = json.loads((lake.layout.remembered / f"{name}.json").read_bytes().split(b"\n", 1)[1])
            kept = {int(day) - 20_537: entry[3] is not None for day, entry in entries["episodes_by_day"][1].items()}
            assert kept == {day: day != 2 for day in range(7)}, name


def test_nothing_is_asked_about_silent_days(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That a policy has no events is known from the types of each day: no statement is written for it."""
    lake, _ = lived(tmp_path)
    rare = POLICIES["users"].replace("[login, logout]", "[data_breach]").replace("where: user_id <> 'user 9'\n", "")
    put_policies(lake, {"rare": rare, "all": rare.replace("group_by: [user_id]\n", "")})
    plain = said(lake, cache=False)
    with monkeypatch.context() as patch:
        patch.setattr("auditlake.remembered.memory.compile_by_day", None)
        patch.setattr("auditlake.remembered.memory.counted_together", None)
        assert said(lake) == plain
    assert said(lake) == plain, "and it is remembered"
    bring(lake, [record(100, NOW - 3 * DAY, "data_breach")], "rare.jsonl")
    assert said(lake) == said(lake, cache=False) != plain


def test_a_run_without_packs_counts_nothing_for_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a lake has no packs, a run makes the reports that days alone give."""
    lake, _ = lived(tmp_path)
    plain = [each.json() for each in lake.reports(cache=False)]
    monkeypatch.setattr("auditlake.frameworks.run.shared", None)
    with lake.frameworks.judged([], []) as made:
        assert ([each.json() for each in made.judged.reports], made.frameworks) == (plain, ())


@pytest.mark.parametrize("types", ["[login, logout]", "[data_breach]"], ids=["events", "silent"])
@pytest.mark.parametrize("keys", [
    "where: details ->> '$..a' = 'x'", "scope: details ->> '$..a' = 'x'", "group_by: [\"details ->> '$..a'\"]",
    "distinct: details ->> '$..a'",
])  # fmt: skip
def test_what_cannot_be_carried_is_told_alike(keys: str, types: str, tmp_path: Path) -> None:
    """A policy whose condition or value cannot be written into a query says so, and no other policy is harmed."""
    lake, _ = lived(tmp_path)
    odd = POLICIES["users"].replace("[login, logout]", types).replace("where: user_id <> 'user 9'\n", "")
    if keys.startswith("group_by"):
        odd = odd.replace("group_by: [user_id]\n", "")
    lake.layout.policies.joinpath("odd.yaml").write_text(odd.lstrip() + keys + "\n")

    reports = {each.policy_id: each for each in lake.reports()}
    plain = {each.policy_id: each for each in lake.reports(cache=False)}
    assert {name: each.json() for name, each in reports.items()} == {name: each.json() for name, each in plain.items()}
    counted, anew = lake.statistics(), lake.statistics(cache=False)
    assert counted == anew
    (status,) = (each.status for each in counted.policies if each.policy_id == "odd")
    assert (reports["odd"].status, status) == ("error", "error")
    assert reports["users"].status != "error"
