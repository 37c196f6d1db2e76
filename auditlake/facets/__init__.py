"""Facets: the verbs of a lake by what they are about, ``lake.policies``, ``.holds``, ``.export`` and others.

Hides which rooms a verb goes through.
The door: ``policies.Policies``, ``holds.Holds``, ``retention.Retention``.
Read first: ``retention.py``.
"""
