"""The site: the pages of a folder of reports, from what needs attention down to the events, and back up.

Hides which page links to which, and what each says.
The door: ``write.write_site``, ``index.write_index``.
Read first: ``write.py``.
"""
