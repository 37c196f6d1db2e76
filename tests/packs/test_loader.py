"""A pack's file: what it gives, and every mistake in it, with its place."""

from __future__ import annotations

from datetime import date
from graphlib import TopologicalSorter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.errors import PackError
from auditlake.events.durations import parse_duration
from auditlake.packs.controls import _circular
from auditlake.packs.model import Control, OnlyIf, PolicyCheck
from auditlake.policies.loader import load_policy
from tests.packs.text import HOUSE, STRICT, TYPES, mistakes, read


def test_the_documented_pack() -> None:
    """The pack of the documentation gives policies with everything filled in, and controls with checks."""
    pack = read()
    policy, control = pack.policies["sign_ins"], pack.control("7.4")

    assert (policy.id, policy.scope, policy.shown_clause) == (
        "house-rules--sign_ins", "true", "House rules 7.3, mandatory"
    )  # fmt: skip
    assert str(policy.retention_period) == "6mo"
    assert control is not None
    assert (control.records[0].every, control.records[0].of) == (
        pack.parameters["review"].default, ("sign_ins", "refused_sign_ins"),
    )  # fmt: skip
    assert [each.id for each in pack.controls_with("systems")] == ["7.1", "7.2"]
    assert [each.id for each in pack.controls_with("review")] == ["7.4"]
    assert pack.control("7.1").policies == (PolicyCheck("sign_ins"), PolicyCheck("refused_sign_ins"))


def test_parameters_of_parts_are_theirs() -> None:
    """A weaker value bears on the part that uses it: the whole has the status of that part, if the part applies."""
    pack = read(HOUSE.replace("policies: {sign_ins: [fields]}", 'all_of: ["7.1"]'))

    assert pack.control("7.2").all_of == ("7.1",)
    assert [each.id for each in pack.controls_with("systems")] == ["7.1"]


def test_a_policy_of_a_pack_is_a_policy_file() -> None:
    """The text of a pack's policy is a file that gives the same policy, with the same digest."""
    policy = read().policies["sign_ins"]
    assert load_policy(policy.text, "p.yaml", policy.id, event_types=TYPES) == policy


def test_a_value_is_put_into_the_tree() -> None:
    """A condition is put in brackets where it stands, whatever it holds; the digest is that of what comes out."""
    text = HOUSE.replace("scope: $systems\n    max_gap", "scope: not $systems and status = '$systems'\n    max_gap")
    either = "source = 'a' or source = 'b'"
    policy = read(text, values={"systems": either}).policies["sign_ins"]

    assert policy.scope == """((NOT (("source" = 'a') OR ("source" = 'b'))) AND (status = '$systems'))"""
    assert policy.digest != read(text).policies["sign_ins"].digest


def test_extending() -> None:
    """A pack that extends another has its policies and controls, with its own values, state and sources."""
    pack = read(STRICT, "house-rules-strict")

    assert pack.policies.keys() == read().policies.keys()
    assert str(pack.control("7.4").records[0].every) == "1d"
    assert (pack.state_on(date(2026, 5, 31)), pack.state_on(date(2026, 6, 1)).cites) == (None, ("S",))
    assert {each.id for each in pack.sources} == {"R", "S"}


def test_states() -> None:
    """The state on a day is the last one that has come and whose value holds."""
    one = "  - {from: 2026-01-01, state: in_force, cites: [R]}\n"
    more = one + "  - {from: 2026-03-01, state: deferred, when: {where_it_is: shop}, cites: [R]}\n"
    where = "parameters:\n  where_it_is: {type: one, of: [shop, bank], default: bank}\n"
    text = HOUSE.replace(one, more).replace("parameters:\n", where)

    assert read(text).state_on(date(2026, 4, 1)).state == "in_force"
    assert read(text, values={"where_it_is": "shop"}).state_on(date(2026, 4, 1)).state == "deferred"


@pytest.mark.parametrize(
    ("only_if", "value", "holds"),
    [(OnlyIf("", "a"), True, True), (OnlyIf("", "a"), False, False), (OnlyIf("", "a", "x"), ("x", "y"), True),
     (OnlyIf("", "a", "x"), ("y",), False), (OnlyIf("", "a", "x"), "x", True), (OnlyIf("", "a", "x"), "xx", False)],
)  # fmt: skip
def test_only_if(only_if: OnlyIf, value: object, holds: bool) -> None:
    """A control applies where its flag is set, its name is among several, or is the one."""
    assert only_if.holds({"a": value}) is holds


