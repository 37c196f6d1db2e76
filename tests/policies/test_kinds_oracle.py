"""Answers worked out by hand from the definitions of the question kinds; they pin the oracle, which pins the SQL.

Instants are small numbers of microseconds, so all lies on the first day of 1970. An episode is written as (group,
start, end, peak, peak_at), with "<" before the group if it started before the period.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from tests.policies.baseline_oracle import Baseline, baseline
from tests.policies.kinds_oracle import (
    Answer,
    Ask,
    Awakening,
    Event,
    New,
    Step,
    distinct,
    dormant,
    first_seen,
    number,
    sequence,
    together,
    total,
)


def user(e: Event) -> Any:
    return (e.user_id,)


def ip(e: Event) -> Any:
    return (e.ip_address,)


def amount(e: Event) -> Any:
    return (e.details,)


ASK = Ask(since=0, until=100, window=10, threshold=1, group=user)
OTHER = Step(lambda e: e.event_type != "login")
FAILURE = Step(lambda e: e.event_type == "auth_failure", "f")
LOGIN = Step(lambda e: e.event_type == "login", "l")
LOGOUT = Step(lambda e: e.event_type == "logout", "o")
NAMES = {"F": "auth_failure", "L": "login", "O": "logout"}


def values(**at: str | None) -> list[Event]:
    """`a5="x"`: user a at 5 with address and amount x; `_` is no user, and a letter at the end tells names apart."""
    return [
        Event(int(name[1:].rstrip("bcd")), name, user_id=None if name[0] == "_" else name[0], ip_address=x, details=x)
        for name, x in at.items()
    ]


def typed(words: str) -> list[Event]:
    """`F5 L8`: an auth_failure at 5 and a login at 8, of user a."""
    return [Event(int(w[1:]), f"{n:02}", NAMES[w[0]], "a") for n, w in enumerate(words.split())]


def episodes(answer: Answer) -> list[tuple[Any, ...]]:
    """The episodes in their short form."""
    assert all(e.ongoing == (e.end is None) for e in answer.episodes)
    return [
        ("<" * e.started_before_period + "".join(e.group), e.start, e.end, e.peak, e.peak_at) for e in answer.episodes
    ]


# --- distinct ---


@pytest.mark.parametrize(
    ("events", "changes", "expected"),
    [
        # 1 is in from 5 to 15, 2 from 8 to 18: two from 8 to 15
        (values(a5="1", a8="2"), {}, [("a", 8, 15, 2, 8)]),
        # 1 comes again at 12 and stays to 22: two until 2 leaves at 18
        (values(a5="1", a8="2", a12="1"), {}, [("a", 8, 18, 2, 8)]),
        # 1 is exactly 10 old at 15: it leaves as 2 comes
        (values(a5="1", a15="2"), {}, []),
        # 1 leaves and comes in one instant: it never was away
        (values(a5="1", a8="2", a15="1"), {}, [("a", 8, 18, 2, 8)]),
        # three at once: two never were alone
        (values(a5="1", a5b="2", a5c="3"), {}, [("a", 5, 15, 3, 5)]),
        # text is compared as it is
        (values(a5="x", a6="X", a7="x "), {"threshold": 3}, [("a", 7, 15, 3, 7)]),
        # the first example under a period that cuts both ends
        (values(a5="1", a8="2"), {"since": 10, "until": 12}, [("<a", 10, None, 2, 10)]),
        # ... that ends where it falls, and that begins there
        (values(a5="1", a8="2"), {"until": 15}, [("a", 8, 15, 2, 8)]),
        (values(a5="1", a8="2"), {"since": 15}, []),
        # values of two users are not pooled
        (values(a5="1", b8="2"), {}, []),
    ],
)
def test_distinct(events: list[Event], changes: dict[str, Any], expected: list[Any]) -> None:
    """A value is in the window from its event until its last one is as old as the window."""
    assert episodes(distinct(events, replace(ASK, **{"threshold": 2, **changes}), ip)) == expected


def test_distinct_counts() -> None:
    """NULL is no value, a NULL in a list neither; an event without a group is ungrouped and not valueless."""
    events = values(a5=None, _6="1", _7=None, a8="2", a200=None)
    answer = distinct(events, ASK, lambda e: (e.ip_address, e.user_id))

    # at 5 no value; at 6 and 7 no group; at 8 the pair (2, a); 200 is after the period
    assert episodes(answer) == [("a", 8, 18, 1, 8)]
    assert (answer.valueless_events, answer.ungrouped_events, answer.unjudged) == (1, 2, 0)
    assert answer.daily_peaks == ((0, 1),)


# --- sum, average ---


@pytest.mark.parametrize(
    ("events", "k", "expected"),
    [
        # 6, 10 from 8, 4 from 15
        (values(a5="6", a8="4"), "10", [("a", 8, 15, 10, 8)]),
        # 12, 7 from 7, -5 from 15
        (values(a5="12", a7="-5"), "10", [("a", 5, 7, 12, 5)]),
        # -5, 7 from 8; the -5 leaves at 15: 12 until 18
        (values(a5="-5", a8="12"), "10", [("a", 15, 18, 12, 15)]),
        # 12 and -5 at once are 7
        (values(a5="12", a5b="-5"), "10", []),
        # 0.1 + 0.2 is 0.3 and not more
        (values(a5="0.1", a6="0.2"), "0.3", [("a", 6, 15, Decimal("0.3"), 6)]),
        (values(a5="0.1", a6="0.2"), "0.300001", []),
        # 10 leaves as 10 comes: one episode; then 5 more make a later peak
        (values(a5="10", a15="10", a20="5"), "10", [("a", 5, 25, 15, 20)]),
        # 10 from 3, 9 from 13; what is no number changes nothing
        (values(a3="10", a4="x", a13="9"), "10", [("a", 3, 13, 10, 3)]),
    ],
)
def test_sum(events: list[Event], k: str, expected: list[Any]) -> None:
    """A sum is exact, rises and falls with both signs, and is judged once an instant."""
    assert episodes(total(events, replace(ASK, threshold=Decimal(k)), amount)) == expected


def test_sum_counts() -> None:
    """What is no number adds nothing and is counted, and a day's peak is at least that of an empty group."""
    answer = total(values(a5="x", a6="", a7=None, a8="-3", _9="4"), ASK, amount)

    assert (answer.episodes, answer.valueless_events, answer.ungrouped_events) == ((), 3, 1)
    assert answer.daily_peaks == ((0, 0),)


