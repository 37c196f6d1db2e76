"""lake.toml: what a lake is and how its owner set it."""

from __future__ import annotations

import re
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from auditlake.errors import LakeError, LakeFormatError, LakeNotFoundError
from auditlake.events.paths import personal_path
from auditlake.events.schema import BUILT_IN_TYPES, MAX_RECORD
from auditlake.policies.durations import parse_duration
from auditlake.policies.model import Duration
from auditlake.store.layout import POLICY_ID, Layout

FORMAT_VERSION = 1
"""The layout that this program writes and reads."""

_KEYS = {"format_version", "id", "created", "event_types", "default_retention", "max_record", "retention"}
_RETENTION_KEYS = {"grace", "personal"}
_GRACE_SECONDS = 86_400.0


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
    """How long events that no policy governs are kept; for ever if None."""
    max_record: int = MAX_RECORD
    """Bytes; a longer input record is quarantined."""
    grace_seconds: float = _GRACE_SECONDS
    """How long files stay on the disk whose events were deleted, for readers under way."""
    personal: tuple[str, ...] = ()
    """Where in details and metadata personal data lies, beside the columns: ``$.details.email``."""

    @property
    def event_types(self) -> frozenset[str]:
        """Every type that this lake accepts."""
        return BUILT_IN_TYPES | frozenset(self.extra_types)


def new_config(now: datetime, *, extra_types: Sequence[str] = (), default_retention: str | None = None) -> LakeConfig:
    """The settings of a lake that is being made.

    Raises:
        ValueError: A type's name or the retention is not well formed.
    """
    for name in extra_types:
        if not POLICY_ID.match(name):
            message = f"{name!r} cannot be an event type: expected lower-case letters, digits, _ and -, at most 64"
            raise ValueError(message)
    retention = parse_duration(default_retention, "retention_period") if default_retention else None
    return LakeConfig(str(uuid.uuid4()), now.isoformat(), tuple(sorted(set(extra_types))), retention)


def dump_config(config: LakeConfig) -> bytes:
    """lake.toml as text, with comments that say what may be changed."""
    types = ", ".join(f'"{name}"' for name in config.extra_types)
    retention = f'default_retention = "{config.default_retention}"' if config.default_retention else (
        '# default_retention = "365d"   # without it, events that no policy governs are kept for ever'
    )  # fmt: skip
    return (
        f"# An auditlake lake. Keep format_version, id and created as they are.\n"
        f"format_version = {FORMAT_VERSION}\n"
        f'id = "{config.id}"\n'
        f'created = "{config.created}"\n\n'
        f"# Event types beside the built-in ones.\n"
        f"event_types = [{types}]\n"
        f"{retention}\n"
        f"# Bytes; a longer input record is quarantined.\n"
        f"max_record = {config.max_record}\n\n"
        f"[retention]\n"
        f"# How long files stay on the disk whose events were deleted, for readers under way; 0h allowed.\n"
        f'grace = "24h"\n'
        f"# Where in details and metadata personal data lies that max_retention and erasure replace, beside\n"
        f'# user_id, ip_address and session_id; e.g. ["$.details.email"].\n'
        f"personal = []\n"
    ).encode()


def read_config(layout: Layout) -> LakeConfig:
    """Read lake.toml.

    Raises:
        LakeNotFoundError: There is none.
        LakeFormatError: It cannot be understood.
    """
    try:
        raw = tomllib.loads(layout.config.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        message = f"there is no lake at {layout.root}"
        raise LakeNotFoundError(message, hint=f"auditlake --lake {layout.root} init makes one") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _unreadable(layout, str(error)) from error
    except OSError as error:
        raise LakeError(f"{layout.config} cannot be read: {error.strerror}") from error
    return _parse(layout, raw)


def _parse(layout: Layout, raw: Mapping[str, Any]) -> LakeConfig:
    version = raw.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        message = f"the lake at {layout.root} has format version {version}, this auditlake knows up to {FORMAT_VERSION}"
        raise LakeFormatError(message, hint="a newer auditlake made it: install that one")
    if type(version) is not int or version != FORMAT_VERSION:
        raise _unreadable(layout, f"format_version {FORMAT_VERSION} expected, got {version!r}")
    if unknown := sorted(set(raw) - _KEYS):
        raise _unreadable(layout, f"unknown key {unknown[0]!r}")
    for key in ("id", "created"):
        if key not in raw:
            raise _unreadable(layout, f"{key} is missing")
        if not isinstance(raw[key], str):
            raise _unreadable(layout, f"{key} must be a text, got {raw[key]!r}")
    types, max_record = raw.get("event_types", []), raw.get("max_record", MAX_RECORD)
    if not isinstance(types, list) or not all(isinstance(name, str) and POLICY_ID.match(name) for name in types):
        raise _unreadable(layout, f"event_types must be a list of names, got {types!r}")
    if type(max_record) is not int or max_record < 1:
        raise _unreadable(layout, f"max_record must be a positive number of bytes, got {max_record!r}")
    try:
        retention = parse_duration(raw["default_retention"], "retention_period") if "default_retention" in raw else None
    except (ValueError, TypeError) as error:
        raise _unreadable(layout, f"default_retention: {error}") from error
    return LakeConfig(
        raw["id"], raw["created"], tuple(types), retention, max_record, *_retention(layout, raw.get("retention", {}))
    )


def _retention(layout: Layout, raw: Any) -> tuple[float, tuple[str, ...]]:
    """The grace and the personal paths of the table ``[retention]``."""
    if not isinstance(raw, dict) or set(raw) - _RETENTION_KEYS:
        raise _unreadable(layout, f"[retention] has the keys {' and '.join(sorted(_RETENTION_KEYS))}, got {raw!r}")
    grace, paths = raw.get("grace", "24h"), raw.get("personal", [])
    try:
        none = re.fullmatch(r"0(s|min|h|d)?", grace) is not None
        seconds = 0.0 if none else parse_duration(grace, "grace").microseconds / 1e6
    except (ValueError, TypeError) as error:
        raise _unreadable(layout, f"retention.grace: {error}") from error
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise _unreadable(layout, f"retention.personal must be a list of paths, got {paths!r}")
    for path in paths:
        if personal_path(path) is None:
            raise _unreadable(layout, f"retention.personal: expected e.g. $.details.email, got {path!r}")
    return seconds, tuple(paths)


def _unreadable(layout: Layout, why: str) -> LakeFormatError:
    return LakeFormatError(f"{layout.config} cannot be understood: {why}", hint="mend lake.toml or restore it")
