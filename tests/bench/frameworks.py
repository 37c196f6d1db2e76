"""Frameworks: the one scan for all packs, what policies ask alike, and two packs judged beside their own policies.

The rival of the scan is what one would write by hand, with the words for nothing compared on every row. That of what
policies ask alike is each policy by itself, in processor time. That of the two packs is each by itself, on a
lake of which no counts are kept; the scan that answers policies and packs together counts as the packs'.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from tests.bench.data import AS_OF, SINCE, Place
from tests.bench.work import Work

if TYPE_CHECKING:
    from auditlake.packs.effective import LakePacks

TWO = ("eu-ai-act", "pci-dss-4")
FEWEST = 5
"""From how many policies on they are judged together, as by default."""


@dataclass(frozen=True, slots=True)
class Timed:
    """What a side found, and how long it took without what is not to count."""

    seconds: float
    found: Any


def facts() -> dict[str, Work]:
    """Counts by type, source, day and filled columns, for all packs that ship."""
    return {
        "ours": Work(_facts, lambda made: made.found, lambda made: made.seconds),
        "by hand": Work(_by_hand, lambda made: made.found, lambda made: made.seconds),
    }


def alike() -> dict[str, Work]:
    """The questions of the policies of two packs, in processor time."""
    return {
        name: Work(partial(_asked, fewest=fewest), lambda made: made.found, lambda made: made.seconds)
        for name, fewest in (("ours", FEWEST), ("each by itself", 1_000))
    }


def statistics() -> dict[str, Work]:
    """What ``auditlake stats`` asks, in processor time, once data files were counted and days are remembered."""
    return {
        name: Work(partial(_statistics, cache=cache), lambda made: made.found, lambda made: made.seconds)
        for name, cache in (("ours", True), ("counted anew", False))
    }


def judged() -> dict[str, Work]:
    """Two packs; what their policies' statements and reports take is not counted."""
    return {
        "ours": Work(_together, lambda made: made.found, lambda made: made.seconds),
        "a pack at a time": Work(_one_by_one, lambda made: made.found, lambda made: made.seconds),
    }


def judged_again() -> dict[str, Work]:
    """The same on a lake of which a first report has kept the counts."""
    return {
        "ours": Work(partial(_together, again=True), lambda made: made.found, lambda made: made.seconds),
        "no counts kept": Work(_together, lambda made: made.found, lambda made: made.seconds),
    }


def _packs(names: Sequence[str] | None = None) -> LakePacks:
    from auditlake.events.schema import BUILT_IN_TYPES
    from auditlake.packs.effective import SHIPPED, read_packs

    files = {each.stem: each.read_bytes() for each in sorted(SHIPPED.glob("*.yaml"))}
    chosen = names or [*files]
    lines = {
        name: next(line for line in files[name].decode().splitlines() if line.startswith("revision: "))
        for name in chosen
    }
    settings = "packs:\n" + "".join(f"  {name}: {{{line}}}\n" for name, line in lines.items())
    return read_packs(files, settings.encode(), BUILT_IN_TYPES)


@contextmanager
def _reading(place: Place) -> Iterator[Any]:
    import auditlake
    from auditlake.frameworks.lake_facts import Reading
    from auditlake.policies.question import Question
    from auditlake.query.view import judging_engine
    from auditlake.summaries.lake import lake_summaries

    shutil.rmtree(place.lake / ".summaries", ignore_errors=True)
    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    with judging_engine(lake._context, lake.snapshot().version) as (engine, snapshot):
        counts, question = lake_summaries(lake._context, engine, snapshot), Question(AS_OF, SINCE, AS_OF)
        yield Reading(lake._context, engine, snapshot, question, summaries=counts), engine.connection


def _facts(place: Place, _: Path) -> Timed:
    import sqlglot  # noqa: F401 - the policies that come before need it, too

    from auditlake.frameworks.lake_facts import asked_by

    asked = asked_by(_packs().packs.values())
    with _reading(place) as (reading, _):
        began = time.perf_counter()
        found = reading.facts(replace(asked, within=(), ahead=(), limits={}))
        seconds = time.perf_counter() - began
    return Timed(seconds, sorted((each.event_type, each.source, str(each.day), each.events, each.filled)
                                 for each in found.counts))  # fmt: skip


