"""Text, cards and pages fit to be looked at, whatever the events in them say.

Hides how hostile text is made harmless, and how a document becomes bytes: one Jinja environment, one way to write JSON.
The door: ``text.visible`` and its neighbours, ``cards.Shown``, ``templates.render``. Begin with ``text.py``.
"""
