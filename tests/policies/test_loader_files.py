"""Policy files as a whole: conditions and tests in their place, broken files, folders, and what loading costs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.errors import PolicyError
from auditlake.policies.loader import load_policies, load_policy

TYPES = frozenset({"login", "logout", "auth_failure", "data_access"})

BASE = """\
name: Logins
description: Watch logins
required_events: [login, logout]
retention_period: 30d
alert_threshold: 3
"""


def _problems(text: str | bytes, policy_id: str = "logins") -> list[str]:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, file="p.yaml", policy_id=policy_id, event_types=TYPES)
    return [problem.removeprefix("p.yaml:") for problem in caught.value.problems]


_STATUZ = "where: an event has no column 'statuz'; did you mean status?"

# name: (lines from the sixth on, line:column of the mistake)
CONDITIONS = {
    "plain": ("where: status = 'a' and statuz = 'b'", "6:25"),
    "plain, on two lines": ("where: status = 'a'\n  and statuz = 'b'", "7:7"),
    "plain, on the next line": ("where:\n  statuz = 'b'", "7:3"),
    "single quotes": ("where: 'status = ''ä'' and statuz = ''b'''", "6:28"),
    "double quotes": ("where: \"status = 'a' and statuz = 'b'\"", "6:26"),
    "double quotes, on two lines": ("where: \"status = 'a'\n\n   and statuz = 'b'\"", "8:8"),
    "double quotes with an escape": ("where: \"status = '\\u0061' and statuz = 'b'\"", "6:8"),
    "literal": ("where: |\n  status = 'a'\n    and statuz = 'b'\n", "8:9"),
    "literal with a comment": ("where: |-  # two lines\n  status = 'a'\n  and statuz = 'b'\n", "8:7"),
    "folded": ("where: >-\n  status = 'a'\n\n  and statuz = 'b'\n", "9:7"),
}


@pytest.mark.parametrize(("lines", "place"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_place_in_a_condition(lines: str, place: str) -> None:
    """A mistake in a condition is where the word is, whatever way the condition is written in YAML."""
    assert _problems(BASE + lines) == [f"{place}: {_STATUZ}"]


def test_condition_without_a_place() -> None:
    """A mistake that DuckDB gives no place for is at the start of the condition."""
    assert _problems(BASE + "where: status") == ["6:8: where: a condition must be true or false, but this is VARCHAR"]


_Table = dict[str, tuple[str, list[tuple[int, str, str]]]]
_Z = "2026-01-01T00:00:00Z"

# name: (a test, in which Z is an instant, mistakes: line, what stands there, message)
TESTS: _Table = {
    "no mapping": (
        "3",
        [
            (7, "3", "a test: expected keys with values, got 3, which YAML takes for a number"),
        ],
    ),
    "nothing": (
        "{}",
        [
            (7, "{}", "a test needs the key 'events'"),
            (7, "{}", "a test needs the key 'expect'"),
            (7, "{}", "a test needs the key 'name'"),
        ],
    ),
    "an unknown key": (
        "{name: a, events: [], as_of: Z, expects: {}, expect: {total: 0}}",
        [
            (7, "expects", "unknown key 'expects'; did you mean 'expect'?"),
        ],
    ),
    "no events and no end": (
        "{name: a, events: [], expect: {total: 0}}",
        [
            (7, "{name", "a test without events needs the key 'as_of'"),
        ],
    ),
    "since after as_of": (
        "{name: a, events: [], as_of: Z, since: Z, expect: {total: 0}}",
        [
            (7, "Z, expect", "since: expected an instant before as_of"),
        ],
    ),
    "an instant that is none": (
        "{name: a, events: [], as_of: yesterday, expect: {total: 0}}",
        [
            (7, "yesterday,", "as_of: not a time: 'yesterday'; expected e.g. 2026-11-24T09:30:00Z"),
        ],
    ),
    "nothing expected": (
        "{name: a, events: [{type: login, at: Z}], expect: {}}",
        [
            (7, "{}}", "expect: expected at least one of status, missing, episodes, gaps, incomplete, total, peak"),
        ],
    ),
    "an unknown expectation": (
        "{name: a, events: [{type: login, at: Z}], expect: {episode: 1, status: ok, missing: [x]}}",
        [
            (7, "episode:", "unknown key 'episode'; did you mean 'episodes'?"),
            (7, "ok,", "status: unknown value 'ok'; expected one of compliant, no_data, violation"),
            (7, "x]", "missing: unknown event type 'x'; expected one of auth_failure, data_access, login, logout"),
        ],
    ),
    "a missing type that is not required": (
        "{name: a, events: [{type: login, at: Z}], expect: {missing: [auth_failure]}}",
        [
            (7, "- {name", "test 'a': 'auth_failure' is not among required_events"),
        ],
    ),
    "a name twice": (
        "{name: a, events: [], as_of: Z, expect: {total: 0}}\n- {name: a, events: [], as_of: Z, expect: {total: 0}}",
        [
            (8, "{name", "tests: two tests are named 'a'"),
        ],
    ),
}

# name: (an event of a test, mistakes: line, what stands there, message)
EVENTS: _Table = {
    "no mapping": (
        "3",
        [
            (7, "3", "an event: expected keys with values, got 3, which YAML takes for a number"),
        ],
    ),
    "nothing": (
        "{}",
        [
            (7, "{}", "an event needs either 'at' or 'timestamp'"),
            (7, "{}", "an event needs either 'type' or 'event_type'"),
        ],
    ),
    "both": (
        "{type: login, event_type: login, at: Z}",
        [
            (7, "{type", "an event needs either 'type' or 'event_type'"),
        ],
    ),
    "an unknown type": (
        "{type: logn, at: Z}",
        [
            (7, "logn", "type: unknown event type 'logn'; did you mean 'login'?"),
        ],
    ),
    "an unknown column": (
        "{type: login, at: Z, user: a}",
        [
            (7, "user:", "unknown key 'user'; did you mean 'user_id'?"),
        ],
    ),
    "a number for a user": (
        "{type: login, at: Z, user_id: 7}",
        [
            (7, "7}", "user_id: expected text, got 7, which YAML takes for a number; quote it: '7'"),
        ],
    ),
    "a bad instant": (
        "{type: login, at: 2026-02-30T00:00:00Z}",
        [
            (7, "2026-02-30", "at: not a time: '2026-02-30T00:00:00Z'; day is out of range for month"),
        ],
    ),
    "every without count": (
        "{type: login, at: Z, every: 1h}",
        [
            (7, "1h", "every: expected with 'count', which is missing"),
        ],
    ),
    "every month": (
        "{type: login, at: Z, count: 2, every: 1mo}",
        [
            (
                7,
                "1mo",
                "every: '1mo' counts months or years, whose length varies; every takes days and shorter, such as 30d",
            ),
        ],
    ),
    "count of zero": (
        "{type: login, at: Z, count: 0}",
        [
            (7, "0}", "count: expected a whole number from 1 to 10000, got 0, which YAML takes for a number"),
        ],
    ),
    "an id for many": (
        "{type: login, at: Z, count: 2, event_id: a}",
        [
            (7, "a}", "event_id: not with 'count': each event has an id of its own"),
        ],
    ),
    "too late": (
        "{type: login, at: 9998-12-31T00:00:00Z, count: 10, every: 199d}",
        [
            (7, "{type", "the last of these events would be after the year 9999"),
        ],
    ),
    "YAML's other numbers": (
        "{type: login, at: Z, details: [0x10, yes, .inf]}",
        [
            (7, "0x10", "details: expected what JSON knows, got 0x10, which YAML takes for a number; quote it: '0x10'"),
            (
                7,
                "yes",
                "details: expected what JSON knows, got yes, which YAML takes for a truth value; quote it: 'yes'",
            ),
            (7, ".inf", "details: expected what JSON knows, got .inf, which YAML takes for a number; quote it: '.inf'"),
        ],
    ),
    "too many": (
        "{type: login, at: Z, count: 9000}, {type: login, at: Z, count: 1001}, {type: login, at: Z, count: 9}",
        [
            (7, "{type: login, at: Z, count: 1001}", "the tests of a policy have at most 10,000 events in all"),
        ],
    ),
}


def _check_places(text: str, mistakes: list[tuple[int, str, str]]) -> None:
    """Each mistake's column is where the word stands that it is about."""
    found = [problem.split(":", 2) for problem in _problems(text)]
    lines = text.splitlines()

    assert [(int(line), message.strip()) for line, _, message in found] == [(line, what) for line, _, what in mistakes]
    for (line, column, _), (_, word, _) in zip(found, mistakes, strict=True):
        assert lines[int(line) - 1][int(column) - 1 :].startswith(word.replace("Z", _Z))


