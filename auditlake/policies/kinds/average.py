"""The measure ``average``: the mean of the numbers in a rolling window."""

from __future__ import annotations

from auditlake.policies.kinds.sum import SumKind


class AverageKind(SumKind):
    """The average of a number over a group's events; there is none where the window has no number."""

    name = "average"
    asked_by = "average"
    title = "Averages"
    meaning = "The average of the numbers, if there are any,"
    is_average = True
    of_nothing = None
    least = -SumKind.most
    what = "The column or expression whose numbers are averaged."
