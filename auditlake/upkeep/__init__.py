"""What the operator does with a whole lake: make it, copy it, repair it, have it stamped.

Hides which files a lake consists of, and which repairs are safe.
The door: ``create.create_lake``, ``backup.backup``, ``doctor.examine``.
Read first: ``doctor.py``.
"""
