"""Live events before they are in the table: slots of segments, one writer each.

Hides the group commit, how a segment is cut, and how far the table has come, so that each event counts exactly once.
The door: ``trail.Trail``, ``flush.flush``, ``newest_view.view_newest``.
Read first: ``trail.py``.
"""
