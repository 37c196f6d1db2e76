"""The Delta table under ``events/``: reading a version of it, and the one way to change it.

Hides delta-rs and its log, the order in which a commit becomes durable, and what a writer must do before its own.
The door: ``turn.writer_turn``, ``snapshot.read_snapshot``, ``model.Snapshot``.
Read first: ``turn.py``.
"""
