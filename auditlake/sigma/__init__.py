"""Sigma: detection rules that others maintain become policies of a lake.

Hides pySigma, what Sigma means by a value that is absent, and which policy file was made from which rule.
The door: ``importer.import_rules``, ``importer.check_rules``, ``model.Outcome``.
Read first: ``conditions.py``.
"""
