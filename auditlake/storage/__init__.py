"""Where the files of a lake are kept: six calls over a disk; the same over a bucket are tested, and not reachable yet.

Hides what makes a file durable, who wins where several write one name, and what becomes of an answer that is lost.
The door: ``model.Storage``, ``disk.Disk``, ``objects.ObjectStore``.
Read first: ``model.py``.
"""
