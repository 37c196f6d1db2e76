"""Whether a condition can hold where fields are in no event: never said wrongly of one that can."""

from __future__ import annotations

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from auditlake.sigma.logic import AllOf, AnyOf, Comparison, Condition, Not, can_hold, every, some, sql_of

leaves = st.builds(Comparison, st.sampled_from(["a", "b", "c"]), st.just(()), st.booleans()).map(
    lambda leaf: Comparison(f"{leaf.sql}{leaf.absent}", (leaf.sql,), leaf.absent)
)
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(every, inner, inner), st.builds(some, inner, inner, inner)
    ),
    max_leaves=8,
)


def holds(condition: Condition, truth: dict[str, bool]) -> bool:
    """Evaluate a condition, given what each of its tests gives."""
    if isinstance(condition, Comparison):
        return truth[condition.sql]
    if isinstance(condition, Not):
        return not holds(condition.part, truth)
    return (all if isinstance(condition, AllOf) else any)(holds(part, truth) for part in condition.parts)


def comparisons_of(condition: Condition) -> set[Comparison]:
    if isinstance(condition, Comparison):
        return {condition}
    parts = (condition.part,) if isinstance(condition, Not) else condition.parts
    return set().union(*map(comparisons_of, parts))


@given(trees, st.sets(st.sampled_from(["a", "b", "c"])))
def test_can_hold(condition: Condition, unseen: set[str]) -> None:
    """Where it is said that a condition cannot hold, no values of the other fields make it hold."""
    tests = sorted(comparisons_of(condition), key=lambda each: each.sql)
    choices = [(each.absent,) if unseen & set(each.fields) else (False, True) for each in tests]
    possible = any(holds(condition, dict(zip((each.sql for each in tests), values, strict=True)))
                   for values in product(*choices))  # fmt: skip

    assert can_hold(condition, frozenset(unseen)) or not possible


def test_sql() -> None:
    """Alternatives are bracketed within a conjunction, and `not` takes what is unknown for false."""
    one, two = Comparison("a = 1", ("a",)), Comparison("b = 1", ("b",))

    assert sql_of(every(one, some(two, Not(one)))) == "a = 1 and (b = 1 or not coalesce(a = 1, false))"
    assert isinstance(some(one, one), Comparison) and isinstance(some(one, two), AnyOf)
