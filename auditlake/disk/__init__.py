"""Bytes that survive: paths, locks, syncs, and files opened without following links. It knows no event and no table.

Hides what a file system may do to a name or a byte, and where each file of a lake lies.
The door: ``layout.Layout``, ``lock.exclusive``, ``files.read_file``.
Read first: ``layout.py``.
"""
