"""What lies beside the ledger and the table: the landing, the journal of findings, and the private key."""

from __future__ import annotations

import base64
import tomllib
from collections.abc import Iterator, Sequence
from hashlib import sha256

from auditlake.disk.files import is_file, read_file, read_text
from auditlake.disk.layout import Layout
from auditlake.disk.links import strangers
from auditlake.errors import LedgerError
from auditlake.verify.checkpoints import read_key
from auditlake.verify.model import Problem
from auditlake.verify.tree import LedgerEntry

_PRIVATE = "PRIVATE+KEY+"


def check_journal(layout: Layout, entries: Sequence[LedgerEntry]) -> tuple[list[Problem], list[Problem]]:
    """Compare the journal of findings with what the ledger recorded of it: each digest is over the one before.

    Gives what is wrong, and what is worth knowing.
    """
    recorded = [entry for entry in entries if "journal" in entry.fields["details"]]
    if not recorded:
        return [], []
    where, path, problems = "findings/journal.jsonl", layout.journal, []
    digests = [bytes(32)]
    whole = read_file(path, within=layout.root).split(b"\n")[:-1] if path.exists() or path.is_symlink() else ()
    for line in whole:
        digests.append(sha256(digests[-1] + line).digest())
    for entry in recorded:
        lines, digest = entry.fields["details"].get("lines"), entry.fields["details"]["journal"]
        if not isinstance(lines, int) or not 0 < lines < len(digests):
            what = f"has {len(digests) - 1} entries, and entry {entry.index} recorded {lines}"
            problems.append(Problem(where, what))
        elif digests[lines].hex() != digest:
            what = f"was changed among its first {lines} entries, as entry {entry.index} recorded them"
            problems.append(Problem(where, what))
    if len(digests) - 1 > max(each.fields["details"]["lines"] for each in recorded):
        return problems, [Problem(where, "has entries that are not recorded yet; the next decision does that")]
    return problems, []


def check_landing(layout: Layout) -> Iterator[Problem]:
    """Say what has the name of a slot, a segment or a lock in the landing and is a link, a pipe or the like."""
    for path, why in strangers(layout):
        where = path.relative_to(layout.root).as_posix()
        yield Problem(where, f"{why}: live events may be missing, and nothing is read before it is replaced or gone")


def check_private_key(layout: Layout, key: str) -> Iterator[Problem]:
    """Say that the private key, where it can be read here, is not the one of the newest public key.

    Nothing that was recorded is changed by that; nothing more can be recorded.

    Args:
        layout: The lake.
        key: The public key (``NAME+ID+BASE64``) whose private half must sign what is recorded next.
    """
    try:
        setting = tomllib.loads(read_text(layout.config, within=layout.root)).get("ledger", {}).get("key")
        path = (layout.root / setting if setting else layout.ledger / "key").resolve()
    except (OSError, ValueError, AttributeError, TypeError, RuntimeError):
        return  # opening the lake tells about lake.toml
    # A rotation whose writer died leaves the new key beside the old one: the next commit puts it into its place.
    waiting = path.with_name(f"{path.name}.next")
    halves = []
    for each in (path, *((waiting,) if is_file(waiting, within=waiting.parent) else ())):
        try:
            halves.append(_public_half(read_text(each)))
        except (FileNotFoundError, PermissionError):
            continue  # it may be kept from the verifier
        except (OSError, ValueError, LedgerError) as error:
            halves.append(f"cannot be used: {getattr(error, 'strerror', None) or error}")
    if halves and key.strip() not in halves:
        where = path.relative_to(root).as_posix() if path.is_relative_to(root := layout.root.resolve()) else str(path)
        what = (
            halves[0] if halves[0].startswith("cannot") else f"is the private key of {halves[0]}, not of {key.strip()}"
        )
        yield Problem(where, f"{what}: nothing can be recorded before the right one is restored")


def _public_half(secret: str) -> str:
    """Return the public key of a private one.

    Raises:
        ValueError: It is not a private key; or LedgerError, where it is damaged. Neither says what it holds.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    name, _, rest = secret.strip().removeprefix(_PRIVATE).partition("+")
    key_id, _, data = rest.partition("+")
    try:
        seed = base64.b64decode(data, validate=True)
    except ValueError:
        seed = b""
    if not secret.strip().startswith(_PRIVATE) or len(seed) != 33 or seed[0] != 1:
        raise ValueError("it is not a private key")
    public = b"\x01" + Ed25519PrivateKey.from_private_bytes(seed[1:]).public_key().public_bytes_raw()
    number = sha256(name.encode() + b"\n" + public).digest()[:4].hex()
    if number != key_id:
        raise ValueError("it has another id than it says")
    spelled = f"{name}+{number}+{base64.b64encode(public).decode()}"
    read_key(spelled)
    return spelled
