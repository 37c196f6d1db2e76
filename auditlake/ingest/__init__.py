"""Ingest: records become events, and one commit.

Hides how records are mapped, how duplicates, conflicts and erased events are recognised, and what memory that takes.
The door: ``ingest.ingest``, ``custody.IngestOptions``, ``custody.IngestSummary``.
Read first: ``ingest.py``.
"""
