"""Findings: what one is, and what people decided about findings.

Hides how a finding gets its id, how decisions are appended and never changed, and where a finding was seen.
The door: ``finding.Finding``, ``journal.concerning``, ``decisions.Acceptance``.
Read first: ``finding.py``.
"""
