"""For those who come from LLMGuardian: its audit monitor, on top of a lake.

Change the import, and leave the calls as they are::

    from auditlake.llmguardian import AuditEvent, AuditEventType, AuditMonitor, CompliancePolicy, MonitoringError

What calls see differently, and why, is said where it is: at :class:`AuditMonitor` and its methods.
"""

from __future__ import annotations

from auditlake.llmguardian.model import AuditEvent, AuditEventType, CompliancePolicy, MonitoringError
from auditlake.llmguardian.monitor import AuditMonitor

__all__ = ["AuditEvent", "AuditEventType", "AuditMonitor", "CompliancePolicy", "MonitoringError"]
