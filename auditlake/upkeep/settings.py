"""The lake.toml of a new lake."""

from __future__ import annotations

from auditlake.config import CLASSES, REPORT_PERIOD, LakeConfig

_ALERTS = """\
# Alerts as it happens.
[alerts]
# webhook = "https://example.org/alerts"   # each alert is posted there
# jsonl = "alerts/alerts.jsonl"            # each alert is a line of this file
# lateness = "10min"                       # later events are evaluated after the flush and marked late

# More places, a table for each; auditlake docs alerts says which keys each kind has.
# [[alerts.sinks]]
# kind = "email"             # or "slack", "teams", "webhook"
# name = "soc"
# digest = "08:00"           # once a day at that time in UTC, and not each by itself
# url = "https://example.org/alerts"
# url_from = "slack"         # the name of a secret, as the next ones
# signed_with = "siem"
# password_from = "smtp"
# host = "smtp.example.org"
# port = 587
# tls = "starttls"           # or "tls", "none"
# clear_text = false         # whether "none" may go to another machine
# user = "audit"
# sender = "audit@example.org"
# to = ["soc@example.org"]

"""
_DESK = """\
# What an auditor's query may take before it is stopped or cut off.
# [desk]
# seconds = 30
# memory_mb = 2000
# rows = 100000
# output_mb = 32
# threads = 0   # as many as there are cores
# sessions = 8   # of auditlake desk listen, at once; auditor.yaml says who may ask there
# sessions_per_account = 2
# idle_seconds = 900
# session_seconds = 28800
# transfer_seconds = 30

"""

_UPKEEP = """\
# Who may read the lake's files beside their owner; auditlake doctor tells which differ, and mends them.
# [files]
# mode = "0640"     # or "0600", which is the default, or "0644"
# group = "audit"

# What auditlake nightly may delete by itself, where a plan of retention stays within both limits.
# [nightly]
# apply = false
# max_events = 100000
# max_days = 3

# How long nightly and prune keep the pages of reports; their JSON stays. And in which more forms schedules write them.
# [reports]
# keep_pages = "400d"
# forms = ["pdf", "csv"]
# remember_mb = 256
# summaries_mb = 256
"""


def written_settings(config: LakeConfig) -> bytes:
    """lake.toml as text, with comments that say what may be changed."""
    types = ", ".join(f'"{name}"' for name in config.extra_types)
    retention = f'default_retention = "{config.default_retention}"' if config.default_retention else (
        '# default_retention = "365d"   # without it, events that no policy keeps are kept for ever'
    )  # fmt: skip
    return (
        f"# An auditlake lake. Keep format_version, id and created as they are.\n"
        f"format_version = {config.format_version}\n"
        f'id = "{config.id}"\n'
        f'created = "{config.created}"\n\n'
        f"# Event types beside the built-in ones.\n"
        f"event_types = [{types}]\n"
        f"{retention}\n"
        f'# report_period = "{REPORT_PERIOD}"       # how far back reports of policies without a retention_period go\n'
        f"# Bytes; a longer input record is quarantined.\n"
        f"max_record = {config.max_record}\n"
        f"# How many findings a report lists; where there are more, all of them lie beside it as Parquet.\n"
        f"# max_findings = {config.max_findings}\n\n"
        f"{_ALERTS}"
        f"[retention]\n"
        f"# How long files stay on the disk whose events were deleted, for readers under way; 0h allowed.\n"
        f'grace = "24h"\n'
        f"# A day is written as one file for each length of time that its events are kept, and not more than so many.\n"
        f"# classes = {CLASSES}\n"
        f"# Where in details and metadata personal data lies that max_retention and erasure replace, beside\n"
        f'# user_id, ip_address, session_id and what sources declare, e.g. ["$.details.email"]; each element of a\n'
        f"# list is searched.\n"
        f"personal = []\n\n"
        f"# [ledger]\n"
        f'# key = "/etc/auditlake/key"   # the private key that signs checkpoints; LAKE/ledger/key if not set,\n'
        f"# and if it is a relative path, one in the lake\n\n"
        f"{_DESK}"
        f"# Where logs lie, for auditlake collect; a table for each place.\n"
        f"# [[collect]]\n"
        f'# path = "s3://bucket/folder/"   # or gs://, az://, the https:// of one file, a path, a pattern\n'
        f'# source = "cloudtrail"          # recognised by itself if not set\n'
        f'# max_quarantined = "1%"         # with more, collect tells of a failure\n\n'
        f"{_UPKEEP}"
    ).encode()
