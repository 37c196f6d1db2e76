"""The section [alerts] of lake.toml."""

from __future__ import annotations

from pathlib import Path

import pytest

from auditlake import AuditLake
from auditlake.alert_settings import AlertSettings
from auditlake.alerts.sinks import JsonlSink, LogSink
from auditlake.alerts.watch import all_sinks
from auditlake.alerts.webhook import Webhook
from auditlake.errors import LakeFormatError
from tests.lakes import create


@pytest.fixture
def lake(tmp_path: Path) -> AuditLake:
    return create(tmp_path / "lake")


def with_alerts(lake: AuditLake, *lines: str) -> AuditLake:
    """The lake with this section in its lake.toml."""
    text = lake.layout.config.read_text().partition("[alerts]")[0]
    lake.layout.config.write_text(text + "\n".join(lines) + "\n")
    return AuditLake(lake.layout.root)


def test_a_new_lake(lake: AuditLake) -> None:
    """A new lake alerts to the log only, and its lake.toml says what else there is."""
    assert AuditLake(lake.layout.root).config.alerts == AlertSettings()
    assert [type(sink) for sink in all_sinks(lake.config, None)] == [LogSink]
    assert "# webhook" in lake.layout.config.read_text()


def test_settings(lake: AuditLake) -> None:
    """Every setting is read, and gives its sink, before those of the caller."""
    lake = with_alerts(
        lake, "[alerts]", 'webhook = "https://example.org/a?b=c"', 'jsonl = "a.jsonl"', 'lateness = "90s"'
    )

    assert lake.config.alerts.webhook == "https://example.org/a?b=c"
    assert lake.config.alerts.lateness.microseconds == 90_000_000
    assert [sink.name for sink in all_sinks(lake.config, print)] == ["log", "jsonl", "webhook", "call"]
    assert [type(sink) for sink in all_sinks(lake.config, None)] == [LogSink, JsonlSink, Webhook]


@pytest.mark.parametrize(("text", "seconds"), [("10m", 600), ("10min", 600), ("2h", 7200), ("1s", 1), ("7d", 604800)])
def test_lateness(lake: AuditLake, text: str, seconds: int) -> None:
    """A length in seconds to days; m are minutes."""
    assert (
        with_alerts(lake, "[alerts]", f'lateness = "{text}"').config.alerts.lateness.microseconds == seconds * 1_000_000
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[alerts]\nwebook = 'http://x'", "unknown key 'alerts.webook'; expected some of webhook, jsonl, lateness"),
        ("[alerts]\nwebhook = 5", "alerts.webhook: expected an http:// or https:// URL without spaces"),
        ("[alerts]\nwebhook = 'ftp://x'", "alerts.webhook: expected an http:// or https:// URL without spaces"),
        ("[alerts]\nwebhook = 'http://u:p@x'", "without spaces, name or password, got something else"),
        ("[alerts]\njsonl = ''", "alerts.jsonl: expected a path, got ''"),
        (
            "[alerts]\nlateness = '10'",
            "alerts.lateness: expected a length of time from 1s to 7d, such as '10min', got '10'",
        ),
        ("[alerts]\nlateness = '1mo'", "such as '10min', got '1mo'"),
        ("[alerts]\nlateness = '8d'", "such as '10min', got '8d'"),
        ("alerts = 3", "alerts: expected a section [alerts], got 3"),
    ],
)
def test_mistakes(lake: AuditLake, line: str, message: str) -> None:
    """Each mistake is told in one line that names it."""
    with pytest.raises(LakeFormatError) as caught:
        with_alerts(lake, line)

    assert message in str(caught.value)
    assert "lake.toml cannot be understood" in str(caught.value)
