"""Forms: what a report says, in the words and the bytes that other programs and people take it in.

Hides how each form spells a status, a control and a finding, and how hostile text is kept from acting in it.
The door: ``table.FORMS``, ``table.rendered``, ``model.Judgement``.
Read first: ``model.py``.
"""
