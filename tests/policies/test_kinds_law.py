"""What the kinds of question find in SQL is what their definitions say in plain Python (kinds_oracle.py)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from auditlake.engine.duck import connect
from auditlake.engine.duck_engine import DuckEngine
from auditlake.findings.finding import Finding
from auditlake.policies.evaluate import Answers, backtest, episodes, evaluate
from auditlake.policies.loader import load_policy
from auditlake.policies.model import Policy
from auditlake.policies.question import Question
from auditlake.reports.build import build_report
from tests.policies import kinds_oracle
from tests.policies.baseline_oracle import Baseline, baseline
from tests.policies.kinds_cases import BASE, GOVERNED, HOUR, Case, case, instant, row, smallest
from tests.policies.kinds_oracle import Ask, Episode, Event, Number
from tests.soak import mostly

MEASURES = ("distinct", "sum", "average", "together", "sequence", "first_seen", "dormant",
            "baseline above", "baseline below")  # fmt: skip
COLUMNS = (
    "event_id", "event_type", "user_id", "ip_address", "source", "details", "action", "resource", "status",
    "session_id", "metadata",
)  # fmt: skip
THRESHOLDS = (1, 2, 3, 5)
TYPES = frozenset({*GOVERNED, "data_access"})


@pytest.fixture(scope="module")
def connection() -> Any:
    """One database for all cases."""
    with connect(threads=1) as connection:
        yield connection


@pytest.fixture(autouse=True)
def evidence_at_peaks(monkeypatch: pytest.MonkeyPatch) -> None:
    """A report shows what stands at the peak of an episode, where the oracle shows what stands at its start."""
    original = kinds_oracle.answer

    def answer(*args: Any, evidence: Any = lambda _: {}, **more: Any) -> Any:
        return original(*args, evidence=lambda episode: evidence(replace(episode, start=episode.peak_at)), **more)

    monkeypatch.setattr(kinds_oracle, "answer", answer)


@pytest.mark.parametrize("kind", MEASURES)
def test_sql_says_what_the_definition_says(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Episodes, peaks, evidence, daily peaks, the state of now, and what is left out; many ties, NULLs, cut periods.

    Every second policy is judged in the scan that many share.
    """
    lists = 6 if kind in ("sum", "average", "baseline above", "baseline below") else 20
    for seed in range(4):
        events = tuple(case(kind, seed + 100 * n).events for n in range(lists))
        _check(connection, Bundle(case(kind, seed), events, fewest=(5, 1)[seed % 2]))


@pytest.mark.soak
@pytest.mark.parametrize("kind", MEASURES)
def test_it_says_so_of_many(connection: duckdb.DuckDBPyConnection, kind: str) -> None:
    """The same of ten thousand lists of events."""
    for seed in range(1000, 1400):
        events = tuple(case(kind, seed + 1000 * n).events for n in range(25))
        _check(connection, Bundle(case(kind, seed), events, fewest=(5, 1)[seed % 2]))


@pytest.mark.parametrize("seeds", mostly([range(1), range(1, 40)], always=[range(1)]))
@pytest.mark.parametrize("kind", MEASURES)
def test_a_backtest_counts_the_episodes(connection: duckdb.DuckDBPyConnection, kind: str, seeds: range) -> None:
    """Each threshold gives as many episodes as a policy that has it."""
    for seed in seeds:
        asked = case(kind, seed)
        bundle = Bundle(asked, tuple(case(kind, seed + 1000 * n).events for n in range(6)))
        engine, policy, question = _given(connection, bundle)
        (tried,) = backtest(engine, [(policy, question)], THRESHOLDS)
        by_itself = [len(episodes(engine, replace(policy, alert_threshold=k), question)) for k in THRESHOLDS]
        assert tried == [*zip(THRESHOLDS, by_itself, strict=True)], asked.policy


