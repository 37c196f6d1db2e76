"""Policies judged by a cluster: Spark over Spark Connect, or any server that speaks it.

Hides how a session is opened, how a statement of ``sql/slices`` becomes one of Spark's, and how DuckDB evaluates a policy's
condition within the executors. The lake is only read, file by file as its snapshot lists them.
The door: ``engine.open_spark``, ``engine.SparkEngine``.
Read first: ``engine.py``.
"""
