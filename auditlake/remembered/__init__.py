"""What policies were found to say of each UTC day, kept so that a report of a year costs a day.

Hides how a period is cut into days, where their answers lie, and how these become the rows of a policy's statements.
The door: ``memory.LakeMemory``, ``files.forget``.
Read first: ``memory.py``.
"""
