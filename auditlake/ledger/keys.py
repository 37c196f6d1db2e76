"""The key that signs a lake's checkpoints: where it lies, and whether there is one."""

from __future__ import annotations

import os
import re
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from auditlake.disk.durable import sync_folder, write_whole
from auditlake.disk.files import read_file, read_text
from auditlake.disk.layout import Layout
from auditlake.errors import LedgerError
from auditlake.ledger.entry import Record
from auditlake.ledger.note import Signer, Verifier, new_signer, parse_note, parse_signer, parse_verifier
from auditlake.storage.lake import write

_FORMAT = re.compile(r"^(\s*format_version\s*=\s*)1(?=\s*(#|$))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """What lake.toml says that the ledger needs to know."""

    lake_id: str
    key: Path
    """Where the private key lies; a path in lake.toml that is not absolute begins at the lake."""
    default_retention: str | None = None
    """How long events are kept whose type no policy keeps, as it is written there."""
    says_inside: bool = False
    """Whether it says that the lake is of the format in which the ledger's entries lie inside the commits."""

    @property
    def next_key(self) -> Path:
        """Where the private key lies that is to follow, while it is not the lake's yet."""
        return self.key.with_name(f"{self.key.name}.next")

    @property
    def origin(self) -> str:
        """The first line of every checkpoint."""
        return f"auditlake/{self.lake_id}"


def read_settings(layout: Layout) -> LedgerSettings:
    """Read the section ``[ledger]`` of lake.toml.

    Raises:
        LedgerError: It cannot be read.
    """
    try:
        settings = tomllib.loads(read_text(layout.config, within=layout.root))
        lake_id, key = settings["id"], settings.get("ledger", {}).get("key")
        default, is_inside = settings.get("default_retention"), settings.get("format_version", 1) != 1
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise LedgerError(f"{layout.config} does not say which lake it is: {error}") from error
    # Where a link leads, so that a key which follows lies beside it and not beside the link.
    path = (layout.root / key if key else layout.ledger / "key").resolve()
    return LedgerSettings(str(lake_id), path, default and str(default), is_inside)


def saying_inside(layout: Layout) -> str | None:
    """Return lake.toml as it says that the ledger's entries lie inside the commits.

    None where it says its format in another way than auditlake writes it.
    """
    changed, times = _FORMAT.subn(r"\g<1>2", read_text(layout.config, within=layout.root))
    return changed if times == 1 else None


def say_inside(layout: Layout) -> None:
    """Let lake.toml say that the ledger's entries lie inside the commits, so that an earlier auditlake refuses it."""
    if (text := saying_inside(layout)) is not None:
        write(layout, layout.config, text.encode())


def public_key_path(layout: Layout) -> Path:
    """Where the public key lies: a lake without one is unsigned."""
    return layout.ledger / "key.pub"


def make_key(layout: Layout, settings: LedgerSettings) -> Verifier:
    """Give a lake a key: a new one, or the one that lies where lake.toml says; give its public half. Durable.

    The private key comes first: from the public one on, every checkpoint is signed.
    """
    if settings.key.exists():
        signer = read_secret(settings.key)
    else:
        signer = new_signer(settings.origin)
        write_whole(settings.key, f"{signer.secret()}\n".encode(), private=True)
    write(layout, public_key_path(layout), f"{signer.verifier}\n".encode())
    return signer.verifier


def read_public_key(layout: Layout) -> Verifier | None:
    """Read the lake's public key; return None if the lake is unsigned.

    Raises:
        LedgerError: It is damaged.
    """
    with suppress(FileNotFoundError):
        return parse_verifier(read_text(public_key_path(layout), within=layout.root, errors="replace"))
    return None


def read_signer(layout: Layout, settings: LedgerSettings) -> Signer | None:
    """Read the lake's private key; return None if the lake is unsigned.

    Raises:
        LedgerError: It is not there, damaged, or not the one of the public key.
    """
    if (verifier := read_public_key(layout)) is None:
        return None
    signer = read_secret(path := settings.key)
    if signer.verifier != verifier:
        raise LedgerError(f"{path} is not the private key of {public_key_path(layout)}")
    return signer


def put_next(settings: LedgerSettings, signer: Signer) -> None:
    """Write down the key that is to follow the lake's, durably; it signs nothing alone until :func:`adopt_next`."""
    write_whole(settings.next_key, f"{signer.secret()}\n".encode(), private=True)


def adopt_next(layout: Layout, settings: LedgerSettings, signer: Signer) -> None:
    """Put the key that follows in the place of the lake's, which is gone then."""
    write(layout, public_key_path(layout), f"{signer.verifier}\n".encode())
    os.replace(settings.next_key, settings.key)
    sync_folder(settings.key.parent)


def next_signer(settings: LedgerSettings, entry: Record) -> tuple[Signer, ...]:
    """Return the key that an entry says follows, which signs beside the one before until it is installed."""
    if entry.kind != "key-rotate" or not settings.next_key.exists():
        return ()
    new = read_secret(settings.next_key)
    return (new,) if str(new.verifier) == entry.details.get("new") else ()


def finish_rotation(layout: Layout, settings: LedgerSettings, *, may_forget: bool = True) -> None:
    """Install a key that was to follow if the checkpoint has its signature, and forget it if it has not."""
    if not settings.next_key.exists():
        return
    new = read_secret(settings.next_key)
    if parse_note(read_file(layout.ledger / "checkpoint", within=layout.root)).signed_by(new.verifier):
        adopt_next(layout, settings, new)
    elif may_forget:
        settings.next_key.unlink()


def read_secret(path: Path) -> Signer:
    """Read a private key.

    Raises:
        LedgerError: It is not there, or damaged.
    """
    try:
        return parse_signer(read_text(path, errors="replace"))
    except OSError as error:
        message = f"the ledger's key {path} cannot be read: {error.strerror}"
        raise LedgerError(message, hint="nothing was changed; restore it, or name its place in lake.toml") from error
