"""What other thresholds and windows of a policy would have given: counts of episodes, to choose by eye."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from auditlake.context import LakeContext
from auditlake.display.cards import Card, CardFact, Shown, cells
from auditlake.display.text import count, moment, spelled
from auditlake.engine.model import Engine
from auditlake.errors import PolicyError
from auditlake.events.durations import Duration, parse_duration
from auditlake.events.times import judged_as_of
from auditlake.packs.effective import named_policies
from auditlake.policies import evaluate, kinds
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, question
from auditlake.policies.request import PeriodOptions, ReportRequest
from auditlake.query.view import judging_engine

if TYPE_CHECKING:
    import altair as alt
    import polars as pl

_MOST = 10_000
_SHOWN = 50
_LARGEST = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Tried:
    """One threshold in one window, and what it would have given."""

    window: str
    """The window's length as it was written."""
    threshold: int
    episodes: int
    """Findings of kind threshold_exceeded that a report over the period would have."""


@dataclass(frozen=True, slots=True)
class Backtest(Shown):
    """How many episodes each threshold of each window would have given."""

    policy: Policy
    """The policy as it is; its own threshold and window, if it has them, are what the others are compared with."""
    as_of: datetime
    since: datetime
    until: datetime
    snapshot: int
    tried: tuple[Tried, ...]
    """By window in the order asked for, then by threshold."""

    @property
    def windows(self) -> tuple[str, ...]:
        """The windows, in the order asked for."""
        return tuple(dict.fromkeys(each.window for each in self.tried))

    def episodes(self, threshold: int, window: str | None = None) -> int:
        """Return the episodes of one threshold and window; of the first window if None.

        Raises:
            KeyError: It was not tried.
        """
        rows = {row[0]: row[1:] for row in table_of(self)}
        return dict(zip(self.windows, rows[threshold], strict=True))[self.windows[0] if window is None else window]

    def pl(self) -> pl.DataFrame:
        """One row for each: window, threshold, episodes."""
        import polars as pl

        return pl.DataFrame(self.tried, {"window": pl.String, "threshold": pl.Int64, "episodes": pl.Int64})

    def chart(self) -> alt.LayerChart:
        """Episodes over thresholds, one line a window, and where the policy stands.

        Raises:
            ReportError: Altair is not installed.
        """
        from auditlake.reports.notebook_charts import backtest_chart

        return backtest_chart(self.policy, list(map(asdict, self.tried)), self.since, self.until)

    def _card(self) -> Card:
        table = table_of(self)
        return Card(
            kind="backtest",
            title=self.policy.id,
            facts=(
                CardFact("period", f"{moment(self.since)} to {moment(self.until)}"),
                CardFact("now", _now(self.policy)),
                CardFact("snapshot", str(self.snapshot)),
            ),
            headings=("threshold", *(f"episodes, {window}" for window in self.windows)),
            rows=cells(table[:_SHOWN]),
            note=f"the first {_SHOWN} of {count(len(table), 'threshold')}; .pl() gives all"
            if len(table) > _SHOWN
            else "",
        )


def table_of(tested: Backtest) -> list[list[int]]:
    """Return a row for each threshold: itself, and its episodes in each window."""
    episodes = {(each.window, each.threshold): each.episodes for each in tested.tried}
    thresholds = dict.fromkeys(each.threshold for each in tested.tried)
    return [[each, *(episodes[window, each] for window in tested.windows)] for each in thresholds]


def _now(policy: Policy) -> str:
    if policy.alert_threshold is None:
        return "no threshold"
    return f"{policy.alert_threshold:,} within {spelled(str(policy.window))}"


def backtest_lake(
    context: LakeContext,
    policy: str | Path | Policy,
    thresholds: Iterable[int],
    windows: Sequence[str] | None,
    **options: Unpack[PeriodOptions],
) -> Backtest:
    """Try thresholds and windows on a lake; see :meth:`auditlake.AuditLake.backtest`."""
    if not isinstance(policy, Policy):
        (policy,) = named_policies(context.layout, context.config.event_types, [str(policy)])
    request = ReportRequest(**options)
    instant = judged_as_of(request.as_of, context.now)
    with judging_engine(context, request.snapshot) as (engine, snapshot):
        asked = question(policy, request, instant, context.config.report_period)
        return backtest(engine, policy, asked, snapshot.version, thresholds=thresholds, windows=windows)


def backtest(
    engine: Engine,
    policy: Policy,
    asked: Question,
    snapshot: int,
    *,
    thresholds: Iterable[int],
    windows: Sequence[str] | None,
) -> Backtest:
    """Ask the ``events`` of an engine; the changes of a window are made once for all thresholds.

    Args:
        engine: The engine, with those of the snapshot.
        policy: Whose events, condition and groups are taken.
        asked: The period.
        snapshot: What they are.
        thresholds: Whole numbers from 1 on.
        windows: Lengths such as ``1h``; the policy's own if None.

    Raises:
        PolicyError: A threshold or a window makes no sense.
    """
    wanted, lengths = _thresholds(thresholds), _windows(policy, windows)
    counts = evaluate.backtest(engine, [(replace(policy, window=length), asked) for length in lengths], wanted)
    tried = tuple(
        Tried(str(length), threshold, episodes)
        for length, rows in zip(lengths, counts, strict=True)
        for threshold, episodes in rows
    )
    return Backtest(policy, asked.as_of, asked.since, asked.until, snapshot, tried)


def _thresholds(thresholds: Any) -> list[int]:
    several = isinstance(thresholds, Iterable) and not isinstance(thresholds, str | bytes)
    wanted: list[Any] = list(islice(thresholds, _MOST + 1)) if several else [thresholds]
    for each in wanted:
        if not isinstance(each, int) or isinstance(each, bool) or not 1 <= each <= _LARGEST:
            raise PolicyError(f"thresholds: expected whole numbers from 1 on, got {each!r}"[:200])
    if not 1 <= len(wanted) <= _MOST:
        got = "more" if wanted else "none"
        raise PolicyError(f"thresholds: expected from 1 to {_MOST:,} of them, got {got}")
    return sorted(set(wanted))


def _windows(policy: Policy, windows: Sequence[str] | None) -> list[Duration]:
    if windows is None:
        return [policy.window]
    if not kinds.measure_of(policy).has_windows:
        raise PolicyError(f"windows: a {policy.measure} has no window to try others", hint="leave it out")
    names = [windows] if isinstance(windows, str) else list(dict.fromkeys(windows))
    try:
        lengths = [parse_duration(name, "window") for name in names]
    except (ValueError, TypeError) as error:
        raise PolicyError(f"windows: {error}") from error
    if not lengths:
        raise PolicyError("windows: expected at least one, e.g. 24h", hint="leave it out for the policy's own")
    return lengths