def test_numbers() -> None:
    """A number has 32 digits before the point and six after it, the last of which is rounded away from zero."""
    texts = ["0.0000005", "-0.0000005", "0.00000049", "+5.", ".5", "9" * 32, "9" * 33, "1e", "0x1", "-"]

    assert [number(text) for text in texts] == [
        *(Decimal("0.000001"), Decimal("-0.000001"), 0, 5, Decimal("0.5"), Decimal("9" * 32)),
        *(None, None, None, None),
    ]


@pytest.mark.parametrize(
    ("events", "k", "expected"),
    [
        # 4, 5 from 8, 6 from 15, none from 18
        (values(a5="4", a8="6"), "5", [("a", 8, 18, 6, 15)]),
        # 8, 4 from 7, 0 from 15
        (values(a5="8", a7="0"), "5", [("a", 5, 7, 8, 5)]),
        # -1 from 5 to 15; an empty window is no 0
        (values(a5="-1"), "-1", [("a", 5, 15, -1, 5)]),
        # NULL is no 0: 6 is the average of one
        (values(a5="6", a6=None), "5", [("a", 5, 15, 6, 5)]),
        # 4/3 is more than 1.333333, and less than 1.333334
        (values(a5="1", a5b="1", a5c="2"), "1.333333", [("a", 5, 15, Fraction(4, 3), 5)]),
        (values(a5="1", a5b="1", a5c="2"), "1.333334", []),
        # 5 of user a from 5, 5 of user b from 5: by start, then by group
        (values(b5="5", a5="5"), "5", [("a", 5, 15, 5, 5), ("b", 5, 15, 5, 5)]),
    ],
)
def test_average(events: list[Event], k: str, expected: list[Any]) -> None:
    """An average is of the numbers in the window, and there is none of nothing."""
    assert episodes(total(events, replace(ASK, threshold=Decimal(k)), amount, average=True)) == expected


