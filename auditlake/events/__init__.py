"""Events: what one is, how its instants and ids are written, and how it loses its person.

Hides the columns and their order, the reading of times, and the replacing of JSON values without a change elsewhere.
The door: ``schema.COLUMNS``, ``event.AuditEvent``, ``personal.Eraser``.
Read first: ``schema.py``.
"""
