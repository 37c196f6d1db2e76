"""Policies judged by a cluster: Spark over Spark Connect, or any server that speaks it.

Hides how a session is opened, how a statement of ``sql/slices`` becomes one of Spark's, and how DuckDB evaluates
conditions within the executors. The lake is only read, file by file as its snapshot lists them.
The door: ``open.open_slices``, ``engine.open_spark``.
Read first: ``engine.py``.
"""
