"""Text for people: sentences that fit their numbers, and a module that costs nothing to import."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import date, timedelta

import pytest

from auditlake.display import text
from auditlake.policies.kinds.coverage import CoverageAnswer
from auditlake.reports.model import Report
from auditlake.reports.sections.coverage import SHOWN_RANGES, gaps_words, silent_ranges, silent_words, types_words
from auditlake.reports.sections.episodes import episodes_words
from auditlake.reports.sections.retention import retention_words
from auditlake.reports.sentences import counted_words, now_words, verdict_words
from tests.reports import samples


def test_import_is_light() -> None:
    """The command line imports ``visible`` on every run, so no library comes with it."""
    code = (
        "import sys, auditlake.display.text;"
        "slow = {'jinja2', 'jsonschema_rs', 'duckdb', 'polars', 'pyarrow', 'numpy', 'deltalake', 'sqlglot'};"
        "print(sorted(slow & set(sys.modules)), 'auditlake.reports.page' in sys.modules)"
    )
    made = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert made.stdout == "[] False\n"


@pytest.mark.parametrize(
    ("stretch", "said"),
    [
        (timedelta(0), "0 s"),
        (timedelta(microseconds=250), "0.00025 s"),
        (timedelta(seconds=5, milliseconds=250), "5.25 s"),
        (timedelta(minutes=12), "12 min"),
        (timedelta(minutes=12, milliseconds=1), "12 min 0 s"),
        (timedelta(minutes=12, seconds=5), "12 min 5 s"),
        (timedelta(hours=1), "1 h"),
        (timedelta(hours=1, seconds=30), "1 h 0 min"),
        (timedelta(hours=23, minutes=59, seconds=59), "23 h 59 min"),
        (timedelta(days=1), "1 d"),
        (timedelta(hours=24, minutes=15), "24 h 15 min"),
        (timedelta(hours=27, minutes=45), "27 h 45 min"),
        (timedelta(days=2), "2 d"),
        (timedelta(days=2, minutes=15), "2 d 0 h"),
        (timedelta(days=3, hours=4, minutes=59), "3 d 4 h"),
        (timedelta(days=1200, hours=1), "1,200 d 1 h"),
    ],
)
def test_length(stretch: timedelta, said: str) -> None:
    """A length is said in its two largest units; the second is left out only where nothing is lost by that."""
    assert text.length(stretch) == said


def report(*types: str, where: str | None = None, least: int = 5, **threshold: object) -> Report:
    """A compliant report over some types, each of which was seen."""
    made, _ = samples.compliant()
    answer = replace(made.threshold, where=where, alert_threshold=least, **threshold)
    return replace(made, events_by_type=dict.fromkeys(types, 3), threshold=answer)


def test_counted() -> None:
    """What is counted is named where it has one name."""
    assert counted_words(report("auth_failure")) == ("Every auth_failure event counts; no condition narrows the count.")
    assert counted_words(report("a", "b", "c")) == (
        "Every event of the 3 required types counts; no condition narrows the count."
    )
    assert counted_words(report("a", where="true")) == ("Only governed events that match the policy's condition count.")


def test_verdict() -> None:
    """One of anything is not called many, and nothing is called missing that is not."""
    assert verdict_words(report("login", least=1, group_by=("user_id", "ip_address", "action"))) == (
        "No window of 24 hours contained 1 or more login events with the same user_id, ip_address and action, "
        "and no required event type is missing."
    )
    silent = replace(report("a", "b"), events_by_type={"a": 0, "b": 1})
    assert verdict_words(silent) == (
        "No window of 24 hours contained 5 or more governed events. "
        "The policy does not require every event type to appear."
    )
    one = replace(report("login", least=1, episodes=1), violations=samples.violation()[0].violations[-1:])
    assert verdict_words(replace(one, status="violation")) == (
        "The policy found 1 episode of at least 1 login event within 24 hours."
    )


def test_now() -> None:
    """A single event, and a window of one unit."""
    now = now_words(report("login", recent_events=1, window="1d"))
    assert now == "As of 2026-11-24 06:00:00 UTC the threshold is not reached. In the last day: 1 login event."
    grouped = now_words(report("login", recent_events=0, group_by=("user_id",)))
    assert grouped.endswith("not reached by any group. In the last 24 hours: 0 login events in all groups.")


def test_types() -> None:
    """One required type, several, and some that are absent."""
    seen = {
        "The required event type appeared in the period.": {"a": 1},
        "The required event type did not appear in the period.": {"a": 0},
        "All 2 required event types appeared in the period.": {"a": 1, "b": 2},
        "1 of 2 required event types did not appear in the period.": {"a": 1, "b": 0},
    }
    assert [types_words(replace(report("a"), events_by_type=counts)) for counts in seen.values()] == list(seen)


def test_gaps() -> None:
    """Not asked, none, one, many."""
    asked = replace(report("a"), coverage=CoverageAnswer("48h", ()))
    assert gaps_words(report("a"), 0) == "The policy sets no limit on gaps between events of a type."
    assert gaps_words(asked, 0) == "No gap in the events of a required type is longer than 48 hours."
    assert gaps_words(asked, 1) == "1 gap of more than 48 hours in the events of a required type."
    assert gaps_words(asked, 2) == "2 gaps of more than 48 hours in the events of a required type."


def test_silent_days() -> None:
    """None, one, many; before the first event; and in a period of one day."""
    _, detail = samples.compliant()
    days = detail.days
    detail = replace(detail, first_event_day=days[1])

    def said(*silent: date, of: tuple[date, ...] = days) -> str:
        made = replace(report("a"), coverage=CoverageAnswer(None, silent))
        return silent_words(made, replace(detail, days=of))

    assert said() == "No silent day: each of the 31 days of the period has a governed event."
    assert said(of=days[1:2]) == "No silent day: the one day of the period has a governed event."
    assert said(days[3]) == "1 of 31 days has no governed event."
    assert said(days[0]) == "1 of 31 days has no governed event; it lies before the lake's first event."
    assert said(days[0], days[3]) == (
        "2 of 31 days have no governed event; 1 of them lies before the lake's first event."
    )
    assert said(days[0], of=days[:1]) == "1 of 1 day has no governed event; it lies before the lake's first event."


def test_silent_ranges() -> None:
    """One stretch too many is one stretch."""
    every_other = [date(2026, 1, 1) + timedelta(days=2 * number) for number in range(SHOWN_RANGES + 1)]
    assert silent_ranges(every_other)[-1] == "and 1 more range, in the JSON report"


ELSEWHERE = "in the JSON report or the Parquet file beside it."


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (0, "No episode: the count never reached the threshold."),
        (1, "1 episode."),
        (2, "2 episodes, in order of time."),
        (201, f"The first 200 of 201 episodes, in order of time. The other one is {ELSEWHERE}"),
        (1200, f"The first 200 of 1,200 episodes, in order of time. The other 1,000 are {ELSEWHERE}"),
    ],
)
def test_episodes(number: int, said: str) -> None:
    """How many episodes there are and how many are shown."""
    assert episodes_words(number) == said


def test_retention() -> None:
    """One event, and many."""
    answer = replace(samples.compliant()[0].retention, due=1)
    assert retention_words(answer) == (
        "Governed events are kept for 90 days. 1 event is older than the cutoff: 1 due for deletion, "
        "0 kept for other policies, 0 under a legal hold."
    )
