"""Auditors' SQL: run so that it can change nothing and reach nothing but the events that the principal may see.

Hides the child process and its layers, the gate on each statement, masking, and the record of every question.
The door: ``open.open_session``, ``session.AuditSession``, ``canned.chosen``.
Read first: ``session.py``.
"""
