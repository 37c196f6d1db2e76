"""Personal data in the texts of an event: what is replaced, and that every other byte stays."""

from __future__ import annotations

import json
import sys
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.events.json_tokens import rewritten, scalars
from auditlake.events.personal import Eraser, PersonalData, Row
from auditlake.events.personal_paths import PersonalPath, personal_path
from auditlake.ingest.erased_again import is_erased
from auditlake.sources.catalog import built_in
from auditlake.store.pseudonyms import Pseudonyms

NAMES = Pseudonyms(bytes(32))
EMAIL = PersonalPath("details", ("to", "email"))
WORDS = st.sampled_from(["ann", "10.0.0.1", "Ann", "ann's", "to", "email", 'q"u\\o', "é", ""])
NUMBERS = st.sampled_from(["1.50", "9007199254740993.0", "1e-400", "-0", "12345678901234567.89", "true", "false"])


def written(value: Any) -> str:
    """JSON text of pairs, lists, words and numbers as they are written."""
    if isinstance(value, tuple):
        return "{" + ", ".join(f"{json.dumps(key)} :{written(each)}" for key, each in value) + "}"
    if isinstance(value, list):
        return "[" + " , ".join(map(written, value)) + "]"
    return value[1:] if value.startswith("#") else json.dumps(value)


DOCUMENTS = st.recursive(
    WORDS | NUMBERS.map("#{}".format) | st.just("#null"),
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(WORDS, inner), max_size=4).map(tuple),
    max_leaves=12,
)


def replaced(value: Any, path: tuple[str, ...], words: set[str]) -> Any:
    """What a value becomes, told in the plainest way."""
    if isinstance(value, tuple):
        return tuple((key, replaced(each, (*path, key), words)) for key, each in value)
    if isinstance(value, list):
        return [replaced(each, path, words) for each in value]
    is_place, text = path[:2] == EMAIL.steps, value.removeprefix("#")
    return NAMES.of(text) if value in words or (is_place and value != "#null") else value


def places(value: Any, path: tuple[str, ...] = ()) -> set[str]:
    """The texts at the place."""
    if isinstance(value, tuple):
        return {text for key, each in value for text in places(each, (*path, key))}
    if isinstance(value, list):
        return {text for each in value for text in places(each, path)}
    return {value} if path[:2] == EMAIL.steps and value and not value.startswith("#") else set()


def number(text: str) -> tuple[str, str]:
    """A number as it is written."""
    return ("#", text)


def meant(value: str) -> Any:
    """What a document says, its keys in order and each number as it is written."""
    return json.loads(value, object_pairs_hook=tuple, parse_int=number, parse_float=number)


