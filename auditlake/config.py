"""lake.toml: what a lake is and how its owner set it."""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from auditlake.alert_settings import (
    SINK_READERS,
    AlertSettings,
    SinkSettings,
    checked_webhook,
    parse_lateness,
    problem_of,
)
from auditlake.disk.files import read_text
from auditlake.disk.layout import POLICY_ID, Layout
from auditlake.disk.rights import Rights, keep
from auditlake.engine.model import engine_name
from auditlake.engine.paths import check_path
from auditlake.errors import LakeError, LakeFormatError, LakeNotFoundError
from auditlake.events.durations import Duration, parse_duration
from auditlake.events.personal_paths import personal_path
from auditlake.events.schema import BUILT_IN_TYPES, MAX_RECORD
from auditlake.events.times import parse_instant

FORMAT_VERSION = 1
"""The layout of a new lake."""
INSIDE = 2
"""The layout, the newest that this program knows, in which the ledger's entries lie inside the commits."""
REMEMBER_MB = 256
"""How many megabytes a lake remembers unless lake.toml says otherwise."""
SUMMARIES_MB = 256
"""How many megabytes of summaries of data files a lake keeps unless lake.toml says otherwise."""
MAX_FINDINGS = 10_000
"""How many findings a report lists itself, unless lake.toml says otherwise."""

SCHEMES = ("s3", "gs", "az", "https")
"""What the URL of a place where logs lie may begin with."""

