"""Sources: bytes that the caller names become records.

Hides how an input is opened, unpacked, recognised and cut, and what is kept of the parts that are damaged.
The door: ``catalog.built_in``, ``reader.open_records``, ``model.Batch``.
Read first: ``catalog.py``.
"""
