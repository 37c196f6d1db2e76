"""Runs: which evaluations of reports were due and made on a lake, which verifications, and which did not finish.

Hides how it is known what was due, that a process did not survive its run, and how the journal of runs is written.
The door: ``model.Run``, ``journal.read``, ``recorder.Recorder``.
Read first: ``model.py``.
"""
