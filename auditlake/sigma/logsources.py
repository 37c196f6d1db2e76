"""From the logsource of a rule to a source of the lake, and from the rule's fields to places in its events."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from auditlake.engine.sql_text import identifier, literal
from auditlake.events.schema import CANONICAL
from auditlake.policies.condition import COLUMNS
from auditlake.sigma.model import RefusedRule
from auditlake.sources.mappings.names import Place, place

if TYPE_CHECKING:
    from auditlake.sources.catalog import Catalog, Source

_SOURCES = {
    "aws/cloudtrail": "cloudtrail",
    "okta/okta": "okta",
    "github/audit": "github_audit",
    "kubernetes/audit": "k8s_audit",
    "gcp/gcp.audit": "gcp_audit",
    "gcp/google_workspace.*": "gworkspace",
    "azure/activitylogs": "azure_activity",
    "azure/auditlogs": "entra",
    "azure/signinlogs": "entra",
    "azure/riskdetection": "entra",
    "azure/pim": "entra",
    "m365/*": "m365",
    "onelogin/*": "onelogin",
    "cisco/duo": "duo",
    "bitbucket/audit": "bitbucket",
    "linux/auditd": "auditd",
    "linux/sshd": "sshd",
    "auditlake/*": CANONICAL,
}
"""The source of each product and service, with ``*`` for any run of characters; some a lake must bring itself."""
_UNNAMED = re.compile("[^a-z0-9]+")
"""What stands between the words of a source's name."""


@dataclass(frozen=True, slots=True)
class Spot:
    """Where the values of a field lie: a text, or several joined by U+001F."""

    sql: str
    paths: tuple[str, ...]
    """The JSON paths in ``details``, tried in this order; empty where it is a column of the event."""
    listed: bool = False

    @property
    def shown(self) -> tuple[str, ...]:
        """The places, for people."""
        return self.paths or (self.sql,)

    @property
    def exists(self) -> str:
        """The condition that the field is there, if only as null."""
        if self.listed or not self.paths:
            return f"{self.sql} is not null"
        there = [f"json_exists(details, {literal(path)})" for path in self.paths]
        return there[0] if len(there) == 1 else f"({' or '.join(there)})"


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of a source's events, by the names that rules use."""

    source: str
    names: Mapping[str, tuple[str, ...]]
    has_columns: bool = False
    """Whether a name may be that of an event's column."""

    def spot(self, name: str) -> Spot:
        """Return where a field's values lie.

        Raises:
            RefusedRule: It cannot be named.
        """
        if self.has_columns and name in COLUMNS and COLUMNS[name] == "VARCHAR":
            column = name if name.isidentifier() else identifier(name)
            return Spot(column, ())
        paths = self.names.get(name) or (_path(name),)
        listed = any("[*]" in path for path in paths)
        texts = [f"details ->> {literal(path)}" for path in paths]
        if listed:
            texts = [
                f"nullif(array_to_string({text}, chr(31)), '')" if "[*]" in path else text
                for path, text in zip(paths, texts, strict=True)
            ]
        return Spot(f"coalesce({', '.join(texts)})" if len(texts) > 1 else texts[0], paths, listed)


def _path(name: str) -> str:
    """Return the path of a field that a source's mapping has no name for: keys between dots."""
    found = place(name) or Place(tuple(name.split(".")))
    if any('"' in str(step) or "\\" in str(step) or step == "" for step in found.steps):
        raise RefusedRule(f"the field {name!r} is not the name of a place in a record")
    return found.path


@dataclass(frozen=True, slots=True)
class Home:
    """Where the events of a logsource lie."""

    name: str
    """The name of their source, which the lake may not have."""
    source: Source | None
    absent: str = ""
    """The logsource in words, where no source of the lake has it."""

    @property
    def fields(self) -> Fields:
        """The fields of its events: where there is no source, each name is that of a place in ``details``.

        Raises:
            MappingError: The mapping of the source has mistakes.
        """
        if self.source is None:
            return Fields(self.name, {})
        if self.source.outline is None:
            return Fields(self.name, {}, has_columns=True)
        return Fields(self.name, self.source.mapping.fields)


def home_of(logsource: Mapping[str, str | None], catalog: Catalog, own: Mapping[str, str]) -> Home:
    """Return where the events lie that a rule is about.

    Args:
        logsource: ``category``, ``product`` and ``service`` of the rule.
        catalog: The sources of the lake.
        own: Sources by logsource, such as ``jvm/application``, which go before the table of this module.

    Raises:
        RefusedRule: The rule names no logsource.
    """
    from fnmatch import fnmatchcase

    product, service = logsource.get("product") or "*", logsource.get("service") or logsource.get("category") or "*"
    fitting = [name for pattern, name in (*own.items(), *_SOURCES.items())
               if fnmatchcase(f"{product}/{service}", pattern)]  # fmt: skip
    if name := next((name for name in fitting if name in catalog.sources), None):
        return Home(name, catalog[name])
    said = ", ".join(f"{key} {value}" for key, value in logsource.items() if value)
    name = next(iter(fitting), _UNNAMED.sub("_", f"{product}_{service}".lower()).strip("_")[:64])
    if not said or not name:
        raise RefusedRule("it names no logsource")
    return Home(name, catalog[name]) if name in catalog.sources else Home(name, None, said)