def test_a_run_that_goes_on_from_since(connection: duckdb.DuckDBPyConnection) -> None:
    """The hour that ends with the beginning of the period is high, and so is the next: one run that began before."""
    counts, hours = (1, 1, 1, 4, 9), Baseline(HOUR, HOUR, 3, 2, Decimal(2))
    events = tuple(Event(BASE + h * HOUR + n + 5, f"{h} {n}") for h, number in enumerate(counts) for n in range(number))
    ask = Ask(BASE + 4 * HOUR, BASE + 6 * HOUR, HOUR)
    keys = {"bucket": "1h", "season": "1h", "seasons": 3, "at_least": 2, "ratio": 2}
    policy = {"required_events": [*GOVERNED], "coverage": "optional", "alert_threshold": 1, "group_by": []}
    policy |= {"baseline": keys}
    one = Case("baseline", events, policy, ask.since, ask.until, ask.until, lambda known: baseline(known, ask, hours))
    (episode,) = one.answer.episodes
    assert (episode.start, episode.started_before_period, episode.peak) == (ask.since, True, 9)
    _check(connection, Bundle(one, (events,)))


@dataclass(frozen=True)
class Bundle:
    """A question that is asked of several lists of events at once, each a session of its own: much cheaper."""

    asked: Case
    lists: tuple[tuple[Event, ...], ...]
    fewest: int = 5
    """From how many policies on they are judged in one scan: from one on it is that way, else it is by itself."""

    @property
    def policy(self) -> Policy:
        """The policy, which keeps the sessions apart."""
        keys = {"name": "n", "description": "d", **self.asked.policy}
        if "group_by" in keys:
            keys["group_by"] = ["session_id", *keys["group_by"]]
        for kind in ("first_seen", "dormant"):
            if kind in keys:
                keys[kind] = keys[kind] | {"entity": ["session_id", *keys[kind]["entity"]]}
        text = json.dumps(keys)  # which is YAML as well
        return load_policy(text, file="p.yaml", policy_id="p", event_types=TYPES)


def _check(connection: duckdb.DuckDBPyConnection, bundle: Bundle) -> None:
    found = _sql(connection, bundle)
    if found == defined(bundle):
        return
    for events in bundle.lists:  # one of them by itself, and of it what is needed
        one = replace(bundle.asked, events=events)
        if _differs(connection, bundle.fewest, one):
            least = smallest(one, partial(_differs, connection, bundle.fewest))
            alone = Bundle(least, (least.events,), bundle.fewest)
            assert _sql(connection, alone) == defined(alone), least.policy
    assert found == defined(bundle)


def _differs(connection: duckdb.DuckDBPyConnection, fewest: int, one: Case) -> bool:
    bundle = Bundle(one, (one.events,), fewest)
    return _sql(connection, bundle) != defined(bundle)


def _sql(connection: duckdb.DuckDBPyConnection, bundle: Bundle) -> dict[str, Any]:
    """Return what a report says."""
    engine, policy, question = _given(connection, bundle)
    (answers,) = evaluate(engine, [(policy, question)], [policy], fewest=bundle.fewest)
    return said(answers)


def said(answers: Answers) -> dict[str, Any]:
    """Return what a report says of answers."""
    policy, question, report = answers.policy, answers.question, build_report(answers)
    assert report.error is None
    assert report.threshold is not None
    answer = report.threshold
    return {
        "episodes": [_found(policy, each) for each in report.violations],
        "daily_peaks": [(f"{each.date}", each.peak) for each in answer.daily_peaks],
        "now": report.status_now == "violation" if question.until == question.as_of else None,
        "left out": (answer.ungrouped_events, answer.valueless_events, answer.unjudged),
    }


def _given(connection: duckdb.DuckDBPyConnection, bundle: Bundle) -> tuple[DuckEngine, Policy, Question]:
    """Return an engine with the events, the policy and the question."""
    rows = [row(e) | {"session_id": f"{n:02}"} for n, events in enumerate(bundle.lists) for e in events]
    table = {name: pa.array([each.get(name) for each in rows], pa.string()) for name in COLUMNS}
    table["timestamp"] = pa.array([each["timestamp"] for each in rows], pa.timestamp("us", tz="UTC"))
    connection.register("events", pa.table(table))
    instants = map(instant, (bundle.asked.as_of, bundle.asked.since, bundle.asked.until))
    return DuckEngine(connection), bundle.policy, Question(*instants)


