"""Change reports: what became different between two reports, each difference with its cause.

Hides how a report is evaluated again with one thing changed at a time, and how findings of two reports are matched.
The door: ``run.changes``, ``model.Changes``.
Read first: ``run.py``.
"""
