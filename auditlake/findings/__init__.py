"""Findings: what policies found, and what people decided about it.

Hides how a finding gets its id, how decisions are appended and never changed, and where a finding was seen.
The door: ``register.FindingRegister``, ``finding.Finding``, ``journal.concerning``.
Read first: ``finding.py``.
"""
