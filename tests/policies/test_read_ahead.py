"""Conditions that are read many at once are taken and refused as each is by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditlake.policies import condition
from auditlake.policies.condition import ConditionError, check_condition, condition_tree, read_ahead
from tests.policies.test_condition import ACCEPTED
from tests.policies.test_condition_refused import REFUSED

_TAKEN = [text for text, _ in ACCEPTED][::3]
_REFUSED = [text for text, _, _ in REFUSED.values()][::4]


@pytest.fixture(autouse=True)
def _nothing_known() -> None:
    _forget()


def _forget() -> None:
    condition._READ.clear()
    for known in (condition._checked, condition._tree, condition._is_carried):
        known.cache_clear()


def _judged(texts: Sequence[str]) -> list[tuple[object, ...]]:
    judged: list[tuple[object, ...]] = []
    for text in texts:
        try:
            judged.append((check_condition(text, tried=False, carried=False),))
        except ConditionError as error:
            judged.append((str(error), error.offset))
    return judged


@pytest.mark.parametrize("texts", [_TAKEN, [*_TAKEN[::2], *_REFUSED]], ids=["all are taken", "some are refused"])
def test_many_are_judged_as_each_is(texts: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Spelling, message and place are the same; what was read ahead is not parsed again."""
    by_itself = _judged(texts)
    _forget()
    read_ahead(texts)
    if texts is _TAKEN:
        monkeypatch.setattr(condition._GATE, "_type", None)

    assert _judged(texts) == by_itself


_WORD = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.:/@-]{1,12}", fullmatch=True),
    st.sampled_from(["select", "null", "true", "year", "2024-02-29", "12:34:56", "-1", "1e5", "--", "$.a"]),
)
_NAME = st.from_regex(r"[A-Za-z_]{1,8}", fullmatch=True) | st.sampled_from(["select", "from", "not", "is_null"])


@settings(max_examples=25)
@given(st.lists(_WORD, min_size=1, max_size=4), st.lists(_NAME, min_size=1, max_size=3))
def test_words_make_no_difference(words: list[str], names: list[str]) -> None:
    """A condition is carried where one with other words is: these are what is compared, and the names of a path."""
    listed = ", ".join(f"'{word}'" for word in words)
    at = f"details ->> '$.{'.'.join(names)}'"
    text = f"lower({at}) in ({listed}) and ({at}) <> '{words[0]}' and status = '{words[-1]}'"

    assert condition._is_carried_alike(check_condition(text, tried=False))
    assert condition_tree(text)


def test_one_that_is_nested_too_deeply() -> None:
    """It is refused among many, as it is by itself, and the others are taken."""
    deep = "case when true then " * 600 + "true" + " end" * 600
    texts = [deep, *(f"status = '{number}'" for number in range(4))]
    by_itself = _judged(texts)
    _forget()
    read_ahead(texts)

    assert _judged(texts) == by_itself
    assert "nested too deeply" in str(by_itself[0])


def test_one_that_cannot_be_carried() -> None:
    """It is refused among many, each of which was read ahead."""
    odd = REFUSED["a recursive JSON path"][0]
    read_ahead([odd, *(f"status = '{number}'" for number in range(4))])

    with pytest.raises(ConditionError, match="cannot be carried"):
        check_condition(odd, tried=False)
