"""What each principal may see: ``auditor.yaml`` of the lake, read as policies are, every mistake at once.

::

    default:                      # principals who are not named; without it, only those who are named may ask
      columns: {user_id: hash, details: hide, ip_address: {truncate: 7}}
      rows: source = 'cloudtrail'
    principals:
      erika: everything
    groups:                       # for accounts that ask at a desk and are not named: the first group that has one
      audit:
        columns: {details: hide}

A file that is not understood to the last word keeps all principals out: whatever it leaves open could show too much.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import LakeFormatError, RefusedError
from auditlake.sandbox.masking import MASKABLE, Masking, id_keys_of, key_of
from auditlake.yaml_reader import Reader, is_null

FILE = "auditor.yaml"
EVERYTHING = "everything"
"""What stands for a principal from whom nothing is kept."""
_KEYS = ("default", "principals", "groups")
_LONGEST_NAME = 200
_MOST_LEFT = 999


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this system that asks at a desk: what the kernel says of it, and nothing that the asker says."""

    name: str
    """Its name, which is the principal; ``uid 1001`` where the system has no name for it."""
    uid: int
    groups: frozenset[str] = frozenset()
    """The names of its groups."""

    def as_recorded(self) -> dict[str, str]:
        """Return what the record of a question says of it."""
        return {"system_user": self.name, "uid": str(self.uid)}


@dataclass(frozen=True, slots=True)
class _Sights:
    """What the file says, by the names of the file."""

    default: Masking | None = None
    principals: Mapping[str, Masking] = field(default_factory=dict)
    groups: Mapping[str, Masking] = field(default_factory=dict)

    def of(self, principal: str, account: Account | None) -> Masking | None:
        """Return what a principal sees; None where they may not ask. Who only says who they are has no groups."""
        if (named := self.principals.get(folded(principal))) is not None:
            return named
        groups = frozenset() if account is None else account.groups
        return next((masking for name, masking in self.groups.items() if name in groups), self.default)


def masking_of(layout: Layout, principal: str, account: Account | None = None) -> Masking:
    """Read what a principal may see; everything where the lake has no ``auditor.yaml``, and no account asks.

    Args:
        layout: The lake.
        principal: The principal.
        account: The account that asks at a desk.

    Raises:
        RefusedError: The file names neither the principal nor a default, or there is none, and an account asks.
        LakeFormatError: The file cannot be read, or has another name; the message has every mistake with its place.
    """
    content = _content(layout)
    if content is None and account is None:
        return Masking()
    masking = None if content is None else _read(layout, content).of(principal, account)
    if masking is None:
        why = f"{FILE} does not name this principal and has no default"
        if account is not None:
            why = f"{FILE} names neither this account nor a group of it, and has no default"
        if content is None:
            why = f"the lake has no {FILE}, which says who may ask at a desk"
        message = f"{principal[:80]!r} may not ask: {why}"
        raise RefusedError(message, hint="the lake's owner can name them there")
    if not masking:
        return masking
    key = key_of(layout) if masking.columns else ""
    return Masking(masking.columns, masking.rows, key, id_keys_of(layout))


def _read(layout: Layout, content: bytes) -> _Sights:
    """Read the file.

    Raises:
        LakeFormatError: It has mistakes.
    """
    reader = _Reader()
    sights = reader.read(content)
    if problems := reader.problems(FILE):
        raise LakeFormatError(
            f"{FILE} cannot be understood: {'; '.join(problems)}",
            hint=f"the lake's owner has to mend {layout.root / FILE}; no question is answered until then",
        )
    return sights


def is_name(text: str) -> bool:
    """Whether a principal can have this name."""
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()


def folded(name: str) -> str:
    """Return a name as names are compared: the same letters are the same, however a system spells their accents."""
    return unicodedata.normalize("NFC", name)


def _content(layout: Layout) -> bytes | None:
    """Return the file's bytes; None if there is none.

    Raises:
        LakeFormatError: It cannot be read, or there is one whose name may be meant to be this.
    """
    meant = {"auditor.yaml", "auditor.yml", "auditors.yaml", "auditors.yml"}
    try:
        for name in sorted(os.listdir(layout.root)):  # noqa: PTH208 - names alone
            if name.casefold() in meant and name != FILE:
                message = f"{layout.root / name} is not read: the file that says what principals see is {FILE}"
                raise LakeFormatError(message, hint=f"rename it to {FILE}, or remove it")
        if not os.path.lexists(layout.root / FILE):
            return None
        return read_file(layout.root / FILE, within=layout.root, limit=SMALL)
    except OSError as error:
        message = f"{layout.root / FILE} cannot be read: {error.strerror or error}"
        raise LakeFormatError(
            message, hint="the lake's owner has to mend it; no question is answered before"
        ) from error