FORMS = ("json", "html", "pdf", "csv", "markdown", "text", "junit", "oscal", "ocsf", "hdf")
"""The names of the forms that a report can be written in (auditlake/forms/table.py)."""
CLASSES = 8
"""How many retention classes there may be, unless lake.toml says otherwise."""
_GRACE_SECONDS = 86_400.0
_REQUIRED = {"id", "created"}
_SECTIONS = ("alerts", "desk", "engine", "files", "ledger", "nightly", "reports", "retention")
_NAMES = {"event_types": "extra_types", "grace": "grace_seconds"}
"""The settings that :class:`LakeConfig` calls otherwise than lake.toml does."""
_MOST_RECORD = 1 << 30
_MOST_FINDINGS = 100_000_000
_MOST_EVENTS = 1_000_000_000_000
_MOST_SECONDS = 86_400
_MODES = ("0600", "0640", "0644")
_ABSENT = object()
_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<host>[^/?#]*)")
_SECOND = 1_000_000
REPORT_PERIOD = parse_duration("90d", "retention_period")
"""How far back a report goes, if neither the caller nor lake.toml nor the policy's retention period says it."""


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """How much an auditor's query may take: the section ``[desk]`` of lake.toml."""

    seconds: float = 30.0
    """Of wall-clock time; then the query is stopped."""
    memory_mb: int = 2_000
    """Megabytes."""
    rows: int = 100_000
    """The most rows of an answer; the rest is cut off, and the answer says so."""
    output_mb: int = 32
    """Megabytes of an answer, as Arrow has it; the rest is cut off, and the answer says so."""
    threads: int = 0
    """Of the engine; as many as there are cores if 0."""
    sessions: int = 8
    """How many accounts' sessions ``auditlake desk listen`` serves at once."""
    sessions_per_account: int = 2
    """How many of them may be of one account."""
    idle_seconds: float = 900.0
    """After so many without a question, such a session ends."""
    session_seconds: float = 28_800.0
    """After so many, it ends in any case."""
    transfer_seconds: float = 30.0
    """How long a request or an answer may take on its way."""


@dataclass(frozen=True, slots=True)
class CollectPlace:
    """A place where logs lie: a table ``[[collect]]`` of lake.toml."""

    path: str
    """A file, folder or pattern, if relative in the lake's folder; or a URL of an object store, or of one file."""
    source: str | None = None
    """The source of what lies there; each object is recognised by itself if None."""
    max_quarantined: int | str | None = None
    """How many records may be quarantined, ``100`` or ``"5%"``; not all of them, if None."""


@dataclass(frozen=True, slots=True)
class NightlySettings:
    """What ``auditlake nightly`` may delete by itself: the section ``[nightly]`` of lake.toml."""

    apply: bool = False
    """Whether it carries out the plan of retention."""
    max_events: int | None = None
    """It does not where more events than this would go or be pseudonymised; it never does if None."""
    max_days: int | None = None
    """It does not where more days than this would change; it never does if None."""


@dataclass(frozen=True, slots=True)
class ReportSettings:
    """What becomes of old reports: the section ``[reports]`` of lake.toml."""

    keep_pages: Duration | None = None
    """How long pages stay in ``LAKE/reports``; for ever if None. The JSON of reports is not concerned."""
    forms: tuple[str, ...] = ()
    """In which forms schedules write reports, beside the page and the JSON."""
    remember_mb: int = REMEMBER_MB
    """How many megabytes of what was found of earlier days are kept, so that a report need not find it again; none if
    0."""
    summaries_mb: int = SUMMARIES_MB
    """How many megabytes of counts of data files are kept, so that a report need not read their rows; none if 0."""


@dataclass(frozen=True, slots=True)
class LakeConfig:
    """The settings of one lake."""

    id: str
    """A UUID, made at init."""
    created: str
    """When it was made, RFC 3339."""
    extra_types: tuple[str, ...] = ()
    """Event types beside the built-in ones."""
    default_retention: Duration | None = None
    """How long events are kept whose type no policy keeps; for ever if None."""
    report_period: Duration = REPORT_PERIOD
    """How far back a report goes unless it is asked otherwise, of a policy without a retention period."""
    max_record: int = MAX_RECORD
    """Bytes; a longer input record is quarantined."""
    max_findings: int = MAX_FINDINGS
    """How many findings a report's JSON lists; where there are more, all of them lie beside it as Parquet."""
    grace_seconds: float = _GRACE_SECONDS
    """How long files stay on the disk whose events were deleted, for readers under way."""
    classes: int = CLASSES
    """How many files a day may be written as at once, one for each length of time that events are kept."""
    personal: tuple[str, ...] = ()
    """Where in details and metadata personal data lies, beside the columns: ``$.details.email``."""
    desk: DeskSettings = field(default_factory=DeskSettings)
    """What auditors' queries may take."""
    alerts: AlertSettings = field(default_factory=AlertSettings)
    """Alerts as it happens."""
    collect: tuple[CollectPlace, ...] = ()
    """Where logs lie."""
    nightly: NightlySettings = field(default_factory=NightlySettings)
    """What a nightly run may delete by itself."""
    files: Rights = field(default_factory=Rights)
    """Who may read the lake's files."""
    reports: ReportSettings = field(default_factory=ReportSettings)
    """What becomes of old reports."""
    engine: str = "duckdb"
    """What answers policies unless a caller says otherwise: ``duckdb``, ``slices``, or ``sc://host:port``."""
    engine_memory_mb: int = 0
    """How many megabytes DuckDB may hold of what policies ask; four fifths of the machine's memory if 0."""
    format_version: int = FORMAT_VERSION
    """The layout."""

    @property
    def event_types(self) -> frozenset[str]:
        """Every type that this lake accepts."""
        return BUILT_IN_TYPES | frozenset(self.extra_types)


def new_config(
    now: datetime,
    extra_types: Sequence[str] = (),
    default_retention: str | None = None,
    format_version: int = FORMAT_VERSION,
) -> LakeConfig:
    """Return the settings of a lake that is being made.

    Raises:
        ValueError: A type's name or the retention is not well formed.
    """
    for name in extra_types:
        if not POLICY_ID.match(name):
            message = f"{name!r} cannot be an event type: expected lower-case letters, digits, _ and -, at most 64"
            raise ValueError(message)
    retention = parse_duration(default_retention, "retention_period") if default_retention is not None else None
    types = tuple(sorted(set(extra_types)))
    return LakeConfig(str(uuid.uuid4()), now.isoformat(), types, retention, format_version=format_version)


def read_config(layout: Layout) -> LakeConfig:
    """Read lake.toml; what is made in the lake from now on gets the rights that it says.

    Raises:
        LakeNotFoundError: There is none.
        LakeFormatError: It cannot be understood.
        LakeError: The lake's path is not UTF-8.
    """
    check_path(layout.root)
    try:
        raw = tomllib.loads(read_text(layout.config, within=layout.root))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"there is no lake at {layout.root}"
        raise LakeNotFoundError(message, hint=f"auditlake --lake {layout.root} init makes one") from error
    except (ValueError, RecursionError) as error:  # TOML, UTF-8, numbers of thousands of digits
        raise _unreadable(layout, str(error)) from error
    except OSError as error:
        raise LakeError(f"{layout.config} cannot be read: {error.strerror}") from error
    config = _parse(layout, raw)
    keep(layout.root, config.files)
    return config


def _parse(layout: Layout, raw: Mapping[str, Any]) -> LakeConfig:
    version = raw.get("format_version", _ABSENT)
    if type(version) is int and version > INSIDE:
        message = f"the lake at {layout.root} has format version {version}, this auditlake knows up to {INSIDE}"
        raise LakeFormatError(message, hint="a newer auditlake made it: install that one")
    if type(version) is not int or version < FORMAT_VERSION:
        raise _wrong(layout, "format_version", f"{FORMAT_VERSION} or {INSIDE}", version)
    known = {key: value for key, value in raw.items() if key != "format_version"}
    sections = {name: known.pop(name, {}) for name in _SECTIONS}
    places = known.pop("collect", [])
    for name, section in sections.items():
        if not isinstance(section, dict):
            raise _wrong(layout, name, f"a section [{name}]", section)
    if not isinstance(places, list) or not all(isinstance(each, dict) for each in places):
        raise _unreadable(layout, "collect: expected tables [[collect]]")
    for each in places:
        if "path" not in each:
            raise _wrong(layout, "collect.path", _COLLECT_READERS["path"][0], _ABSENT)
    settings = _settings(layout, known, _READERS)
    settings |= _settings(layout, sections["retention"], _RETENTION_READERS, "retention.")
    _settings(layout, sections["ledger"], _LEDGER_READERS, "ledger.")  # read by auditlake/ledger/keys.py
    engine = _settings(layout, sections["engine"], _ENGINE_READERS, "engine.")
    files = _settings(layout, sections["files"], _FILES_READERS, "files.")
    if "group" in files and "mode" not in files:
        raise _wrong(layout, "files.mode", f"{_FILES_READERS['mode'][0]}, with files.group", _ABSENT)
    return LakeConfig(
        **settings,
        format_version=version,
        files=Rights(**files),
        alerts=_alerts(layout, sections["alerts"]),
        desk=DeskSettings(**_settings(layout, sections["desk"], _DESK_READERS, "desk.")),
        collect=tuple(CollectPlace(**_settings(layout, each, _COLLECT_READERS, "collect.")) for each in places),
        nightly=NightlySettings(**_settings(layout, sections["nightly"], _NIGHTLY_READERS, "nightly.")),
        reports=ReportSettings(**_settings(layout, sections["reports"], _REPORT_READERS, "reports.")),
        engine=engine.get("name", "duckdb"),
        engine_memory_mb=engine.get("memory_mb", 0),
    )


def _alerts(layout: Layout, raw: Mapping[str, Any]) -> AlertSettings:
    tables = raw.get("sinks", [])
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        raise _unreadable(layout, "alerts.sinks: expected tables [[alerts.sinks]]")
    sinks: list[SinkSettings] = []
    for each in tables:
        if "kind" not in each:
            raise _wrong(layout, "alerts.sinks.kind", SINK_READERS["kind"][0], _ABSENT)
        settings = _settings(layout, each, SINK_READERS, "alerts.sinks.")
        if problem := problem_of(each):
            raise _unreadable(layout, f"alerts.sinks.{problem}")
        sinks.append(SinkSettings(**settings))
    if len(names := [each.name for each in sinks if each.name is not None]) > len(set(names)):
        raise _unreadable(layout, "alerts.sinks.name: expected names that differ")
    rest = {key: value for key, value in raw.items() if key != "sinks"}
    return AlertSettings(**_settings(layout, rest, _ALERT_READERS, "alerts."), sinks=tuple(sinks))


_Readers = Mapping[str, tuple[str, Callable[[Any], Any]]]
"""Each key: what is expected, and how it is read."""


def _settings(layout: Layout, raw: Mapping[str, Any], readers: _Readers, section: str = "") -> dict[str, Any]:
    if unknown := sorted(set(raw) - set(readers)):
        raise _unreadable(layout, f"unknown key {section + unknown[0]!r}; expected some of {', '.join(readers)}")
    settings = {}
    for key, (expected, read) in readers.items():
        if key in raw or key in _REQUIRED:
            value = raw.get(key, _ABSENT)
            try:
                settings[_NAMES.get(key, key)] = read(value)
            except (ValueError, TypeError, AttributeError) as error:
                raise _wrong(layout, section + key, expected, value) from error
    return settings


def _id(value: Any) -> str:
    return str(uuid.UUID(value))


def _created(value: Any) -> str:
    parse_instant(value)
    return str(value)


def _event_types(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(POLICY_ID.match(name) for name in value):
        raise ValueError
    return tuple(value)


def _whole(least: int, most: int) -> Callable[[Any], int]:
    """Return a reader of a whole number within bounds."""

    def read(value: Any) -> int:
        if type(value) is not int or not least <= value <= most:
            raise ValueError
        return value

    return read


def _seconds(value: Any) -> float:
    if type(value) not in {int, float} or not 0 < value <= _MOST_SECONDS:
        raise ValueError
    return float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise ValueError
    return value


def checked_place(path: str) -> str:
    """Return a path or a URL, if logs can be read there.

    Raises:
        ValueError: It is not; the message does not repeat it, since it may hold a secret.
    """
    if not path or "\0" in path:
        raise ValueError("expected a path or a URL, got nothing")
    if (match := _URL.match(path)) is None:
        return path
    scheme, host = match["scheme"].lower(), match["host"]
    if scheme not in SCHEMES:
        raise ValueError(f"expected a URL that begins with {', '.join(f'{each}://' for each in SCHEMES)}")
    if "@" in host:
        raise ValueError("a name or password in the URL is not sent; credentials come from the environment")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*(:[0-9]{1,5})?" if scheme == "https" else r"[a-z0-9][\w.-]*", host):
        raise ValueError(f"expected {'a host' if scheme == 'https' else 'a bucket or container'} after {scheme}://")
    if scheme == "https" and re.search(r"[^\x21-\x7e]", path):
        raise ValueError("expected an https:// URL without spaces and other characters that need an escape")
    return path


def _mode(value: Any) -> int:
    if value not in _MODES:
        raise ValueError
    return int(value, 8)


def _limit(value: Any) -> int | str:
    if type(value) is int and value >= 0:
        return value
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,6})?%", value) and float(value[:-1]) <= 100:
        return value
    raise ValueError


