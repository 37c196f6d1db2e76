"""Policies: what is governed, what is asked of it, and the holds that keep events from deletion.

Hides YAML and its mistakes, what a condition may be, which statements answer a question, and how they are filled.
The door: ``loader.load_policies``, ``evaluate.evaluate``, ``kinds.KINDS``.
Read first: ``model.py``.
"""
