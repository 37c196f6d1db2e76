"""What policies were found to say of each UTC day, kept so that a report of a year costs a day.

Hides where the answers of days lie, which of them still hold, and what is asked about those that are missing.
The door: ``memory.LakeMemory``, ``files.forget``.
Read first: ``memory.py``.
"""
