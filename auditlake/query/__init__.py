"""Query: SQL by the lake's trusted owner, over a snapshot or over everything that is there.

Hides how the view ``events`` is made, how far the disk is read for it, and in which forms its rows are fetched.
The door: ``view.engine``, ``view.ask``, ``rows.Rows``.
Read first: ``view.py``.
"""