@given(document=DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_only_what_is_personal_is_replaced(document: Any) -> None:
    """Values at a place and whole texts of the same value become pseudonyms; digits, order and repeated keys stay."""
    text = written(document)
    row = Row("auditlake", None, "ann", None, text, None, "ann", "10.0.0.1", None)
    after = Eraser(NAMES, built_in().personal_data, (EMAIL,)).erased(row)
    words = {"ann", "10.0.0.1"} | places(document)

    assert after.details is not None
    assert meant(after.details) == meant(written(replaced(document, (), words)))
    assert after.resource == NAMES.of("ann")
    assert (
        Eraser(NAMES, built_in().personal_data, (EMAIL,)).erased(row._replace(details=after.details)).details
        == after.details
    )
    assert is_erased(NAMES, text, after.details)


def test_another_document_is_no_erased_one() -> None:
    """What differs in a value, a digit, an order or a pseudonym of another value is another document."""
    known = '{"a":["ANN",1.50],"b":{"c":"x"}}'.replace("ANN", NAMES.of("ann"))
    for came, same in {
        '{"a": ["ann", 1.50], "b": {"c": "x"}}': True, '{"a":["\\u0061nn",1.50],"b":{"c":"x"}}': True,
        known: True, '{"a":["bob",1.50],"b":{"c":"x"}}': False, '{"a":["ann",1.5],"b":{"c":"x"}}': False,
        '{"a":["ann",1.50,2],"b":{"c":"x"}}': False, '{"b":{"c":"x"},"a":["ann",1.50]}': False,
        '{"a":["ann",1.50],"b":{"c":"x"}} ,': False, '{"a":["ann",1.50]': False, "": False,
        '{"a":["ann",1.50],"b":{"c":"x","c":"x"}}': False,
    }.items():  # fmt: skip
        assert is_erased(NAMES, came, known) is same, came
    whole = json.dumps({"a": NAMES.of('{"b":[1.50,"é"]}'), "n": NAMES.of("1.50")})
    assert is_erased(NAMES, '{"a": {"b": [1.50, "\\u00e9"]}, "n": 1.50}', whole)


def test_what_is_left_is_counted() -> None:
    """Names in longer texts and keys are counted by their place, which does not tell it; parts of words are not."""
    listed = [{"text": "by ann"}, {"text": "annette"}]
    details = {"note": "ann's host", "list": listed, "by ann": 1, "ann": {"x": "to ann"}}
    row = Row("auditlake", "ask ann", "ann/x", None, json.dumps(details), None, "ann", None, None)
    eraser = Eraser(NAMES, built_in().personal_data)
    eraser.erased(row, count=True)

    places = {"$.details.note", "$.details.list.text", "$.details.….x", "action", "resource"}
    assert +eraser.left == dict.fromkeys(places, 1)
    assert +eraser.left_keys == {"$.details": 2}


def test_cloudtrail_names_itself_in_parts() -> None:
    """A user's name in the ARN, and a session's in the principal, are names; services and accounts are not."""
    arn = "arn:aws:sts::123456789012:assumed-role/ops/ann@example.org"
    principal = "AROAEXAMPLEEXAMPLE:ann@example.org"
    details = {
        "eventSource": "ec2.amazonaws.com", "recipientAccountId": "123456789012",
        "userIdentity": {"arn": arn, "principalId": principal, "accountId": "123456789012"},
        "sourceIPAddress": "ec2.amazonaws.com", "requestParameters": {"tags": [["ann@example.org", "ops"]]},
    }  # fmt: skip
    row = Row("cloudtrail", None, None, None, json.dumps(details), None, arn, None, None)
    after = json.loads(Eraser(NAMES, built_in().personal_data).erased(row).details or "")

    assert after["requestParameters"]["tags"] == [[NAMES.of("ann@example.org"), "ops"]]
    assert (after["eventSource"], after["sourceIPAddress"]) == ("ec2.amazonaws.com",) * 2
    assert after["userIdentity"] == {
        "arn": NAMES.of(arn), "principalId": NAMES.of(principal), "accountId": "123456789012"
    }  # fmt: skip


def test_every_place_can_be_read() -> None:
    """Every source names its places of personal data in its row; each is a place, and is there once."""
    for about in built_in().personal_data.values():
        told = [*about.names, *about.traces]
        assert len(about.paths) == len(told) == len(set(told))
        assert all(personal_path(text) for text in told)


@given(text=st.text(max_size=40))
@settings(max_examples=60, deadline=None)
def test_no_text_makes_it_fail(text: str) -> None:
    """What is no JSON stays as it is where nothing in it is to be replaced."""
    assert rewritten(text, [], str) == text
    assert all(0 <= each.start < each.stop <= len(text) for each in scalars(text))


def test_expressions_of_mappings_take_no_longer_than_the_text_is_long() -> None:
    """An expression that other engines go back and forth for is done in one go; groups are what they held."""
    about = PersonalData(nobody="(a+)+b|system:.*", within=("(?:user|(group)):(.+)", "(x+x+)+y"))

    assert not about.is_nobody("a" * 50_000)
    assert list(about.parts("x" * 50_000)) == []
    assert about.is_nobody("system:node") and not about.is_nobody("a system:node") and not about.is_nobody("")
    assert list(about.parts("group:ann")) == ["group", "ann"]
    assert list(about.parts("user:Zoë")) == ["Zoë"]
    assert list(about.parts("user:\ud800")) == ["?"]
    assert PersonalData().is_nobody("")


def test_long_texts_are_not_kept() -> None:
    """A prompt at a personal place is held no longer than it is asked about."""
    long = "x" * 10_000
    about, before = PersonalData(nobody="system:.*"), sys.getrefcount(long)

    assert not about.is_nobody(long)
    assert sys.getrefcount(long) == before
