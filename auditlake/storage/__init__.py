"""Where the files of a lake are kept: six calls over the folder of a disk, or over a bucket with a copy on each host.

Hides what makes a file durable, who wins where several write one name, and what becomes of an answer that is lost.
The door: ``lake.storage_of``, ``lake.opened_folder``, ``model.Storage``.
Read first: ``model.py``.
"""
