"""Display: text, cards and pages fit to be looked at, whatever the events in them say.

Hides how hostile text is made harmless, and how a document becomes bytes.
The door: ``text.visible``, ``cards.Shown``, ``templates.render_bytes``.
Read first: ``text.py``.
"""