def test_average_of_a_day() -> None:
    """A day without an average is null."""
    assert total(values(a5="x"), ASK, amount, average=True).daily_peaks == ((0, None),)
    assert total(values(a5="-2"), ASK, amount, average=True).daily_peaks == ((0, -2),)


# --- together ---


@pytest.mark.parametrize(
    ("words", "k", "expected"),
    [
        # F from 5 to 15, L from 8 to 18
        ("F5 L8", 2, [("a", 8, 15, 2, 8)]),
        # in the other order
        ("L5 F8", 2, [("a", 8, 15, 2, 8)]),
        # F is exactly 10 old as L comes
        ("F5 L15", 2, []),
        # two F are one step
        ("F5 F6", 2, []),
        # two of three: F and L from 8, all from 12 to 15, L and O to 18
        ("F5 L8 O12", 2, [("a", 8, 18, 3, 12)]),
        ("F5 L8 O12", 3, [("a", 12, 15, 3, 12)]),
    ],
)
def test_together(words: str, k: int, expected: list[Any]) -> None:
    """A step is present while one of its events is in the window, in any order."""
    assert episodes(together(typed(words), replace(ASK, threshold=k), [FAILURE, LOGIN, LOGOUT])) == expected


@pytest.mark.parametrize(
    ("words", "condition", "expected"),
    [
        # F from 5 to 15, L from 8 to 18: F alone until 8, L alone from 15
        ("F5 L8", lambda p: "f" in p and "l" not in p, [("a", 5, 8, 1, 5)]),
        ("F5 L8", lambda p: "f" not in p, [("a", 15, 18, 1, 15)]),
        # without any step nothing holds
        ("L5", lambda p: "f" not in p, [("a", 5, 15, 1, 5)]),
        # F falls and comes again in one instant: held without a break
        ("F5 F15", lambda p: "f" in p, [("a", 5, 25, 1, 5)]),
    ],
)
def test_together_with_a_condition(words: str, condition: Any, expected: list[Any]) -> None:
    """A condition over the steps is 1 where it holds and some step is present."""
    assert episodes(together(typed(words), ASK, [FAILURE, LOGIN], condition)) == expected


def test_together_by_steps() -> None:
    """An event counts for each step that it matches, and a step may have its own group."""
    both = [LOGIN, Step(lambda e: e.ip_address == "1", "one")]
    by_address = [FAILURE, replace(LOGIN, group=ip)]
    events = [Event(5, "1", "auth_failure", "x"), Event(8, "2", "login", None, "x"), Event(9, "3", "login", "x")]
    answer = together(events, replace(ASK, threshold=2), by_address)

    assert episodes(together(values(a5="1"), replace(ASK, threshold=2), both)) == [("a", 5, 15, 2, 5)]
    # the failure of user x and the login from address x; the login at 9 has no address, and so no group
    assert episodes(answer) == [("x", 8, 15, 2, 8)]
    assert answer.episodes[0].evidence == {"present": (0, 1)}
    assert answer.ungrouped_events == 1


# --- sequence ---

THRICE = [replace(FAILURE, count=3, window=4), LOGIN]
TWICE = [replace(FAILURE, count=2, window=3), LOGIN]
ANY = Step(lambda _: True)


