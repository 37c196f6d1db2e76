"""Evidence packs read again: whole, and with nothing in them that their manifest does not name."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.disk import evidence_json
from auditlake.disk.files import LARGE, SMALL, open_file
from auditlake.errors import LedgerError, ReportError
from auditlake.ledger.note import parse_verifier
from auditlake.reports.statement import check_statement, public_pem
from auditlake.verify.checkpoints import read_checkpoint

_NAMES = {1: ("policy_id", "status"), 2: ("pack_id", "status"), 3: ("reports",)}
"""What a manifest says of its reports, by its form: of one policy, of one framework, or of several of both."""
_KEYS = {form: ("form", "lake_id", "snapshot", "as_of", *own, "versions", "files") for form, own in _NAMES.items()}
"""What a manifest says, by its form."""
_READ = ("policies/", "packs/", "holds/", "frameworks.yaml")
"""What of a pack is read again beside its reports."""
_OWN = ("MANIFEST.json", "SHA256SUMS")
"""What a manifest does not list: itself, and the sums that are over it too."""
_SEAL = ("statement.dsse.json", "statement.signed", "statement.sig")
"""What it cannot list either: what a key says of the sums. All of it, or none."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """What of a pack is read again."""

    folder: Path
    """With its policies, packs and their settings."""
    reports: tuple[str, ...]
    """The JSON of each report, by its name in the folder."""
    signed_by: str
    """The public key that signed it; empty where none did."""
    entries: int = 0
    """How many entries the ledger had, by the checkpoint in it."""


@contextmanager
def unpacked(path: Path) -> Iterator[Unpacked]:
    """Check a pack and give a folder with its reports and what they are judged by, which goes away at the end.

    Raises:
        ReportError: It cannot be read, is no pack, or is not what its manifest says.
    """
    with TemporaryDirectory(prefix="auditlake-pack-") as name:
        yield Unpacked(Path(name), *_unpack(path, Path(name)))


def _unpack(path: Path, folder: Path) -> tuple[tuple[str, ...], str, int]:
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            files, reports, signed_by, entries = _checked(archive)
            for each in (*reports, *(name for name in files if name.startswith(_READ))):
                (folder / each).parent.mkdir(parents=True, exist_ok=True)
                (folder / each).write_bytes(_read(archive, each, LARGE if each in reports else SMALL))
            return reports, signed_by, entries
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        LedgerError,
        zipfile.BadZipFile,
        RuntimeError,
        EOFError,
    ) as error:
        what = error.args[0] if isinstance(error, KeyError) and error.args else error
        message = f"{path} is no whole evidence pack: {' '.join(str(what).split())[:300]}"
        raise ReportError(message, hint="expected the ZIP that auditlake evidence writes") from error


def _checked(archive: zipfile.ZipFile) -> tuple[Mapping[str, Any], tuple[str, ...], str, int]:
    """Return the files that the manifest of a pack lists, the names of its reports, the key that signed it, and how
    many entries its checkpoint counts.

    Raises:
        ValueError: They are not the whole pack, as listed.
    """
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("it has two files of one name")
    for each in archive.infolist():  # as every version has written them
        if each.compress_type != zipfile.ZIP_STORED or each.flag_bits & 1:
            raise ValueError(f"{each.filename!r} is compressed or encrypted")
    data = _read(archive, "MANIFEST.json", LARGE)
    manifest = evidence_json.parse(data)
    form = manifest.get("form") if isinstance(manifest, dict) else None
    if type(form) is not int or form not in _KEYS:
        raise ValueError(f"its form is {form!r}, expected one of {', '.join(map(str, _KEYS))}")
    evidence_json.known(manifest, _KEYS[form], "its MANIFEST.json")
    files: dict[str, Any] = manifest["files"]
    sealed = form == 3 and not {*_SEAL}.isdisjoint(names)
    if unknown := sorted(set(names) - set(files) - {*_OWN, *(_SEAL if sealed else ())}):
        raise ValueError(f"it has {unknown[0]!r}, which its manifest does not name")
    for name, entry in files.items():
        evidence_json.known(entry, ("sha256", "size"), f"what its manifest says of {name!r}")
        is_plain = str(PurePosixPath(name)) == name and name.isprintable()
        if not is_plain or ".." in PurePosixPath(name).parts or name.startswith("/"):
            raise ValueError(f"{name!r} is no name of a file in a pack")
        if _digest(archive, name) != (entry["sha256"], entry["size"]):
            raise ValueError(f"{name!r} is not what its manifest says")
    own = hashlib.sha256(data).hexdigest()
    sums = [f"{entry['sha256']}  {name}\n" for name, entry in files.items()] + [f"{own}  MANIFEST.json\n"]
    if _read(archive, "SHA256SUMS", LARGE) != "".join(sums).encode():
        raise ValueError("its SHA256SUMS are not those of its manifest")
    reports = [*_named(manifest)]
    if not reports:
        raise ValueError("it has no report")
    for name, said in reports:
        report = evidence_json.parse(_read(archive, name, LARGE))
        known = {key: report[key] for key in said if key in report}
        known |= {key: report["evidence"][key] for key in ("lake_id", "snapshot")}
        if differing := [key for key, value in said.items() if known[key] != value]:
            raise ValueError(f"its manifest says {said[differing[0]]!r} as {differing[0]}, and its report does not")
    signed_by = _check_seal(archive, manifest) if sealed else ""
    there = "checkpoint.txt" in files
    entries = read_checkpoint(_read(archive, "checkpoint.txt", SMALL)).size if there else 0
    return files, tuple(name for name, _ in reports), signed_by, entries


def _named(manifest: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the JSON of each report, with what the manifest says as it does."""
    common = {key: manifest[key] for key in ("lake_id", "snapshot", "as_of")}
    if manifest["form"] < 3:
        yield "report.json", common | {key: manifest[key] for key in _NAMES[manifest["form"]]}
        return
    for each in manifest["reports"]:
        key = "pack_id" if "pack_id" in each else "policy_id"
        evidence_json.known(each, ("folder", key, "status"), "a report that its manifest names")
        place = "frameworks" if key == "pack_id" else "reports"
        if each["folder"] != f"{place}/{each[key]}":
            raise ValueError(f"its manifest says that {each[key]!r} is in {each['folder']!r}")
        yield f"{each['folder']}/report.json", common | {key: each[key], "status": each["status"]}


def _check_seal(archive: zipfile.ZipFile, manifest: Mapping[str, Any]) -> str:
    """Check what a key says of a pack, by the key that is in it: whose that is, the reader knows or asks the lake.

    Returns:
        The key.
    """
    envelope, data, signature = (_read(archive, name, SMALL) for name in _SEAL)
    key = parse_verifier(_read(archive, "key.pub", SMALL).decode())
    if _read(archive, "key.pem", SMALL) != public_pem(key):
        raise ValueError("its key.pem is not the key in key.pub")
    said = check_statement(envelope, data, signature, key, _read(archive, "SHA256SUMS", LARGE))
    if any(said.get(name) != manifest[name] for name in ("lake_id", "snapshot", "as_of", "reports")):
        raise ValueError("its statement is about other reports than its manifest")
    return str(key)


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if (size := archive.getinfo(name).file_size) > limit:
        raise ValueError(f"{name!r} has {size} bytes, expected at most {limit}")
    return archive.read(name)


def _digest(archive: zipfile.ZipFile, name: str) -> tuple[str, int]:
    with archive.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()  # type: ignore[arg-type]
