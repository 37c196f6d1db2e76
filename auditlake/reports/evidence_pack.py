"""Evidence packs read again: whole, and with nothing in them that their manifest does not name."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from auditlake.disk import evidence_json
from auditlake.disk.files import LARGE, SMALL, open_file
from auditlake.errors import LedgerError, ReportError
from auditlake.verify.checkpoints import read_checkpoint

_SAME = {1: ("policy_id", "as_of", "status"), 2: ("pack_id", "as_of", "status")}
"""What a manifest says as its report does, by its form: of a policy, or of a framework."""
_KEYS = {form: ("form", "lake_id", "snapshot", *same, "versions", "files") for form, same in _SAME.items()}
"""What a manifest says, by its form."""
_READ = ("policies/", "packs/", "holds/", "frameworks.yaml")
"""What of a pack is read again beside its report."""
_OWN = ("MANIFEST.json", "SHA256SUMS")
"""What a manifest does not list: itself, and the sums that are over it too."""


@contextmanager
def unpacked(path: Path) -> Iterator[Path]:
    """Check a pack and give a folder with its report and what it is judged by, which goes away at the end.

    Raises:
        ReportError: It cannot be read, is no pack, or is not what its manifest says.
    """
    with TemporaryDirectory(prefix="auditlake-pack-") as name:
        _unpack(path, Path(name))
        yield Path(name)


def _unpack(path: Path, folder: Path) -> None:
    try:
        with open_file(path) as file, zipfile.ZipFile(file) as archive:
            files = _checked(archive)
            for each in ("report.json", *(name for name in files if name.startswith(_READ))):
                (folder / each).parent.mkdir(exist_ok=True)
                (folder / each).write_bytes(_read(archive, each, LARGE if each == "report.json" else SMALL))
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, LedgerError, zipfile.BadZipFile) as error:
        what = error.args[0] if isinstance(error, KeyError) and error.args else error
        message = f"{path} is no whole evidence pack: {' '.join(str(what).split())[:300]}"
        raise ReportError(message, hint="expected the ZIP that auditlake evidence writes") from error


def _checked(archive: zipfile.ZipFile) -> Mapping[str, Any]:
    """Return the files that the manifest of a pack lists; check that they are the whole pack, as listed.

    Raises:
        ValueError: They are not.
    """
    names = archive.namelist()
    if len(set(names)) < len(names):
        raise ValueError("it has two files of one name")
    data = _read(archive, "MANIFEST.json", SMALL)
    manifest = evidence_json.parse(data)
    form = manifest.get("form") if isinstance(manifest, dict) else None
    if type(form) is not int or form not in _KEYS:
        raise ValueError(f"its form is {form!r}, expected one of {', '.join(map(str, _KEYS))}")
    evidence_json.known(manifest, _KEYS[form], "its MANIFEST.json")
    files: dict[str, Any] = manifest["files"]
    if unknown := sorted(set(names) - set(files) - set(_OWN)):
        raise ValueError(f"it has {unknown[0]!r}, which its manifest does not name")
    for name, entry in files.items():
        evidence_json.known(entry, ("sha256", "size"), f"what its manifest says of {name!r}")
        if ".." in PurePosixPath(name).parts or name.startswith("/") or name.endswith("/"):
            raise ValueError(f"{name!r} is no name of a file in a pack")
        if _digest(archive, name) != (entry["sha256"], entry["size"]):
            raise ValueError(f"{name!r} is not what its manifest says")
    own = hashlib.sha256(data).hexdigest()
    sums = [f"{entry['sha256']}  {name}\n" for name, entry in files.items()] + [f"{own}  MANIFEST.json\n"]
    if _read(archive, "SHA256SUMS", LARGE) != "".join(sums).encode():
        raise ValueError("its SHA256SUMS are not those of its manifest")
    report = evidence_json.parse(_read(archive, "report.json", LARGE))
    same = {name: report[name] for name in _SAME[form]} | {
        name: report["evidence"][name] for name in ("lake_id", "snapshot")
    }
    if differing := [name for name, value in same.items() if manifest[name] != value]:
        raise ValueError(f"its manifest says {manifest[differing[0]]!r} as {differing[0]}, and its report does not")
    if "checkpoint.txt" in files:
        read_checkpoint(_read(archive, "checkpoint.txt", SMALL))
    return files


def _read(archive: zipfile.ZipFile, name: str, limit: int) -> bytes:
    if (size := archive.getinfo(name).file_size) > limit:
        raise ValueError(f"{name!r} has {size} bytes, expected at most {limit}")
    return archive.read(name)


def _digest(archive: zipfile.ZipFile, name: str) -> tuple[str, int]:
    with archive.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest(), file.tell()  # type: ignore[arg-type]
