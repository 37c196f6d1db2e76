"""Evidence: reports of policies and frameworks packed with all that a check of them takes, signed by the lake's key.

Hides how a pack is laid out, what is signed, and which proofs are in it.
The door: ``pack.write_evidence``.
Read first: ``pack.py``.
"""
