"""Confined processes: one of our own that is fed over pipes, held to what it needs by the kernel, and killed in time.

Hides what the kernel can hold a process to, how parent and child speak, and how a child's end is told.
The door: ``worker.Worker``, ``process.Process``, ``kernel.landlock_version``.
Read first: ``worker.py``.
"""
