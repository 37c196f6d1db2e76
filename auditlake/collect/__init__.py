"""What is new in the places where logs lie is ingested, each object once.

Hides how a place is listed, how an object is known again, and in what order it is read, committed and written down.
The door: ``collect.collect``, ``model.CollectSummary``.
Read first: ``collect.py``.
"""