@pytest.mark.parametrize(("test", "mistakes"), TESTS.values(), ids=TESTS.keys())
def test_mistake_in_a_test(test: str, mistakes: list[tuple[int, str, str]]) -> None:
    """A policy's own tests are read as strictly as the policy."""
    _check_places(f"{BASE}tests:\n- {test}\n".replace(": Z", f": {_Z}"), mistakes)


@pytest.mark.parametrize(("event", "mistakes"), EVENTS.values(), ids=EVENTS.keys())
def test_mistake_in_an_event(event: str, mistakes: list[tuple[int, str, str]]) -> None:
    """A test's events have known types, known columns and real instants."""
    test = f"- {{name: a, events: [{event}], expect: {{total: 1}}}}"
    _check_places(f"{BASE}tests:\n{test}\n".replace(": Z", f": {_Z}"), mistakes)


# name: (content, mistakes)
BROKEN: dict[str, tuple[str | bytes, list[str]]] = {
    "an empty file": (
        "",
        ["1:1: the file is empty; a policy needs name, description, required_events"],
    ),
    "comments alone": (
        "# nothing\n",
        ["1:1: the file is empty; a policy needs name, description, required_events"],
    ),
    "a list": ("- a", ["1:1: a policy: expected keys with values, got a list"]),
    "a text": ("policy", ["1:1: a policy: expected keys with values, got the text 'policy'"]),
    "a second document": (
        BASE + "---\nname: x\n",
        ["6:1: a file holds one policy; a second document begins here"],
    ),
    "too large": (BASE + "#" * (1 << 20), ["1:1: the file is larger than 1 MiB"]),
    "Latin-1": (BASE.encode() + b"# caf\xe9", ["6:6: the file is not UTF-8 (byte 0xe9)"]),
    "UTF-16": (BASE.encode("utf-16"), ["1:1: the file is not UTF-8 (byte 0xff)"]),
    "a lone surrogate": (BASE + "# \ud800", ["6:3: the file is not UTF-8 (byte 0xed)"]),
    "a NUL": (BASE + "# ä\0", ["6:4: the character U+0000 is not allowed in YAML"]),
    "an escape character": (BASE + "# \x1b[31m", ["6:3: the character U+001B is not allowed in YAML"]),
    "nested too deep": (
        BASE + "tests: " + "[" * 40,
        ["6:39: this is not YAML: nested more than 32 deep"],
    ),
    "a deep mapping": (
        BASE + "tests: " + "{a: " * 40,
        ["6:132: this is not YAML: nested more than 32 deep"],
    ),
    "a billion laughs": (
        BASE + "controls:\n  a: &a [x, y]\n  b: &b [*a, *a]\n",
        [
            "7:6: an anchor (&a) is not allowed; write the value where it is used",
            "8:6: an anchor (&b) is not allowed; write the value where it is used",
            "8:10: an alias (*a) is not allowed; write the value out",
            "8:14: an alias (*a) is not allowed; write the value out",
        ],
    ),
}


