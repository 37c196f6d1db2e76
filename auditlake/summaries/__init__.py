"""What statements count in each data file, kept so that a question about counts reads no rows.

Hides where these counts lie, how those of many files become one, and when they are believed.
The door: ``lake.LakeSummaries``, ``lake.lake_summaries``, ``segments.forget_summaries``.
Read first: ``lake.py``.
"""
