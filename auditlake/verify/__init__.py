"""The judge: compares a lake with its ledger, and proves single events, by public data alone.

Hides how each kind of damage is found and told; it shares only paths and hashing with the rooms that write.
The door: ``check.verify``, ``prove.prove``, ``prove.verify_proof``.
Read first: ``check.py``.
"""
