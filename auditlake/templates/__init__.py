"""Templates that people write for themselves: a report in their own form and words, filled in a confined process.

Hides where templates lie, what they may use, and how one that takes too much is stopped.
The door: ``fill.Filler``, ``files.TemplateFolder``, ``files.add_example``.
Read first: ``fill.py``.
"""
