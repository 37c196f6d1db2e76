"""Keeping and deleting: what is due, legal holds, the erasure of persons, and columns derived anew.

Hides how a rule becomes a plan, a plan one commit with its certificate, and a commit the removal of files.
The door: ``apply.apply``, ``erase.erase``, ``planner.plan``.
Read first: ``apply.py``.
"""
