"""Frameworks: how each control of a pack stands, why, and how much a log shows of it, as data and as JSON.

Hides in which order checks decide, what counts as a duty that was met, and in which bytes the answer is written.
The door: ``run.judged_frameworks``, ``judge.judge``, ``framework.Framework``.
Read first: ``model.py``.
"""
