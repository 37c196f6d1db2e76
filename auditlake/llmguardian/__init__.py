"""LLMGuardian's audit monitor on top of a lake, for applications that were written for LLMGuardian.

Change the import, and leave the calls as they are::

    from auditlake.llmguardian import AuditEvent, AuditEventType, AuditMonitor, CompliancePolicy, MonitoringError

Its methods document each difference, and why it is there.

Hides how LLMGuardian's events, policies and errors are spelled in a lake.
The door: ``AuditMonitor``, ``AuditEvent``, ``CompliancePolicy``.
Read first: ``monitor.py``.
"""

from __future__ import annotations

from auditlake.llmguardian.model import AuditEvent, AuditEventType, CompliancePolicy, MonitoringError
from auditlake.llmguardian.monitor import AuditMonitor

__all__ = ["AuditEvent", "AuditEventType", "AuditMonitor", "CompliancePolicy", "MonitoringError"]
