"""Packs: what one edition of a framework asks of an audit trail, and by which policies and records it is judged.

Hides the form of a pack's file, how a lake's values fill its parameters, and how its policies join those of the lake.
The door: ``effective.lake_policies``, ``loader.read_pack``, ``model.Pack``.
Read first: ``model.py``.
"""
