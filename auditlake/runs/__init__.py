"""Runs: which evaluations of reports were made on a lake, which verifications, and which runs nobody finished.

Hides how a run that its process did not survive is known, and how the journal of runs is appended to and read.
The door: ``model.Run``, ``journal.read``, ``recorder.Recorder``.
Read first: ``model.py``.
"""
