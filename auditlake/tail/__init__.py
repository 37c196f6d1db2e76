"""Growing files: the lines of a file, or of standard input, go into a lake, each once.

Hides rotation, copies, truncation, links, and where a process that died had got to.
The door: ``follow.tail``, ``destination.Destination``, ``place.Bookmark``.
Read first: ``follow.py``.
"""
