"""Checks over auditlake's own records, a file each: was there a look, an evaluation, an answer, a verification.

Hides how each kind judges. The door: ``catalog.CHECKS``, ``model.Records``. Read first: ``model.py``.
"""
