"""Which of two values of a parameter is the weaker one."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditlake.events.durations import Duration
from auditlake.packs.model import Parameter, Value
from auditlake.packs.parameters import STRICTER, is_same, is_weaker, needs_decision, shown_value

SPACES: dict[str, st.SearchStrategy[Value]] = {
    "duration": st.integers(1, 9).map(lambda days: Duration(f"{days}d", days * 86_400_000_000)),
    "number": st.integers(0, 9) | st.integers(0, 90).map(lambda tenths: Decimal(tenths) / 10),
    "several": st.lists(st.sampled_from("abc"), unique=True).map(tuple),
}
ORDERED = [(kind, way) for kind in SPACES for way in STRICTER[kind] if way != "free"]
OPPOSITE = {"longer": "shorter", "higher": "lower", "subset": "superset"} | {
    "shorter": "longer", "lower": "higher", "superset": "subset",
}  # fmt: skip


def as_good(kind: str, way: str, value: Value, other: Value) -> bool:
    """An oracle: whether a value asks for at least as much as another."""
    if kind == "several":
        return set(other) <= set(value) if way == "superset" else set(value) <= set(other)
    one, two = (each.microseconds if isinstance(each, Duration) else each for each in (value, other))
    return one >= two if way in ("longer", "higher") else one <= two


@pytest.mark.parametrize(("kind", "way"), ORDERED)
@given(data=st.data())
def test_directions(kind: str, way: str, data: st.DataObject) -> None:
    """A value is weaker unless it asks for as much as the default; what is weaker one way is none the other way."""
    value, default, third = (data.draw(SPACES[kind]) for _ in range(3))
    parameter = Parameter("p", kind, default, ("a", "b", "c"), way, ("1",))
    weaker = is_weaker(parameter, value)

    assert weaker is not as_good(kind, way, value, default)
    assert not is_weaker(parameter, default)
    assert needs_decision(parameter, value) is weaker
    assert not needs_decision(Parameter("p", kind, default, ("a", "b", "c"), way), value)
    if kind != "several":
        assert not (weaker and is_weaker(Parameter("p", kind, default, (), OPPOSITE[way], ("1",)), value))
    if not weaker and not is_weaker(parameter, third, value):
        assert not is_weaker(parameter, third)


@pytest.mark.parametrize(
    ("kind", "value", "same", "others"),
    [
        ("duration", Duration("2d", 172_800_000_000), ["2d", "48h", "P2D"], ["3d", "2", 2, "soon", None, ["2d"]]),
        ("number", Decimal("0.99"), [0.99], [0.98, True]),
        ("number", Decimal("0.00001"), [0.00001], [0.0001]),
        ("number", 1, [1, 1.0], [True, 2]),
        ("several", ("a", "b"), [["a", "b"], ["b", "a"]], [["a"], "a", ["a", "x"]]),
        ("boolean", True, [True], [1, "true"]),
        ("one", "a", ["a"], ["b", "x"]),
    ],
)
def test_a_value_is_the_same_however_it_is_written(
    kind: str, value: Value, same: list[object], others: list[object]
) -> None:
    """Lengths are equal as lengths, and lists as sets; what the parameter cannot have is never the same."""
    parameter = Parameter("p", kind, value, ("a", "b") if kind in ("one", "several") else ())

    assert [is_same(parameter, value, each) for each in (shown_value(value), *same)] == [True] * (len(same) + 1)
    assert [is_same(parameter, value, each) for each in others] == [False] * len(others)


@pytest.mark.parametrize("kind", [*STRICTER])
def test_free_values_are_never_weaker(kind: str) -> None:
    """Where a lake may go in any direction, no value needs a decision."""
    assert not is_weaker(Parameter("p", kind, "a", cites=("1",)), "b")
