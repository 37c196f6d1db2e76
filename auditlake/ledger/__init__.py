"""The ledger: what shows that nothing was changed. It needs paths, syncing and the engine, and no table.

Hides what is hashed, what an entry says, how tree and checkpoints lie on the disk, and the order of the steps.
The door: ``book.prepare``, ``book.complete``, ``book.settle``.
Read first: ``book.py``.
"""
