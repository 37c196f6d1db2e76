"""``frameworks.yaml``: what it sets, its mistakes, and how a pack is written into it."""

from __future__ import annotations

import pytest

from auditlake.packs.check import problems_of
from auditlake.packs.effective import LakePacks, read_packs
from auditlake.packs.settings import with_pack
from tests.packs.text import HOUSE, SETTINGS, STRICT, TYPES

FILES = {"house-rules": HOUSE.encode(), "house-rules-strict": STRICT.encode()}


def found(settings: str, files: dict[str, bytes] = FILES) -> LakePacks:
    return read_packs(files, settings.encode(), TYPES)


def test_the_documented_settings() -> None:
    """Values reach the policies, a pack that is not named judges nothing, and schedules are read."""
    packs = found(SETTINGS)
    policy, schedule = packs.packs["house-rules"].policies["sign_ins"], packs.settings.schedules[0]

    assert packs.problems == ()
    assert policy.scope == "source = 'sshd' or resource like 'vpn/%'"
    assert [each.id for each in packs.policies()] == ["house-rules--refused_sign_ins", "house-rules--sign_ins"]
    assert (schedule.name, schedule.at, schedule.evaluate, str(schedule.within)) == ("nightly", "00:15", ("all",), "6h")


# what is replaced, by what, and the mistake; whether the pack judges all the same
MISTAKES = {
    "pack": ("  house-rules:", "  house-rule:", "2:3: packs: there is no packs/house-rule.yaml that can be read; "
             "did you mean 'house-rules'?", False),
    "key": ("packs:\n", "packets: {}\npacks:\n", "1:1: unknown key 'packets'; did you mean 'packs'?", True),
    "no revision": ("    revision: 2026-11-30.1\n", "", "3:5: house-rules needs the key 'revision'", False),
    "revision": ("2026-11-30.1", "2026-11-30.2", "3:15: revision: packs/house-rules.yaml is the revision 2026-11-30.1, "
                 "not 2026-11-30.2", False),
    "parameter": ("review: 3d", "reviews: 3d", "6:7: parameters: there is no parameter 'reviews'", False),
    "value": ("review: 3d", "review: soon", "6:15: review: expected a length", False),
    "condition": ("source = 'sshd' or", "source = or", "5:26: systems: syntax error", False),
    "effective": ("review: 3d", "review: 36h", "59:32: every: expected whole days, or 1h, 6h or 12h, got '36h' "
                  "(with what frameworks.yaml sets)", False),
    "schedule": ("00:15", "24:15", "8:36: at: expected a time of the day, UTC, such as '00:15', got '24:15'", True),
    "schedule's key": (", within: 6h", "", "8:5: a schedule needs the key 'within'", True),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected", "judges"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(old: str, new: str, expected: str, judges: bool) -> None:
    """A mistake is told where it is; one in what is said of a pack stops that pack, and no other."""
    more = SETTINGS.replace(old, new).replace(
        "schedules:", "  house-rules-strict: {revision: 2026-11-30.1}\nschedules:"
    )
    if expected.startswith("8:"):
        expected = expected.replace("8:", "9:", 1)
    packs = found(more)

    (problem,) = packs.problems
    assert problem.partition(".yaml:")[2].startswith(expected)
    assert packs.packs.keys() == {"house-rules-strict"} | ({"house-rules"} if judges else set())


@pytest.mark.parametrize(
    "settings", ["", "# none\n", "packs:\n", "packs:\nschedules:\n", "# ours\npacks: {}\nschedules: []\n"]
)
def test_settings_may_choose_nothing(settings: str) -> None:
    """A file whose last pack or schedule was taken out is no mistake; a pack comes into it as into any other."""
    assert found(settings) == LakePacks(files={**FILES, "": settings.encode()})
    assert found(with_pack(settings.encode(), "house-rules", "2026-11-30.1").decode()).packs.keys() == {"house-rules"}


def test_accounts_that_are_programs() -> None:
    """A list of names; an empty one says that there are none, and a key without a value says nothing."""
    said = {"": None, "programs:\n": None, "programs: []\n": (), "programs: [svc-audit, '7']\n": ("svc-audit", "7")}
    assert {text: found(text).settings.programs for text in said} == said
    assert "programs: expected a list" in found("programs: root\n").problems[0]


def test_a_pack_may_have_no_value_set() -> None:
    """The key parameters whose values were all taken out says nothing; a pack needs a revision all the same."""
    entry = "packs:\n  house-rules:\n    revision: 2026-11-30.1\n    parameters:\n"
    assert found(entry).packs.keys() == {"house-rules"}
    assert "revision: expected text, got nothing" in found(entry.replace("2026-11-30.1", "")).problems[0]


def test_a_weaker_value_needs_a_decision() -> None:
    """It is told with its place and clause until the journal lets it be, which it does for that very value."""

    class Decided:
        def __init__(self, value: str) -> None:
            self.value, self.owner, self.until = value, "Ann", None

    packs = found(SETTINGS.replace("review: 3d", "review: 9d"))
    (told,) = problems_of(packs, lambda _: {})

    assert told.startswith(
        "frameworks.yaml:6:7: review: 9d is weaker than 7d, which House rules 7.4 asks for, and no decision"
    )
    for spelling in ("9d", "216h", "P9D"):
        assert problems_of(packs, lambda _, value=spelling: {"review": Decided(value)}) == (), spelling
    assert "decided is 8d" in problems_of(packs, lambda _: {"review": Decided("8d")})[0]
    assert problems_of(found(SETTINGS), lambda _: {}) == ()


@pytest.mark.parametrize(
    ("before", "after"),
    [("", "packs:\n  b:\n    revision: 2\n"),
     ("# ours\nschedules: []", "# ours\nschedules: []\npacks:\n  b:\n    revision: 2\n"),
     ("packs:\n# none\n", "packs:\n  b:\n    revision: 2\n# none\n"),
     ("packs:\n    a: {revision: 1}  # a\n", "packs:\n    b:\n      revision: 2\n    a: {revision: 1}  # a\n"),
     ("packs: {a: {revision: 1}}\n", "packs: {b: {revision: 2}, a: {revision: 1}}\n"),
     ("packs: {}\n", "packs: {b: {revision: 2}}\n"),
     ("packs:\n  b:\n    revision: '1'  # pinned\n    parameters: {}\n",
      "packs:\n  b:\n    revision: 2  # pinned\n    parameters: {}\n")],
)  # fmt: skip
def test_writing_a_pack_into_it(before: str, after: str) -> None:
    """A pack comes in, or another revision in the place of one, and every other character stays."""
    assert with_pack(before.encode(), "b", "2").decode() == after
