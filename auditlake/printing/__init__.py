"""Printing: a page of auditlake's own as PDF/A-3 with its data inside, set in a confined process.

Hides WeasyPrint and what it cannot do, the fonts of the machine, and what must not be in a PDF twice the same.
The door: ``press.Press``, ``press.Enclosed``.
Read first: ``press.py``.
"""
