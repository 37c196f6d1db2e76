"""The memory of a lake: what policies say of days is looked up, what is missing is asked, and both are put together.

The answer to a policy on a UTC day depends on the day's data files, on those of the days that its window reaches back
to, and on its statements. Missing days that follow one another are asked about at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property, partial
from typing import Any

import duckdb

from auditlake.disk.layout import Layout
from auditlake.engine.duck import may_use_numpy
from auditlake.engine.duck_engine import DuckEngine
from auditlake.engine.model import Row, StatementError, Summaries, Summary
from auditlake.engine.statements import statement
from auditlake.engine.timings import answered_by, stage
from auditlake.events.schema import COLUMNS
from auditlake.events.times import day_of, instant, micros
from auditlake.policies import merge
from auditlake.policies.compile import CompiledQuery, compile_by_day, moments_of, samples_again
from auditlake.policies.condition import ConditionError
from auditlake.policies.day_rows import day_and_rest, days_with_more, encoded, of_others
from auditlake.policies.days import DAY, Part, parts_of, pieces, stretches
from auditlake.policies.evaluate import Answers as PolicyAnswers
from auditlake.policies.evaluate import Known, Runner, Samples, sorted_by
from auditlake.policies.few_days import DAYS_AT_ONCE, counted_together, has_few, is_counted, keep_events
from auditlake.policies.holds import Hold
from auditlake.policies.kinds import expressions_of
from auditlake.policies.kinds.model import Inquiry
from auditlake.policies.kinds.retention_due import is_by_day
from auditlake.policies.kinds.threshold import group_values
from auditlake.policies.many_events import IN_ARRAYS, counted_by_day
from auditlake.policies.model import Policy
from auditlake.policies.question import Question, earlier
from auditlake.policies.sieve import Sieve, sieve
from auditlake.remembered.asks import EPISODES, FORM, Ask, asks_of, nothing
from auditlake.remembered.files import OF_ALL, DayFiles, Entries, Entry, Remembered, question_digest, read, write
from auditlake.store.file_types import type_names
from auditlake.store.model import Snapshot
from auditlake.store.narrowed import Chooser
from auditlake.store.snapshot import file_paths

_EVENTS, _TOTALS, _FIELDS, _SILENCES, _SAMPLES = (
    "events_by_day", "totals_by_day", "fields_by_day", "silences_by_day", "samples",
)  # fmt: skip
_COUNTING = {EPISODES, _TOTALS}
"""The queries that a policy's condition decides on."""
MOST_EVENTS = 30_000_000
"""About how many events a stretch of time has, at most, that policies are asked about at once, for want of memory."""
MOST_PIECES = 5_000
"""How many pieces of episodes a day may have to be remembered: many more are quicker found than read."""
_TOO_MANY = None
"""What is remembered of a day that has more: its policy is asked as any other."""
_BY_DAY = re.compile(r".*_by_day|daily_peaks|evidence_(carried|begun)")
"""The names of steps whose rows are about days."""
_ODD = (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)
"""What comes of an entry into which another program wrote anything."""
_Key = tuple[str, str]
"""The file and the query of an :class:`auditlake.remembered.asks.Ask`."""
_TEXTS = 8
"""How many columns of text a sample has behind its instant."""
_FILE = "policies/by_day.sql"
FEWEST = 200_000
"""From how many events on to look their counts up is quicker than to count them."""
_MANY = 8
"""Where one of so many files of the lake would be read, the log is asked which of them can matter."""