@pytest.mark.parametrize(
    ("words", "steps", "expected", "chain"),
    [
        # (5, 8) from 8 until 5 is 10 old
        ("F5 L8", [FAILURE, LOGIN], [("a", 8, 15, 1, 8)], (5, 8)),
        # (7, 8) starts later
        ("F5 F7 L8", [FAILURE, LOGIN], [("a", 8, 17, 1, 8)], (7, 8)),
        # within an instant the order is that of the steps
        ("L5 F5", [FAILURE, LOGIN], [("a", 5, 15, 1, 5)], (5, 5)),
        ("L5 F6", [FAILURE, LOGIN], [], None),
        # half-open: 5 is out at 15
        ("F5 L14", [FAILURE, LOGIN], [("a", 14, 15, 1, 14)], (5, 14)),
        ("F5 L15", [FAILURE, LOGIN], [], None),
        # three within 4: 1 and 4 are 3 apart, 1 and 5 are 4 apart
        ("F1 F3 F4 L6", THRICE, [("a", 6, 11, 1, 6)], (1, 3, 4, 6)),
        ("F1 F3 F5 L6", THRICE, [], None),
        # two within 3: (1, 2), though 9 lies between them and 10; until 11
        ("F1 F2 F9 L10", TWICE, [("a", 10, 11, 1, 10)], (1, 2, 10)),
        # one event serves one step
        ("L5", [LOGIN, LOGIN], [], None),
        ("L5 L6", [LOGIN, LOGIN], [("a", 6, 15, 1, 6)], (5, 6)),
        # (5, 6) until 15, (10, 15) from then until 20: they touch
        ("F5 L6 F10 L15", [FAILURE, LOGIN], [("a", 6, 20, 1, 6)], (5, 6)),
        # 0 is out at 10; two events of 10 may end a chain that starts at 1: the later one
        ("F0 L5 L10 L10", [FAILURE, LOGIN, LOGIN], [], None),
        ("F1 L5 L10 L10", [FAILURE, LOGIN, LOGIN], [("a", 10, 11, 1, 10)], (1, 10, 10)),
        # O5 serves the first step and the third: its place is that of the third, after L5
        ("O5 L5 F1", [OTHER, LOGIN, LOGOUT], [("a", 5, 11, 1, 5)], (1, 5, 5)),
        # F5 serves both steps and O5 the second: both have the second as their last, and F5 has the earlier first
        ("F5 O5", [FAILURE, ANY], [("a", 5, 15, 1, 5)], (5, 5)),
    ],
)
def test_sequence(words: str, steps: list[Step], expected: list[Any], chain: tuple[int, ...] | None) -> None:
    """A chain is in the window from its last event until its first leaves; evidence is the one that starts latest."""
    answer = sequence(typed(words), ASK, steps)

    assert episodes(answer) == expected
    assert [e.evidence["steps"] for e in answer.episodes] == ([] if chain is None else [chain])


@pytest.mark.parametrize(
    ("words", "first", "expected"),
    [
        # a logout between 5 and 8
        ("F5 O6 L8", FAILURE, []),
        # within an instant it comes after all steps: after L8, and after F5
        ("F5 O8 L8", FAILURE, [("a", 8, 15, 1, 8)]),
        ("F5 O5 L8", FAILURE, []),
        # a chain that starts after it
        ("F5 O6 F7 L8", FAILURE, [("a", 8, 17, 1, 8)]),
        # the first event itself is not between
        ("O5 L8", LOGOUT, [("a", 8, 15, 1, 8)]),
        # (5, 8) has 6 between; (6, 8) has nothing
        ("O5 O6 L8", LOGOUT, [("a", 8, 16, 1, 8)]),
    ],
)
def test_sequence_until(words: str, first: Step, expected: list[Any]) -> None:
    """A chain does not count if an event that ends it lies between its first and its last."""
    assert episodes(sequence(typed(words), ASK, [first, LOGIN], LOGOUT.matches)) == expected


def test_sequence_that_a_period_cuts() -> None:
    """A clipped episode shows the chain that stands at its start; completions are those in the period."""
    # (5, 8) until 15 and (9, 10) until 19 are one; 10 and 11 complete (9, 10) and (9, 11); 30 is after the period
    answer = sequence(typed("F5 L8 F9 L10 L11 L30"), replace(ASK, since=9, until=12), [FAILURE, LOGIN])

    assert episodes(answer) == [("<a", 9, None, 1, 9)]
    assert answer.episodes[0].evidence == {"steps": (5, 8), "completions": 2}


# --- first_seen ---


