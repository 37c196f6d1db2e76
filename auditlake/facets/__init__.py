"""The verbs of a lake by what they are about: ``lake.policies``, ``.holds``, ``.retention``, ``.ledger``.

Hides which rooms a verb goes through. The door: the four classes; :class:`auditlake.AuditLake` makes each, as the
attribute that its file is named for. Begin with ``retention.py``.
"""
