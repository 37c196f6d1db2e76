"""Reports: one policy, one period, one snapshot, as data, as JSON, as a page, as charts, and done again.

Hides in which words and in which bytes a report is written.
The door: ``run.judged``, ``compliance.ComplianceReport``, ``reperform.reperform``.
Read first: ``model.py``.
"""