@pytest.mark.parametrize(
    ("events", "learn", "k", "expected"),
    [
        # never seen; then 10 later it is known
        (values(a30="1", a40="1"), 0, 1, [("a", 30, 35, 1, 30)]),
        # exactly 20 before is forgotten, 19 before is not
        (values(a30="1", a50="1"), 0, 1, [("a", 30, 35, 1, 30), ("a", 50, 55, 1, 50)]),
        (values(a30="1", a49="1"), 0, 1, [("a", 30, 35, 1, 30)]),
        # known for 10: at 35 something in (15, 25]? no; at 40 something in (20, 30]: yes
        (values(a30="1", a35="2", a40="3"), 10, 1, [("a", 40, 45, 1, 40)]),
        # at 50 something in (30, 40]: 30 is forgotten
        (values(a30="1", a50="2"), 10, 1, []),
        # an event without a value makes the entity known: at 40 something in (20, 30]
        (values(a30=None, a40="1"), 10, 1, [("a", 40, 45, 1, 40)]),
        # one value twice at once is one new value; two values from 33 to 35 are two
        (values(a30="1", a30b="1"), 0, 2, []),
        (values(a30="1", a33="2"), 0, 2, [("a", 33, 35, 2, 33)]),
        # the same value is new for each user
        (values(a30="1", b31="1"), 0, 1, [("a", 30, 35, 1, 30), ("b", 31, 36, 1, 31)]),
    ],
)
def test_first_seen(events: list[Event], learn: int, k: int, expected: list[Any]) -> None:
    """A value is new where its entity has not had it within the memory, and was known for the time of learning."""
    ask = replace(ASK, window=5, threshold=k)

    assert episodes(first_seen(events, ask, value=ip, entity=user, memory=20, learn=learn)) == expected


def test_first_seen_by_group() -> None:
    """A new value counts once in each group of its instant, and its evidence says what was before."""
    ask = replace(ASK, window=5, group=lambda e: (e.source,))
    events = [Event(at, f"{at}{s}", "login", "a", "1", s) for at, s in [(30, "r"), (30, "s"), (31, "q"), (60, "r")]]
    answer = first_seen(events, ask, value=ip, entity=user, memory=20)

    # at 31 it is 1 old; at 60 it is 29 old, last seen at 31, and nothing of the entity is in (40, 60)
    assert episodes(answer) == [("r", 30, 35, 1, 30), ("s", 30, 35, 1, 30), ("r", 60, 65, 1, 60)]
    assert answer.episodes[0].evidence == {"new": (New(30, ("a",), ("1",), None, None),)}
    assert answer.episodes[2].evidence == {"new": (New(60, ("a",), ("1",), 31, None),)}


def test_first_seen_by_all() -> None:
    """Without an entity a value is new for the whole population, and NULL is not one."""
    ask = replace(ASK, window=5, group=lambda _: ())
    answer = first_seen(values(a30="1", b31="1", a32="2", _33=None), ask, value=ip, entity=lambda _: (), memory=20)

    # 1 at 30 and 2 at 32: 1 from 30, 2 from 32 to 35, 1 to 37; known since 30 at 32
    assert episodes(answer) == [("", 30, 37, 2, 32)]
    assert answer.episodes[0].evidence["new"] == (New(30, (), ("1",), None, None),)
    assert (answer.valueless_events, answer.ungrouped_events) == (1, 0)


# --- dormant ---


@pytest.mark.parametrize(
    ("events", "changes", "expected"),
    [
        # exactly 20, and 19
        (values(a10="", a30=""), {}, [("a", 30, 35, 1, 30)]),
        (values(a10="", a29=""), {}, []),
        # the first ever is none, nor the second of an instant
        (values(a10=""), {}, []),
        (values(a10="", a10b=""), {}, []),
        # two at once are one; the one after is none
        (values(a10="", a30="", a30b="", a31=""), {}, [("a", 30, 35, 1, 30)]),
        # a period inside
        (values(a10="", a30=""), {"since": 32, "until": 34}, [("<a", 32, None, 1, 32)]),
        # both from 42 to 45
        (values(a10="", b11="", a40="", b42=""), {"threshold": 2, "group": lambda _: ()}, [("", 42, 45, 2, 42)]),
        # without a user there is no entity
        (values(_10="", _30=""), {"group": lambda _: ()}, []),
    ],
)
def test_dormant(events: list[Event], changes: dict[str, Any], expected: list[Any]) -> None:
    """An entity awakes where the newest of its events before is as old as the silence."""
    assert episodes(dormant(events, replace(ASK, window=5, **changes), entity=user, silence=20)) == expected


