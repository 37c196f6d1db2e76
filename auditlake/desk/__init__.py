"""Auditors' SQL across accounts: the sandbox behind a Unix socket, for who has no right over any file of the lake.

Hides the socket and what is said over it, who is at its other end, and how many may ask for how long.
The door: ``listen.Desk``, ``client.DeskSession``, ``door.Door``.
Read first: ``counter.py``.
"""