class LakeMemory:
    """What policies were found to say of the days of a lake.

    Args:
        layout: The lake.
        snapshot: The newest snapshot.
        engine: The engine beside which it opens one of its own.
        policies: Every policy of the lake.
        holds: Every legal hold of the lake.
        most: How many bytes may be remembered.
        summaries: Returns what counts the events of data files on an engine, where summaries of them are kept.
    """

    def __init__(
        self, layout: Layout, snapshot: Snapshot, engine: DuckEngine, policies: Sequence[Policy], holds: Sequence[Hold],
        most: int, summaries: Callable[[DuckEngine], Summaries] | None = None,
    ) -> None:  # fmt: skip
        self._layout = layout
        self._snapshot = snapshot
        self._files = DayFiles(snapshot)
        self._beside = engine
        self._policies = policies
        self._holds = holds
        self._most = most
        self._summaries_on = summaries
        self._summaries: Summaries | None = None
        self._of_all = Ask(None, _EVENTS, question_digest(FORM, statement(_FILE, _EVENTS).text), 0)
        self._read: dict[str, Remembered] = {}
        self._changed: set[str] = set()
        self._answers: dict[tuple[str, str], dict[Part, merge.Answer]] = {}
        self._opened: DuckEngine | None = None
        self._heard_of: dict[tuple[int, int], merge.Heard] = {}
        self._failed: set[str] = set()
        """Policies that cannot be asked by the day: they are asked as any other."""

    # What is asked

    @stage("remembering")
    def recall(self, asked: Sequence[tuple[Policy, Question]]) -> Mapping[str, Known]:
        """Return what is known of policies, by their ids; what was missing is known then, and remembered."""
        sound = [(policy, question) for policy, question in asked if policy.fault is None]
        asks = {policy.id: asks_of(policy) for policy, _ in sound}
        wanted: dict[_Key, tuple[Ask, set[Part]]] = {}
        for policy, question in sound:
            for ask, parts in self._wanted(policy, question, asks[policy.id]):
                wanted.setdefault((ask.file, ask.query), (ask, set()))[1].update(parts)
        of_all = [each for each in wanted.values() if each[0].policy is None]
        for some in (of_all, [each for each in wanted.values() if each not in of_all]):
            self._fill(some)
        known: dict[str, Known] = {}
        for policy, question in sound:
            if policy.id not in self._failed:
                # Another program may have written anything there: then the policy is asked as any other.
                with suppress(*_ODD):
                    known[policy.id] = self._known(policy, question, asks[policy.id])
        for policy_id in known:
            answered_by(policy_id, "remembered days")
        self._write()
        return known

    def _wanted(
        self, policy: Policy, question: Question, asks: Mapping[str, Ask]
    ) -> Iterator[tuple[Ask, Iterable[Part]]]:
        since, until, as_of = self._bounds(question)
        window = _window_start(policy, question)
        # The events of a day lie in its files.
        ever, period, recent, later = (
            [part for part in parts_of(*bounds) if part.day in self._files.days]
            for bounds in self._times(question, window)
        )
        yield self._of_all, (*ever, *period, *recent, *later)
        for name, ask in asks.items():
            if name == EPISODES:
                yield ask, parts_of(since, until)
            elif name == _SILENCES:
                yield ask, self._of_whole_days(since, as_of)
            else:
                is_now = name == _TOTALS and as_of == until
                # Totals are counted beside episodes, which may be on days without events.
                own = parts_of(since, until) if name == _TOTALS else period
                yield ask, (*own, *(recent if is_now else ()), *(later if is_now and policy.scope else ()))

    def _heard(self, bounds: tuple[int, int]) -> merge.Heard:
        """Return the events of all types in a stretch of time; several policies ask about the same."""
        if bounds not in self._heard_of:
            self._heard_of[bounds] = merge.Heard(self._of_period((OF_ALL, _EVENTS), *bounds))
        return self._heard_of[bounds]

    @cached_property
    def _heard_ever(self) -> merge.Heard:
        """The events of all types at all times; a day that is asked about in parts is there several times."""
        return merge.Heard([*self._answers[OF_ALL, _EVENTS].items()])

    def _times(self, question: Question, window: int) -> tuple[tuple[int, int], ...]:
        """Return the stretches of time of :class:`merge.Times`."""
        since, until, as_of = self._bounds(question)
        oldest, newest = min(self._files.days, default=0), max(self._files.days, default=0)
        return (oldest * DAY - 1, as_of), (since, until), (window, as_of), (as_of, newest * DAY + DAY - 1)

    def _bounds(self, question: Question) -> tuple[int, int, int]:
        """Return since, until and as_of; no day that ends before the first event has an answer of its own."""
        since, until, as_of = (micros(each) for each in (question.since, question.until, question.as_of))
        first = min(self._files.days, default=until // DAY)
        return max(since, min(first, until // DAY) * DAY - 1), until, as_of

    def _of_whole_days(self, since: int, until: int) -> list[Part]:
        return [part for part in parts_of((since + 1) // DAY * DAY - 1, until) if part.day in self._files.days]

    def _known(self, policy: Policy, question: Question, asks: Mapping[str, Ask]) -> Known:
        inquiry = Inquiry(
            policy, self._policies, question, tuple(h for h in self._holds if h.is_active(question.as_of))
        )
        since, until, as_of = self._bounds(question)
        window = _window_start(policy, question)
        times = merge.Times(*map(self._heard, self._times(question, window)))
        known: dict[str, Mapping[str, list[Row]]] = {}
        if policy.scope is None and (_SILENCES in asks or not policy.gap_rules):
            silences = None
            if _SILENCES in asks:
                whole = ((since + 1) // DAY * DAY - 1, as_of)
                silences = self._of_period((policy.id, _SILENCES), *whole)
            known["required_types"] = merge.required_types(times, inquiry, silences)
        if policy.retention_period is not None and is_by_day(inquiry):
            known["retention"] = merge.retention(times, inquiry)
        if _FIELDS in asks:
            known["field_counts"] = merge.fields(self._of_period((policy.id, _FIELDS), since, until))
        if EPISODES in asks:
            found = merge.episodes(policy, self._of_period((policy.id, EPISODES), since, until))
            for key, *_ in found["rolling_counts"]:
                if len(values := group_values(key)) != len(policy.group_by) or not _are_texts(values):
                    raise ValueError("no group")
            empty = range((micros(question.since) + 1) // DAY, (since + 1) // DAY)
            found["daily_peaks"] = [*((day, None) for day in empty), *found["daily_peaks"]]
            now = {"current_counts": found.pop("current_counts")}
            known["rolling_counts"] = found | (now if as_of == until else {})
            if as_of == until:
                _, *bounds = self._times(question, window)
                own = [self._of_period((policy.id, _TOTALS), *each) for each in bounds] if _TOTALS in asks else []
                totals = merge.totals(policy, times, own)
                known["threshold_totals"] = totals | now
        return known

    def _of_period(self, key: _Key, since: int, until: int) -> merge.Answers:
        """Return the answers of a period, in order; a day without files of which nothing is asked has none."""
        answers = self._answers.get(key, {})
        return [(part, answers[part]) for part in parts_of(since, until) if part in answers]

    # What is missing

    def missing(self, policy: Policy, question: Question) -> list[Part]:
        """Return the parts of a period of which it is not known what a policy says, in order."""
        return [part for part, entry in self._entries_of(policy, question) if entry is None]

    def finds_too_much(self, policy: Policy, question: Question) -> bool:
        """Return whether a policy is asked as any other since a day of a period has too many episodes."""
        found = self._entries_of(policy, question)
        return any(entry is not None and entry.answer is _TOO_MANY for _, entry in found)

    def _entries_of(self, policy: Policy, question: Question) -> Iterator[tuple[Part, Entry | None]]:
        ask = asks_of(policy).get(EPISODES) or self._of_all
        entries = self._entries(ask.file, ask.query, ask.digest)
        since, until, _ = self._bounds(question)
        parts = parts_of(since, until)
        return ((part, self._entry(ask, entries, part)) for part in parts)

    def _entry(self, ask: Ask, entries: Entries, part: Part) -> Entry | None:
        entry = entries.get(str(part.day)) if part.is_whole else None
        is_so = entry is not None and entry.key == self._files.key(ask.digest, ask.first(part), part.day)
        return entry if is_so else None

    def _fill(self, wanted: Iterable[tuple[Ask, set[Part]]]) -> None:
        """Look up what is wanted, and ask what is not there."""
        missing: dict[Part, list[Ask]] = {}
        for ask, parts in wanted:
            answers = self._answers.setdefault((ask.file, ask.query), {})
            entries = self._entries(ask.file, ask.query, ask.digest)
            for part in parts - answers.keys():
                if (entry := self._entry(ask, entries, part)) is not None:
                    answers[part] = {} if entry.answer is _TOO_MANY else entry.answer
                    if entry.answer is _TOO_MANY:
                        self._failed.add(ask.file)
            for stretch in stretches(parts - answers.keys(), ask.bridged):
                if self._is_silent(ask, stretch):
                    self._take(ask, *stretch, nothing(ask, stretch))
                    continue
                for piece in [stretch] if ask.policy is None else pieces(stretch, self._files.events, MOST_EVENTS):
                    missing.setdefault(piece, []).append(ask)
        for stretch, asks in sorted(missing.items(), key=lambda each: each[0]):
            if asks := [each for each in asks if each.file not in self._failed]:
                self._ask(*stretch, asks)

    def _is_silent(self, ask: Ask, stretch: Part) -> bool:
        """Return whether no day that matters to what is said of a stretch of time has an event of a policy's types.

        A condition may be one that cannot be carried into a query: to find out, it is asked.
        """
        if ask.policy is None or not COLUMNS.keys() >= set(expressions_of(ask.policy)):
            return False
        days, types = range(ask.first(stretch), stretch.day + 1), ask.policy.required_events
        with suppress(*_ODD):
            return not any(each.day in days for name in types for each in self._heard_ever.days(name))
        return False  # another program may have written anything there

    def _ask(self, since: int, until: int, asks: Sequence[Ask]) -> None:
        """Ask about a stretch of time, and remember what is said of whole days."""
        question = Question(instant(until), instant(since), instant(until))
        days = range(min(ask.first(Part(since, until)) for ask in asks), until // DAY + 1)
        engine = self._engine(days)
        events = sum(self._files.events.get(day, 0) for day in days)
        is_few = has_few(len(days), events)
        wanted: dict[str, tuple[Policy, dict[str, Ask]]] = {}
        for ask in asks:
            if ask.policy is None:
                self._take(ask, since, until, {_EVENTS: self._events_by_day(engine, question, events)})
            elif ask.policy.id not in self._failed:
                wanted.setdefault(ask.policy.id, (ask.policy, {}))[1][ask.query] = ask
        counting = [(policy, question) for policy, own in wanted.values() if own.keys() & _COUNTING]
        together = sieve(engine, counting)
        if not is_few and may_use_numpy():
            self._sweep(engine, question, wanted, together)
        elif is_few and (len(wanted) > 1 or any(map(is_counted, (policy for policy, _ in wanted.values())))):
            self._ask_at_once(engine, question, wanted, together)
        left = [(policy, own) for policy, own in wanted.values() if own]
        runner = Runner(engine, moments_of([policy for policy, _ in left], fewest=0), with_queries=False)
        for policy, own in left:
            asked = partial(compile_by_day, policy, question, only=own.keys(), few=is_few)
            counting_of = own.keys() & _COUNTING
            is_sieved = bool(counting_of) and counting_of <= _sieved(policy)
            table = together.lay_out(policy) if together is not None and is_sieved else None
            try:
                queries, rows_of = runner.answers(asked, table)
            except (StatementError, ConditionError):
                self._failed.add(policy.id)
                continue
            for query in queries:
                of_days = {each.name: rows_of[each.name] for each in query.steps if _BY_DAY.fullmatch(each.name)}
                self._take(own[query.name], since, until, of_days)
                if query.name == EPISODES:
                    answered_by(policy.id, sorted_by(policy))

    def _events_by_day(self, engine: DuckEngine, question: Question, events: int) -> Sequence[Row]:
        """Return the events of all types by day."""
        values: dict[str, object] = {"since": question.since, "until": question.until}
        if self._summaries is None or events < FEWEST:
            part = statement(_FILE, _EVENTS)
            return engine.rows(part.text, part.bind(values))
        counts, part = statement("summaries/types.sql", "type_counts"), statement(_FILE, "events_summed_by_day")
        days = range((micros(question.since) + 1) // DAY, micros(question.until) // DAY + 1)
        self._summaries.lay_out(Summary(counts.name, counts.text), days, [question.since, question.until])
        return engine.rows(part.text)

    def _sweep(
        self, engine: DuckEngine, question: Question, wanted: Mapping[str, tuple[Policy, dict[str, Ask]]],
        together: Sieve | None,
    ) -> None:  # fmt: skip
        """Ask about a stretch of many events what can be counted in arrays, and take it from what is wanted; few events
        matter where a sieve judges a condition.
        """
        since, until = micros(question.since), micros(question.until)
        asked = [
            policy for policy, own in wanted.values()
            if EPISODES in own and is_counted(policy) and not (together is not None and together.holds(policy))
        ]  # fmt: skip
        for policy, rows in counted_by_day(engine, asked, question, self._files.events):
            own = wanted[policy.id][1]
            for name in rows.keys() & own.keys():
                self._take(own.pop(name), since, until, rows[name])
            answered_by(policy.id, IN_ARRAYS)

    def _ask_at_once(
        self, engine: DuckEngine, question: Question, wanted: Mapping[str, tuple[Policy, dict[str, Ask]]],
        together: Sieve | None,
    ) -> None:  # fmt: skip
        """Ask what can be asked of several policies together about a stretch of few events, and take it from what is
        wanted.
        """
        since, until = micros(question.since), micros(question.until)
        counted = [policy for policy, own in wanted.values() if EPISODES in own and is_counted(policy)]
        # What a sieve holds was read already.
        reading = [
            (policy, own.keys() - _sieved(policy) if together is not None and together.holds(policy) else own.keys())
            for policy, own in wanted.values()
        ]
        if any(names for _, names in reading):
            with suppress(StatementError, ConditionError):
                keep_events(engine, [each for each in reading if each[1]], question)
        with suppress(StatementError):  # whatever it is, then each is asked by itself
            for policy_id, rows in counted_together(engine, counted, question, together).items():
                own = wanted[policy_id][1]
                for name in rows.keys() & own.keys():
                    self._take(own.pop(name), since, until, rows[name])
                answered_by(policy_id, DAYS_AT_ONCE)

    def _take(self, ask: Ask, since: int, until: int, rows: Mapping[str, Sequence[Row]]) -> None:
        """Take what a query says of a stretch of time apart by days."""
        parts = [*parts_of(since, until)]
        if heavy := days_with_more(EPISODES, rows.get(EPISODES, ()), MOST_PIECES):
            self._failed.add(ask.file)
            rows = {name: of_others(name, given, heavy) for name, given in rows.items()}
        by_day = {part.day: _TOO_MANY if part.day in heavy else {name: list[Any]() for name in rows} for part in parts}
        for name, given in rows.items():
            for row in given:
                day, rest = day_and_rest(name, row)
                (by_day[day] or {})[name].append(rest)
        answers = self._answers.setdefault((ask.file, ask.query), {})
        entries = self._entries(ask.file, ask.query, ask.digest)
        for part in parts:
            answers[part] = by_day[part.day] or {}
            if part.is_whole:
                first = ask.first(part)
                key = self._files.key(ask.digest, first, part.day)
                entries[str(part.day)] = Entry(key, first, part.day, by_day[part.day])
                self._changed.add(ask.file)

    # Samples

    def samples(self, answers: PolicyAnswers, most: int) -> Samples:
        """Return a few of the events behind the first episodes of a policy whose episodes were known."""
        policy, question = answers.policy, answers.question
        compiled = samples_again(policy, question)
        digest = _digest(compiled)
        before, entries = self._entries(policy.id, _SAMPLES, digest), Entries()
        window, missing = policy.window.microseconds, list[tuple[str, Any, int, int]]()
        for key, start, _, _, _, _, peak_at in answers.rows["rolling_counts"][:most]:
            start_us, peak_us = micros(start), micros(peak_at)
            name = question_digest(key, start_us, peak_us)
            days = max(peak_us - window + 1, 0) // DAY, peak_us // DAY
            made_of = self._files.key(digest, *days)
            entry = before.get(name)
            if entry is None or entry.key != made_of or _sampled(entry) is None:
                missing.append((name, key, start_us, peak_us))
                entry = Entry(made_of, *days, [])
            entries[name] = entry
        if missing:
            self._sample(compiled, window, missing, entries)
        if missing or entries.keys() != before.keys():
            before.clear()
            before.update(entries)
            self._changed.add(policy.id)
            self._write()
        return {
            (group_values(key), start): events
            for (key, start, *_), each in zip(answers.rows["rolling_counts"], entries.values(), strict=False)
            if (events := _sampled(each))
        }

    def _sample(
        self, compiled: CompiledQuery, window: int, missing: Sequence[tuple[str, Any, int, int]], entries: Entries
    ) -> None:
        bound = {
            "keys": [list(group_values(key)) for _, key, _, _ in missing],
            "starts": [start for _, _, start, _ in missing],
            "starts_shown": [peak - window + 1 for *_, peak in missing],
            "peaks_at": [peak for *_, peak in missing],
        }
        names = {(group_values(key), start): name for name, key, start, _ in missing}
        days = {day for name, *_ in missing for day in range(entries[name].first, entries[name].last + 1)}
        engine, (shown, sampled) = self._engine(days), compiled.steps
        engine.step(shown.name, shown.sql, {name: bound[name] for name in shown.parameters})
        for key, start, *event in engine.step(sampled.name, sampled.sql, sampled.parameters):
            entries[names[group_values(key), micros(start)]].answer.append([encoded(value) for value in event])

    # What it has

    def _entries(self, file: str, query: str, digest: str) -> Entries:
        if file not in self._read:
            self._read[file] = read(self._layout, file)
        return self._read[file].entries(query, digest)

    def _write(self) -> None:
        if self._changed:
            changed = {name: self._read[name] for name in sorted(self._changed)}
            names = (policy.id for policy in self._policies)
            write(self._layout, changed, self._snapshot.version, self._files, names, self._most)
            self._changed.clear()

    def _engine(self, days: Iterable[int]) -> DuckEngine:
        """Return an engine with the events of some days; it is the same one each time."""
        if self._opened is None:
            self._opened = self._beside.beside()
            self._summaries = self._summaries_on(self._opened) if self._summaries_on else None
        files = self._snapshot.table.of_days([*map(day_of, days)])
        if len(files) * _MANY < len(self._snapshot.files):
            paths = file_paths(self._layout, files)
            self._opened.show(lambda _: paths)
        else:
            chosen = Chooser(
                self._layout, self._snapshot.version, files, is_whole=True, types=lambda: self._types_of_files
            )  # fmt: skip
            self._opened.show(chosen)
        return self._opened

    @cached_property
    def _types_of_files(self) -> Mapping[str, frozenset[str]]:
        return type_names(self._layout, self._snapshot.version)


def _digest(query: CompiledQuery) -> str:
    return question_digest(FORM, duckdb.__version__, [(step.name, step.sql, step.parameters) for step in query.steps])


def _sampled(entry: Entry) -> list[Row] | None:
    """Return the events of an entry of samples; None if it has anything else."""
    with suppress(*_ODD):
        rows = [(*map(merge.value, row),) for row in entry.answer]
        if all(isinstance(at, datetime) and len(rest) == _TEXTS and _are_texts(rest, None) for at, *rest in rows):
            return rows
    return None


def _are_texts(values: Iterable[Any], *others: None) -> bool:
    return all(isinstance(each, str) or each in others for each in values)


def _sieved(policy: Policy) -> set[str]:
    """Return the queries that a sieve's events of a policy answer. It has none that fail the condition, and of a policy
    with a scope later ones count whatever that says of them.
    """
    return _COUNTING - {_TOTALS} if policy.scope is not None and policy.where is not None else _COUNTING


def _window_start(policy: Policy, question: Question) -> int:
    return micros(earlier(question.as_of, timedelta(microseconds=policy.window.microseconds)))
