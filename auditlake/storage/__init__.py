"""Where the files of a lake are kept: six calls, the same over a folder of a disk and over a bucket.

Hides what makes a file durable, who wins where several write one name, and what becomes of an answer that is lost.
The door: ``model.Storage``, ``disk.Disk``, ``objects.ObjectStore``.
Read first: ``model.py``.
"""
