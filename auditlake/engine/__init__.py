"""The engine: how SQL is found, spelled and run.

Hides how DuckDB is opened and what it raises, how values leave it exactly or as lines, and which paths it misreads.
The door: ``model.Engine``, ``duck.connect``, ``statements.statement``.
Read first: ``model.py``.
"""