class _Reader(Reader):
    """Reads the one file."""

    def __init__(self) -> None:
        super().__init__("list of principals", _KEYS, frozenset())

    def read(self, content: bytes) -> _Sights:
        """Return what the file says; note mistakes."""
        text = self.decoded(content)
        root = None if text is None else self.tree(text)
        if root is None:
            return _Sights()
        fields = self.mapping(root, "the file", _KEYS, ())
        if not fields and not self.mistakes:
            self.wrong(root, f"expected some of {', '.join(_KEYS)}")
        default = self.principal(fields["default"], "default") if "default" in fields else None
        return _Sights(default, *(self.named(fields.get(key), key) for key in _KEYS[1:]))

    def named(self, node: yaml.Node | None, key: str) -> dict[str, Masking]:
        """Return what each principal or group sees, by name, in the order of the file."""
        maskings: dict[str, Masking] = {}
        spelled: dict[str, str] = {}
        expected = f"a name for each, such as {'audit' if key == 'groups' else 'erika'}: {EVERYTHING}"
        if node is None or not self.is_a(node, yaml.MappingNode, key, expected):
            return maskings
        if not node.value:
            self.wrong(node, f"{key}: expected at least one name; without any, leave the key out")
        for name_node, value in node.value:
            name = self.text(name_node, f"a {key.removesuffix('s')}'s name")
            masking = self.principal(value, f"{key}.{name}" if name else key)
            if name is None:
                continue
            if not is_name(name):
                what = f"a {key.removesuffix('s')}'s name has at most {_LONGEST_NAME} printable characters"
                self.wrong(name_node, f"{what}, got {name!r}")
            if spelled.setdefault(folded(name), name) != name:
                self.wrong(name_node, f"the name {name!r} is given twice, its letters spelled in two ways")
            maskings[folded(name)] = masking
        return maskings

    def principal(self, node: yaml.Node, key: str) -> Masking:
        """Return what one principal sees."""
        expected = f"columns, rows, or the word {EVERYTHING}"
        if isinstance(node, yaml.ScalarNode) and not is_null(node):
            if self.text(node, key, expected=expected) not in {None, EVERYTHING}:
                self.wrong(node, f"{key}: expected {expected}, got the text {node.value[:40]!r}")
            return Masking()
        if is_null(node) or (isinstance(node, yaml.MappingNode) and not node.value):
            self.wrong(node, f"{key}: expected {expected}; who may see everything is written {key[-60:]}: {EVERYTHING}")
            return Masking()
        fields = self.mapping(node, key, ("columns", "rows"), ())
        columns = self.columns(fields["columns"], f"{key}.columns") if "columns" in fields else {}
        return Masking(columns, self.condition(fields["rows"], f"{key}.rows") if "rows" in fields else None)

    def columns(self, node: yaml.Node, key: str) -> dict[str, str | int]:
        """How each masked column is masked."""
        columns: dict[str, str | int] = {}
        if not self.is_a(node, yaml.MappingNode, key, "a column for each, and how it is masked"):
            return columns
        if not node.value:
            self.wrong(node, f"{key}: expected at least one column; to mask none, leave the key out")
        for name, how in self.mapping(node, key, MASKABLE, ()).items():
            columns[name] = self.masked(how, f"{key}.{name}") or "hide"
        return columns

    def masked(self, node: yaml.Node, key: str) -> str | int | None:
        """How a column is masked; None where a mistake was noted."""
        if isinstance(node, yaml.MappingNode):
            fields = self.mapping(node, key, ("truncate",), ("truncate",))
            return self.integer(fields["truncate"], f"{key}.truncate", 1, _MOST_LEFT) if fields else None
        text = self.text(node, key, expected="hide, hash or {truncate: N}")
        if text not in {None, "hide", "hash"}:
            self.wrong(node, f"{key}: expected hide, hash or {{truncate: N}}, got the text {str(text)[:40]!r}")
            return None
        return text

    def condition(self, node: yaml.Node, key: str) -> str | None:
        """Return the condition that a row must meet; a row on which it fails does not meet it, and the failure
        is not told.
        """
        from auditlake.policies.condition import ConditionError, check_condition

        text = self.text(node, key, expected="a condition")
        try:
            return None if text is None else f"coalesce(try({check_condition(text)}), false)"
        except ConditionError as error:
            self.wrong(node, f"{key}: {error}")
            return None
