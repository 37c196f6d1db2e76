"""Alerts: an episode that begins or ends is told as it happens.

Hides who evaluates, what is counted and remembered between restarts, and how a sink that fails is retried.
The door: ``watch.open_trail``, ``watch.Watch``, ``model.Alert``.
Read first: ``evaluator.py``.
"""