def test_dormant_evidence() -> None:
    """Evidence is since when it was silent; an event without an entity is valueless, or ungrouped."""
    answer = dormant(values(a10="", a40="", _50=""), replace(ASK, window=5), entity=user, silence=20)
    pooled = dormant(values(_50=""), replace(ASK, window=5, group=lambda _: ()), entity=user, silence=20)

    assert answer.episodes[0].evidence == {"awakenings": (Awakening(40, ("a",), 10),)}
    assert (answer.ungrouped_events, answer.valueless_events) == (1, 0)
    assert (pooled.ungrouped_events, pooled.valueless_events) == (0, 1)


# --- baseline: buckets of 10, seasons of 20, three of them, at least two, twice as many ---

USUAL = Baseline(bucket=10, season=20, seasons=3, at_least=2, ratio=Decimal(2))


def counts(*numbers: int) -> list[Event]:
    """So many events in each bucket, at its second microsecond, its third, and so on."""
    return [Event(10 * h + n + 1, f"{h} {n}", user_id="a") for h, x in enumerate(numbers) for n in range(x)]


@pytest.mark.parametrize(
    ("numbers", "changes", "expected", "unjudged"),
    [
        # 3 at 60 against (1, 1, 1): more than 2, from the third on. Too short a past: the 1 at 0 and the 1 at 20
        ((1, 0, 1, 0, 1, 0, 3), {}, [("a", 63, 70, 3, 63)], 2),
        # 3 at 40 against (3, 1): the lower median is 1
        ((1, 0, 3, 0, 3), {}, [("a", 43, 50, 3, 43)], 2),
        # 1 at 60 against (0, 0, 1): median 0, so one is high, unless it is below the floor
        ((1, 0, 0, 0, 0, 0, 1), {}, [("a", 61, 70, 1, 61)], 1),
        ((2, 0, 0, 0, 0, 0, 1), {"threshold": 2}, [], 1),
        # 3 at 60, and 4 at 70 against (1, 1, 1): one run, highest at its end. At 0, 10, 20, 30 too short a past
        ((1, 1, 1, 1, 1, 1, 3, 4), {}, [("a", 63, 80, 4, 74)], 4),
        # the first one cut: high since 63, over at 70
        ((1, 0, 1, 0, 1, 0, 3), {"since": 65, "until": 68}, [("<a", 65, None, 3, 65)], 0),
        ((1, 0, 1, 0, 1, 0, 3), {"until": 70}, [("a", 63, 70, 3, 63)], 2),
        # the third at the last instant
        ((1, 0, 1, 0, 1, 0, 3), {"until": 63}, [("a", 63, None, 3, 63)], 2),
        # two up to 62 are not more than 2
        ((1, 0, 1, 0, 1, 0, 3), {"until": 62}, [], 2),
        # what was high from 61 is over at since: not judged
        ((1, 0, 0, 0, 0, 0, 1), {"since": 70}, [], 0),
        # 80 looks back to 0, where the group begins: (0, 0, 0) at 60, 40, 20
        ((1, 0, 0, 0, 0, 0, 0, 0, 1), {}, [("a", 81, 90, 1, 81)], 1),
        # 90 looks back to 10, where nothing is: not judged
        ((1, 0, 0, 0, 0, 0, 0, 0, 0, 1), {}, [], 2),
    ],
)
def test_baseline_above(numbers: tuple[int, ...], changes: dict[str, Any], expected: list[Any], unjudged: int) -> None:
    """A bucket is high from the event that is one too many for its past to its end."""
    answer = baseline(counts(*numbers), replace(ASK, **changes), USUAL)

    assert episodes(answer) == expected
    assert answer.unjudged == unjudged


def test_baseline_is_exact() -> None:
    """A ratio is no double, and evidence says what was usual."""
    # 3 against (2, 2): 1.5 times 2 is 3, and 1.49 times 2 is 2.98
    assert episodes(baseline(counts(2, 0, 2, 0, 3), ASK, replace(USUAL, ratio=Decimal("1.5")))) == []
    answer = baseline(counts(2, 0, 2, 0, 3), ASK, replace(USUAL, ratio=Decimal("1.49")))
    assert episodes(answer) == [("a", 43, 50, 3, 43)]
    assert answer.episodes[0].evidence == {"usual": 2, "limit": 3, "m": 2, "past": (2, 2)}
    assert answer.daily_peaks == ((0, 3),)