def _found(policy: Policy, finding: Finding) -> dict[str, Any]:
    return {
        "group": tuple((finding.group or {}).values()), "start": finding.start, "end": finding.end,
        "flags": (finding.ongoing, finding.started_before_period), "peak": (finding.peak, finding.peak_at),
        "evidence": SHOWN.get(policy.measure, lambda _: {})(finding.evidence),
    }  # fmt: skip


def defined(bundle: Bundle) -> dict[str, Any]:
    """Return what the definitions say, in the same form."""
    asked, policy = bundle.asked, bundle.policy
    answers = [replace(asked, events=events).answer for events in bundle.lists]
    first = min((instant(e.at).date() for events in bundle.lists for e in events if e.at <= asked.as_of), default=None)
    least: list[Number] = [] if policy.measure == "average" else [0]
    days: dict[str, list[Number]] = {}
    for day, peak in (each for answer in answers for each in answer.daily_peaks):
        date = instant(day).date()
        known = first is not None and date >= first
        days.setdefault(f"{date}", [*least] if known else []).extend([peak] if known and peak is not None else [])
    episodes = [_defined(policy, each, f"{n:02}") for n, answer in enumerate(answers) for each in answer.episodes]
    return {
        "episodes": sorted(episodes, key=lambda each: (each["start"], json.dumps(dict(enumerate(each["group"]))))),
        "daily_peaks": [(date, max(map(rounded, peaks), default=None)) for date, peaks in days.items()],
        "now": any(each["end"] is None for each in episodes) if asked.until == asked.as_of else None,
        "left out": tuple(
            sum(getattr(a, name) for a in answers) for name in ("ungrouped_events", "valueless_events", "unjudged")
        ),
    }


def _defined(policy: Policy, episode: Episode, session: str) -> dict[str, Any]:
    return {
        "group": (session, *episode.group), "start": instant(episode.start),
        "end": None if episode.end is None else instant(episode.end),
        "flags": (episode.ongoing, episode.started_before_period),
        "peak": (rounded(episode.peak), instant(episode.peak_at)), "evidence": _evidence(policy, episode.evidence),
    }  # fmt: skip


def rounded(number: Number) -> Number:
    """Return a measure as it is shown: with six decimals at most, rounded half away from zero."""
    millionths, rest = divmod(abs(Fraction(number)) * 1_000_000, 1)
    shown = Fraction(int(millionths) + (rest >= Fraction(1, 2)), 1_000_000)
    return -shown if number < 0 else shown


def _evidence(policy: Policy, evidence: Mapping[str, Any]) -> Any:
    """Return what the definition names, as a finding shows it."""
    if "present" in evidence:
        return sorted(policy.more["together"][number].name for number in evidence["present"])
    if "usual" in evidence:
        return [evidence[name] for name in ("usual", "limit", "m")], list(evidence["past"])
    if "steps" in evidence:
        chain, instants = [], list(map(instant, evidence["steps"]))
        for step in policy.more["sequence"]:
            chain.append((instants[0], instants[step.count - 1], instants[: step.count]))
            del instants[: step.count]
        return chain, evidence["completions"]
    return (
        [
            tuple(
                None if value is None else value if isinstance(value, tuple) else instant(value)
                for value in astuple(each)
            )
            for each in evidence.get("new", evidence.get("awakenings", ()))
        ]
        if evidence
        else {}
    )


SHOWN: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "baseline": lambda evidence: ([evidence[name] for name in ("usual", "limit", "m")], evidence["past"]),
    "together": lambda evidence: sorted(each["step"] for each in evidence["steps"]),
    "sequence": lambda evidence: (
        [(each["first"], each["last"], each["instants"]) for each in evidence["steps"]], evidence["completions"],
    ),
    "first_seen": lambda evidence: sorted(
        (each["at"], tuple(each["entity"].values())[1:], tuple(each["value"].values()), each["last_seen"],
         each["known_since"]) for each in evidence["new"]
    ),
    "dormant": lambda evidence: sorted(
        (each["at"], tuple(each["entity"].values())[1:], each["silent_since"]) for each in evidence["awake"]
    ),
}  # fmt: skip
"""What a finding shows of its evidence, as the definitions name it."""