def _by_hand(place: Place, _: Path) -> Timed:
    from auditlake.frameworks.lake_facts import asked_by

    columns = asked_by(_packs().packs.values()).columns
    nothing = "('', '-', 'unknown', 'n/a', 'none', 'null')"
    counts = ", ".join(
        f"count(*) filter (day is not null and lower(trim({name}, e' \\t\\n\\r\\f\\x0b')) not in {nothing})"
        for name in columns
    )
    with _reading(place) as (_, connection):
        began = time.perf_counter()
        rows = connection.execute(
            f"""select event_type, source, cast(day as varchar), count(*), {counts}
            from (select *, case when "timestamp" > $1 then cast("timestamp" as date) end as day from events)
            where "timestamp" <= $2 group by event_type, source, day""",
            [SINCE, AS_OF],
        ).fetchall()
        seconds = time.perf_counter() - began
    return Timed(seconds, sorted((kind, source, str(day), n, tuple(filled)) for kind, source, day, n, *filled in rows))


def _asked(place: Place, _: Path, fewest: int) -> Timed:
    from auditlake.policies.evaluate import evaluate
    from auditlake.policies.question import Question
    from auditlake.reports.build import build_report

    policies, question = _packs(TWO).policies(), Question(AS_OF, SINCE, AS_OF)
    with _reading(place) as (reading, _):
        began = time.process_time()
        answers = evaluate(
            reading._engine, [(each, question) for each in policies], policies, fewest=fewest, shares_engine=True
        )  # fmt: skip
        found = [build_report(each) for each in answers]
        return Timed(time.process_time() - began, found)


def _statistics(place: Place, _: Path, *, cache: bool) -> Timed:
    import auditlake

    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    lake.statistics(cache=cache)  # where there are none yet, this makes the counts
    began = time.process_time()
    found = lake.statistics(cache=cache)
    return Timed(time.process_time() - began, found)


def _together(place: Place, folder: Path, *, again: bool = False) -> Timed:
    made, *later = _judged(place, folder, [TWO, TWO] if again else [TWO])
    return later[0] if again else made


def _one_by_one(place: Place, folder: Path) -> Timed:
    made = list(_judged(place, folder, [(each,) for each in TWO]))
    return Timed(sum(each.seconds for each in made), [each for one in made for each in one.found])


def _judged(place: Place, folder: Path, groups: Sequence[Sequence[str]]) -> Iterator[Timed]:
    """Judge groups of packs one after the other on a lake that has no counts at first."""
    import auditlake
    from auditlake.frameworks.run import Where
    from auditlake.reports import evaluators, run
    from auditlake.reports.compliance import ComplianceReport

    packs, aside, policies = _packs(TWO), _Aside(), folder / "policies"
    policies.mkdir()
    for policy in packs.policies():
        (policies / f"{policy.id}.yaml").write_text(policy.text)
    shutil.rmtree(place.lake / ".summaries", ignore_errors=True)
    lake = auditlake.open(place.lake, clock=lambda: AS_OF)
    found = {}
    with (
        patch.object(evaluators, "evaluate", aside.each(evaluators.evaluate)),
        patch.object(run, "_report", aside.once(run._report)),
        patch.object(ComplianceReport, "json", aside.once(ComplianceReport.json)),
    ):  # fmt: skip
        for group in groups:
            aside.seconds, began = 0.0, time.perf_counter()
            with lake.frameworks.judged(
                (), group, only=True, where=Where(packs), as_of=AS_OF, since=SINCE, pages=False, policies=policies
            ) as made:
                found = sorted((each.pack_id, each.json()) for each in made.frameworks)
            yield Timed(time.perf_counter() - began - aside.seconds, found)


class _Aside:
    """Adds up what functions take that is not to count."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def once(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                self.seconds += time.perf_counter() - began

        return timed

    def each(self, function: Any) -> Any:
        def timed(*arguments: Any, **named: Any) -> Any:
            iterator = iter(function(*arguments, **named))
            while True:
                began = time.perf_counter()
                try:
                    item = next(iterator)
                except StopIteration:
                    return
                finally:
                    self.seconds += time.perf_counter() - began
                yield item

        return timed
