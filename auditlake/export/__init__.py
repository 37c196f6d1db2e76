"""Export: the events of a lake in the words of another schema, OCSF, for the tools that read it.

Hides which class, activity and attributes an event becomes, and how many events are in memory at a time.
The door: ``ocsf.export_ocsf``, ``ocsf.VERSIONS``, ``model.Exported``.
Read first: ``ocsf.py``.
"""
