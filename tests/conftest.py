"""What all tests share: no test fails because it is slow on a busy machine."""

from hypothesis import HealthCheck, settings

settings.register_profile("auditlake", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("auditlake")