# what is replaced, by what, and the mistake: each is found, and all of a file at once
MISTAKES = {
    "version": ("pack: 1", "pack: 2", "1:7: pack: expected a whole number from 1 to 1, got 2"),
    "id": ("id: house-rules", "id: other", "2:5: id: the file's name says 'house-rules', got 'other'"),
    "key": ("edition:", "editions: x\nedition:", "4:1: unknown key 'editions'; did you mean 'edition'?"),
    "missing": ("publisher: Example Ltd\n", "", "1:1: a pack needs the key 'publisher'"),
    "revision": ("2026-11-30.1", "2026-11-30",
                 "7:11: revision: expected a date and a number, such as 2026-11-30.1, got '2026-11-30'"),
    "day": ("recheck: 2027-11-30", "recheck: 2027-11-31",
            "8:10: recheck: expected a date, such as 2026-11-30, got '2027-11-31'"),
    "state": ("in_force", "inforce", "11:31: state: unknown value 'inforce'; did you mean 'in_force'?"),
    "order": ("status:\n", "status:\n  - {from: 2026-02-01, state: adopted, cites: [R]}\n",
              "12:5: status: expected in order of time"),
    "source": ("in_force, cites: [R]", "in_force, cites: [Q]", "11:49: cites: the pack has no source 'Q'"),
    "sources": ("sources:\n", "sources:\n  - {id: R, title: twice, checked: copy}\n",
                "15:5: sources: two sources have the id 'R'"),
    "when": ("in_force, cites", "in_force, when: {keep: 6mo}, cites",
             "11:48: when: expected a parameter of the type one or several, but keep is not"),
    "direction": ("stricter: longer", "stricter: higher",
                  "18:50: stricter: unknown direction 'higher'; expected one of free, longer, shorter"),
    "default": ("default: 6mo", "default: long", "18:35: default: expected a length such as 24h, 30d, 12w, 6mo, 7y, "
                "90min or ISO 8601 such as P30D, got 'long'"),
    "clause": ('cites: ["7.4"]}\n\n', 'cites: ["9"]}\n\n', "19:68: cites: the pack has no control '9'; expected one of "
               "7.1, 7.2, 7.3, 7.4, 7.5"),
    "of": ("type: duration, default: 7d", "type: duration, of: [a], default: 7d",
           "19:11: the parameter review: 'of' belongs to the types one and several, and to no other"),
    "retention": ("min: $keep, basis", "min: $kept, basis",
                  "21:18: min: there is no parameter 'kept'; did you mean 'keep'?"),
    "parameter": ("scope: $systems\n    max", "scope: $system\n    max",
                  "28:12: scope: there is no parameter 'system'; did you mean 'systems'?"),
    "condition": ("scope: $systems\n    max", "scope: $systems and statuz = 'b'\n    max",
                  "28:12: scope: an event has no column 'statuz'; did you mean status?"),
    "policy": ("    scope: $systems\n    max", "    scopes: $systems\n    max",
               "28:5: unknown key 'scopes'; did you mean 'scope'?"),
    "event type": ("[login]\n    scope: $systems\n    max_gap: {login: 3d}\n", "[network_traffic]\n",
                   "27:23: required_events: unknown event type 'network_traffic'; did you mean 'network_change'?"),
    "policy id": ("policies:\n", f"policies:\n  {'x' * 52}: {{}}\n",
                  "24:3: policies: expected small letters, digits, _ and -, "
                  f"at most 64, the first a letter or digit, with the pack's id and -- before it; got '{'x' * 52}'"),
    "policy controls": ("name: Refused", "controls: {PCI DSS: [a]}\n    name: Refused",
                        "32:5: controls: a policy of a pack is named by the controls of the pack"),
    "title": ("title: Sign-ins are logged", f"title: {'x' * 91}", "39:24: title: expected at most 90 characters"),
    "shows": ("shows: logging", "shows: logs",
              "39:52: shows: unknown value 'logs'; expected one of logging, nothing, operation"),
    "check": ("[sign_ins, refused_sign_ins], cites", "[sign_in, refused_sign_ins], cites",
              "39:72: policies: the pack has no policy 'sign_in'; did you mean 'sign_ins'?"),
    "question": ("[fields]", "[field]", "45:27: sign_ins: unknown question 'field'; did you mean 'fields'?"),
    "says": ("    says_not: That the details are true.\n", "",
             "40:5: a control that shows operation needs the key 'says_not'"),
    "record": ("[{retention: {min", "[{retained: {min", "52:16: unknown key 'retained'"),
    "interval": ("every: $review", "every: 36h", "59:32: every: expected whole days, or 1h, 6h or 12h, got '36h'"),
    "no check": ("    records: [{retention: {min: $keep}}]\n", "",
                 "47:5: a control that shows operation needs the key 'policies', 'records' or 'all_of'"),
    "nothing": ("shows: nothing", "shows: nothing, all_of: ['7.1']",
                "61:67: all_of: a control that shows nothing has no checks"),
    "was": ("shows: nothing", "shows: nothing, was: '7.1'",
            "61:64: was: the pack has a control '7.1'; only a control that is no more was renamed"),
    "part": ("policies: {sign_ins: [fields]}", 'all_of: ["7.2"]', "40:5: all_of: '7.2' is a part of itself"),
    "only_if": ("shows: nothing", "shows: nothing, only_if: $keep",
                "61:68: only_if: expected a parameter of the type boolean, but $keep is duration"),
    "twice": ('id: "7.5"', 'id: "7.4"', "61:5: controls: two controls have the id '7.4'"),
    "ended": ("shows: nothing", "shows: nothing, in_force: 2026-02-01, ended: 2026-02-01",
              "61:88: ended: expected a day after in_force"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "expected"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(old: str, new: str, expected: str) -> None:
    """Each mistake is told where it is, and draws none that is not there."""
    assert HOUSE.count(old) >= 1
    found = mistakes(HOUSE.replace(old, new, 1))
    assert [each for each in found if not each.startswith(expected)] == []
    assert len(found) == 1


@given(parts=st.lists(st.lists(st.integers(0, 5), max_size=3, unique=True), min_size=1, max_size=6))
def test_a_circle_of_parts_is_told_and_nothing_else_is(parts: list[list[int]]) -> None:
    """A control of each circle is named, and none that is in no circle; without these no circle is left."""
    graph = {str(n): tuple(map(str, each)) for n, each in enumerate(parts)}
    told = {*_circular({name: Control(name, "t", "logging", (), all_of=each) for name, each in graph.items()})}

    def below(name: str) -> set[str]:
        found: set[str] = set()
        waiting = [name]
        while waiting:
            new = {*graph.get(waiting.pop(), ())} - found
            found |= new
            waiting += new
        return found

    assert all(name in below(name) for name in told)
    TopologicalSorter({name: each for name, each in graph.items() if name not in told}).prepare()


def test_every_mistake_at_once() -> None:
    """All mistakes of a file come together, in its order."""
    text = HOUSE.replace("in_force", "inforce").replace("shows: logging", "shows: logs").replace("$review", "36h")
    assert [each.split(":")[0] for each in mistakes(text)] == ["11", "39", "59"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [(STRICT.replace("extends: house-rules\n", "extends: house\n"), "3:10: extends: the pack 'house' is not there"),
     (STRICT + "policies: {}\n", "16:11: policies: a pack that extends another has none of its own"),
     (STRICT.replace("id: S,", "id: R,"), "13:5: sources: two sources have the id 'R'")],
)  # fmt: skip
def test_mistakes_in_extending(text: str, expected: str) -> None:
    """A pack that extends has no policies and controls of its own, and its sources have ids of their own."""
    assert any(each.startswith(expected) for each in mistakes(text, "house-rules-strict"))


def test_the_pack_that_is_extended_is_no_path() -> None:
    """A name that is no id of a pack is never looked for, so that no pack reads a file elsewhere."""
    asked: list[str] = []

    with pytest.raises(PackError, match=r"extends: the pack '\.\./secret' is not there"):
        read(STRICT.replace("house-rules\n", "../secret\n"), "house-rules-strict", find=asked.append)
    assert asked == []


def test_types_that_a_lake_declares() -> None:
    """A policy that names a type of needs_types is read, and cannot be judged by a lake that lacks the type."""
    text = HOUSE.replace("[login]\n", "[door]\n").replace("{login: 3d}", "{door: 3d}")
    text = text.replace("recheck:", "needs_types: [door]\nrecheck:")

    assert read(text).unready == {"sign_ins": ("door",)}
    assert read(text, event_types=TYPES | {"door"}).unready == {}


def test_a_mistake_in_the_pack_that_is_extended() -> None:
    """It is told with that pack's file."""
    broken = HOUSE.replace("shows: logging", "shows: logs").encode()
    with pytest.raises(PackError) as caught:
        read(STRICT, "house-rules-strict", find={"house-rules": (broken, "base.yaml")}.get)
    assert caught.value.problems[0].startswith("base.yaml:39:52: shows: ")


def test_what_a_lake_sets_goes_before_the_default() -> None:
    """Other parameters keep theirs, and a policy follows what is set."""
    year = parse_duration("1y", "retention_period")
    pack = read(values={"keep": year})
    assert (str(pack.values["keep"]), str(pack.values["review"])) == ("1y", "7d")
    assert pack.policies["sign_ins"].retention_period == year