def test_baseline_with_an_origin() -> None:
    """Buckets are counted from the origin."""
    # from 5: 7 and 18 lie in [5, 15) and [15, 25); 47 and 48 in [45, 55), against 0 at 25 and 1 at 5: median 0
    events = [Event(at, str(at), user_id="a") for at in (7, 18, 47, 48)]
    answer = baseline(events, replace(ASK, threshold=2), replace(USUAL, origin=5))

    assert episodes(answer) == [("a", 48, 55, 2, 48)]
    assert answer.episodes[0].evidence == {"usual": 0, "limit": 2, "m": 2, "past": (0, 1)}


@pytest.mark.parametrize(
    ("numbers", "changes", "expected", "unjudged"),
    [
        # 1 at 40 against (4, 4), 0 at 60 against (1, 4, 4): low; 0 at 80 against (0, 1, 4): usually 1, below the floor.
        # Too short a past: at 10, 20 and 30
        ((4, 0, 4, 0, 1), {}, [("a", 40, 50, 1, 40), ("a", 60, 70, 0, 60)], 3),
        # twice 2 is not less than 4
        ((4, 0, 4, 0, 2), {"until": 50}, [], 3),
        # at 49 the bucket is not over; it is at 50, and then it has been low since 40
        ((4, 0, 4, 0, 1), {"until": 49}, [], 3),
        ((4, 0, 4, 0, 1), {"until": 50}, [("a", 40, 50, 1, 40)], 3),
        # what ended by 50 is not judged; 60 stands at 62, and 40 at 40
        ((4, 0, 4, 0, 1), {"since": 50}, [("a", 60, 70, 0, 60)], 0),
        ((4, 0, 4, 0, 1), {"since": 62}, [("<a", 62, 70, 0, 62)], 0),
        ((4, 0, 4, 0, 1), {"since": 40, "until": 50}, [("<a", 40, 50, 1, 40)], 0),
        # 1 at 40 and 0 at 50 are one run, the smallest at its end; 60 against (1, 4, 4) and 70 against (0, 4, 4) go on
        ((4, 4, 4, 4, 1), {"until": 80}, [("a", 40, 80, 0, 50)], 3),
    ],
)
def test_baseline_below(numbers: tuple[int, ...], changes: dict[str, Any], expected: list[Any], unjudged: int) -> None:
    """A bucket is low from its beginning, once it is over; a group that has gone is judged too."""
    answer = baseline(counts(*numbers), replace(ASK, threshold=2, **changes), replace(USUAL, below=True))

    assert episodes(answer) == expected
    assert answer.unjudged == unjudged


# --- All kinds ---


def ask_of(kind: str, events: list[Event], rng: Random) -> Answer:
    """What a kind says of a small random question; events without a user are for its clock alone."""
    ask = Ask(rng.randint(-1, 6), rng.randint(7, 25), rng.randint(1, 6), 1, lambda e: e.user_id is not None, user)
    higher = replace(ask, threshold=rng.randint(1, 3))
    length = rng.randint(1, 6)
    return {
        "distinct": lambda: distinct(events, higher, ip),
        "sum": lambda: total(events, higher, amount),
        "average": lambda: total(events, ask, amount, average=True),
        "together": lambda: together(events, higher, [FAILURE, LOGIN, LOGOUT]),
        "sequence": lambda: sequence(events, ask, [FAILURE, LOGIN], LOGOUT.matches),
        "first_seen": lambda: first_seen(events, ask, value=ip, entity=user, memory=length),
        "dormant": lambda: dormant(events, ask, entity=user, silence=length),
    }[kind]()


@pytest.mark.parametrize("kind", ["distinct", "sum", "average", "together", "sequence", "first_seen", "dormant"])
def test_no_instant_is_missed(kind: str) -> None:
    """Asked at every microsecond, the definitions give the same episodes."""
    clock = [Event(at) for at in range(30)]
    for seed in range(15):
        rng = Random(f"{kind} {seed}")
        events = [
            Event(
                rng.randint(0, 15),
                str(n),
                rng.choice(list(NAMES.values())),
                "a",
                rng.choice("12"),
                "r",
                rng.choice("12"),
            )
            for n in range(7)
        ]
        rules = rng.random()
        few, all_ = (ask_of(kind, which, Random(rules)) for which in (events, events + clock))
        assert few.episodes == all_.episodes