@pytest.mark.parametrize(("content", "mistakes"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_file(content: str | bytes, mistakes: list[str]) -> None:
    """A file that is no policy at all says why, and where it stops being one."""
    assert _problems(content) == mistakes


@pytest.mark.parametrize(
    ("text", "place"),
    [("name: [a\nb: c", "2:2"), ('name: "a', "1:9"), ("\tname: a", "1:1"), ("name: a: b", "1:8"), ("a\n  b: c", "2:4")],
)
def test_syntax(text: str, place: str) -> None:
    """What is not YAML says so in one line, at its place."""
    (problem,) = _problems(text)

    assert problem.startswith(f"{place}: this is not YAML: ")
    assert "\n" not in problem


def test_every_mistake_at_once() -> None:
    """One run names every mistake of a file, from the file's name to the last line, in the file's order."""
    text = "name: no\ndescription: !x y\nrequired_events: [logn]\nretention_period: 0d\nalert_threshold: 0\n" + (
        "where: random() > 1\nwindow: 1mo\nseverity: hi\ncolour: red\nname: a\ntests:\n"
        "- {name: a, events: 1, expect: []}\n"
    )

    assert [problem.split(": ")[0] for problem in _problems(text, "Not An Id")] == [
        *("1:1", "1:7", "2:14", "3:19", "4:19", "5:18", "6:8", "7:9", "8:11", "9:1", "10:1", "12:21", "12:32")
    ]


@pytest.mark.parametrize("policy_id", ["a", "0", "a" * 64, "a-b_c9"])
def test_id(policy_id: str) -> None:
    """An id is small letters, digits, _ and -."""
    assert load_policy(BASE, file="p.yaml", policy_id=policy_id, event_types=TYPES).id == policy_id


@pytest.mark.parametrize("policy_id", ["", "A", "a" * 65, "-a", "_a", "a.b", "a b", "ä", "a\n", "../a"])
def test_id_refused(policy_id: str) -> None:
    """Any other id is refused."""
    assert _problems(BASE, policy_id) == [
        "1:1: the file's name is the policy's id: expected small letters, digits, _ and -, at most 64, "
        f"the first a letter or digit; got {policy_id!r}"
    ]


@settings(deadline=None)
@given(st.text(max_size=80) | st.binary(max_size=80) | st.text("abn:-[]{}&*!|>'\"#%@` \n,?~.0", max_size=60))
def test_anything(content: str | bytes) -> None:
    """Whatever a file holds, the answer is a list of mistakes, one line each."""
    with pytest.raises(PolicyError) as caught:
        load_policy(content, file="p.yaml", policy_id="p", event_types=TYPES)

    assert all(problem.startswith("p.yaml:") and "\n" not in problem for problem in caught.value.problems)
    assert caught.value.problems


def test_byte_order_mark() -> None:
    """A byte order mark is not part of the text, but of the digest."""
    plain = load_policy(BASE.encode(), file="p.yaml", policy_id="p", event_types=TYPES)
    marked = load_policy(b"\xef\xbb\xbf" + BASE.encode(), file="p.yaml", policy_id="p", event_types=TYPES)

    assert marked.text == plain.text
    assert marked.digest != plain.digest


def test_folder(tmp_path: Path) -> None:
    """A folder gives its policies sorted by id, and other files are left alone."""
    for name in ("b", "a", "a-b"):
        (tmp_path / f"{name}.yaml").write_text(BASE)
    (tmp_path / "README.md").write_text("not a policy")
    (tmp_path / "within").mkdir()
    (tmp_path / "within" / "c.yaml").write_text("not read")

    assert [policy.id for policy in load_policies(tmp_path, TYPES)] == ["a", "a-b", "b"]
    assert load_policies(tmp_path / "within" / "..", TYPES) == load_policies(str(tmp_path), TYPES)


def test_folder_with_mistakes(tmp_path: Path) -> None:
    """The mistakes of all files come together, and a file that nobody would read is one of them."""
    (tmp_path / "good.yaml").write_text(BASE)
    (tmp_path / "bad.yaml").write_text(BASE.replace("logout", "logot") + "windw: 3h\n")
    (tmp_path / "Worse.yaml").write_text("name: [\n")
    (tmp_path / "other.yml").write_text(BASE)
    (tmp_path / "large.yaml").write_bytes(b"#" * (2 << 20))
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "lost.yaml").symlink_to(tmp_path / "nowhere")

    with pytest.raises(PolicyError) as caught:
        load_policies(tmp_path, TYPES)

    found = [problem.removeprefix(f"{tmp_path}/") for problem in caught.value.problems]
    assert [problem.split(": ")[0] for problem in found] == [
        *("Worse.yaml:1:1", "Worse.yaml:2:1", "bad.yaml:3:26", "bad.yaml:6:1", "folder.yaml:1:1"),
        *("large.yaml:1:1", "lost.yaml:1:1", "other.yml:1:1", "pipe.yaml:1:1"),
    ]
    assert "other.yml:1:1: a policy's file name ends in .yaml; rename it to other.yaml" in found


def test_no_folder(tmp_path: Path) -> None:
    """A folder that is not there is an error, and an empty one is not."""
    assert load_policies(tmp_path, TYPES) == ()
    with pytest.raises(PolicyError, match=r"none:1:1: the folder of policies cannot be read: No such file"):
        load_policies(tmp_path / "none", TYPES)


def test_imports() -> None:
    """DuckDB and sqlglot are imported for a condition, and not before."""
    code = f"""
import sys
from auditlake.policies.loader import load_policy
heavy = lambda: [name for name in ("duckdb", "sqlglot") if name in sys.modules]
load = lambda text: load_policy(text, file="p", policy_id="p", event_types=frozenset({{"login", "logout"}}))
load({BASE!r})
print(heavy())
load({BASE!r} + "where: status = 'a'")
print(heavy())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert shown == "[]\n['duckdb', 'sqlglot']\n"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("- a\n" * 250_000, marks=pytest.mark.soak),
        "[" * 1_000_000,
        pytest.param("a: &a [*a, *a]\n" * 60_000, marks=pytest.mark.soak),
        "{a: " * 250_000,
        "- - - " * 170_000,
    ],
    ids=["a long list", "brackets", "aliases", "mappings", "dashes"],
)
def test_large_nonsense_is_refused_soon(text: str) -> None:
    """A megabyte of nonsense is refused after seconds of work, however long the processor takes for them."""
    start = time.process_time()

    assert _problems(text)
    assert time.process_time() - start < 20