def _forms(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not set(value) <= set(FORMS):
        raise ValueError
    return tuple(value)


def _flag(value: Any) -> bool:
    if type(value) is not bool:
        raise ValueError
    return value


def _grace(value: Any) -> float:
    if re.fullmatch(r"0(s|min|h|d)?", value):
        return 0.0
    return parse_duration(value, "grace").microseconds / _SECOND


def _personal(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or None in map(personal_path, value):
        raise ValueError
    return tuple(value)


_READERS: _Readers = {
    "id": ("a UUID", _id),
    "created": ("a time such as '2026-11-24T09:30:00Z'", _created),
    "event_types": ("a list of names of lower-case letters, digits, _ and -", _event_types),
    "default_retention": ("a length of time such as '365d'", partial(parse_duration, field="retention_period")),
    "report_period": ("a length of time such as '90d'", partial(parse_duration, field="retention_period")),
    "max_record": (f"a whole number of bytes from 1 to {_MOST_RECORD}", _whole(1, _MOST_RECORD)),
    "max_findings": (f"a whole number from 1 to {_MOST_FINDINGS}", _whole(1, _MOST_FINDINGS)),
}  # fmt: skip
"""lake.toml, but for the format's version and its sections."""

_ALERT_READERS: _Readers = {
    "webhook": ("an http:// or https:// URL without spaces, name or password", checked_webhook),
    "jsonl": ("a path", _text),
    "lateness": ("a length of time from 1s to 7d, such as '10min'", parse_lateness),
}
"""The section ``[alerts]``."""

_COLLECT_READERS: _Readers = {
    "path": ("a path, or a URL with one of s3:// gs:// az:// https:// and without name or password", checked_place),
    "source": ("the name of a source", _text),
    "max_quarantined": ("a number of records, or a share such as '1%'", _limit),
}
"""Each table ``[[collect]]``."""

_NIGHTLY_READERS: _Readers = {
    "apply": ("true or false", _flag),
    "max_events": (f"a whole number from 0 to {_MOST_EVENTS}", _whole(0, _MOST_EVENTS)),
    "max_days": ("a whole number from 0 to 100000", _whole(0, 100_000)),
}
"""The section ``[nightly]``."""

_FILES_READERS: _Readers = {
    "mode": (f"one of {', '.join(repr(mode) for mode in _MODES)}", _mode),
    "group": ("the name of a group", _text),
}
"""The section ``[files]``."""
_REPORT_READERS: _Readers = {
    "keep_pages": ("a length of time such as '400d'", partial(parse_duration, field="retention_period")),
    "forms": (f"a list of some of {', '.join(FORMS)}", _forms),
    "remember_mb": ("a whole number of megabytes from 0 to 1000000", _whole(0, 1_000_000)),
    "summaries_mb": ("a whole number of megabytes from 0 to 1000000", _whole(0, 1_000_000)),
}
"""The section ``[reports]``."""

_ENGINE_READERS: _Readers = {
    "name": ("'duckdb', 'slices', or an address such as 'sc://localhost:15002'", engine_name),
    "memory_mb": ("a whole number of megabytes from 256 to 1000000", _whole(256, 1_000_000)),
}
"""The section ``[engine]``."""

_LEDGER_READERS: _Readers = {"key": ("a path", _text)}
"""The section ``[ledger]``."""


_RETENTION_READERS: _Readers = {
    "grace": ("a length of time such as '24h', or '0'", _grace),
    "classes": ("a whole number from 1 to 64", _whole(1, 64)),
    "personal": ("a list of places such as '$.details.email'", _personal),
}
"""The section ``[retention]``."""

_DESK_READERS: _Readers = {
    "seconds": (f"a number of seconds up to {_MOST_SECONDS}", _seconds),
    "memory_mb": ("a whole number of megabytes from 256 to 1000000", _whole(256, 1_000_000)),
    "rows": ("a whole number from 1 to 100000000", _whole(1, 100_000_000)),
    "output_mb": ("a whole number of megabytes from 1 to 100000", _whole(1, 100_000)),
    "threads": ("a whole number from 0 to 1024", _whole(0, 1024)),
    "sessions": ("a whole number from 1 to 1000", _whole(1, 1000)),
    "sessions_per_account": ("a whole number from 1 to 1000", _whole(1, 1000)),
    "idle_seconds": (f"a number of seconds up to {_MOST_SECONDS}", _seconds),
    "session_seconds": (f"a number of seconds up to {_MOST_SECONDS}", _seconds),
    "transfer_seconds": (f"a number of seconds up to {_MOST_SECONDS}", _seconds),
}
"""The section ``[desk]``."""


_MAY_BE_SECRET = {
    "alerts.webhook", "engine.name", "collect.path",
    *(f"alerts.sinks.{key}" for key in SINK_READERS if key not in {"kind", "port"}),
}  # fmt: skip


def _wrong(layout: Layout, key: str, expected: str, value: Any) -> LakeFormatError:
    # A URL may hold a token or a password: it is not repeated in messages, which end up in logs.
    secret = key in _MAY_BE_SECRET  # in a list as well
    got = "nothing" if value is _ABSENT else "something else" if secret else repr(value)[:80]
    return _unreadable(layout, f"{key}: expected {expected}, got {got}")


def _unreadable(layout: Layout, why: str) -> LakeFormatError:
    return LakeFormatError(f"{layout.config} cannot be understood: {why}", hint="mend lake.toml or restore it")
