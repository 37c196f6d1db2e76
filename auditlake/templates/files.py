"""The templates of a lake as files: ``LAKE/templates/<name>.<ending>.j2``, their parts, and the pictures they show."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from auditlake.disk.files import SMALL, read_file
from auditlake.disk.layout import Layout
from auditlake.errors import ReportError
from auditlake.storage.lake import storage_of

_TEMPLATE = re.compile(r"(?P<name>[a-z0-9]+(?:[_-][a-z0-9]+)*)\.(?P<ending>[a-z0-9]{1,8})\.j2")
_PICTURES = {
    "gif": "image/gif", "jpeg": "image/jpeg", "jpg": "image/jpeg", "png": "image/png", "svg": "image/svg+xml",
    "webp": "image/webp",
}  # fmt: skip
_MOST_BYTES = 8 * SMALL
"""Of all templates and pictures together; each has at most a megabyte."""
EXAMPLE = "letter"
"""The template that ships with auditlake."""
_SHIPPED = Path(__file__).parent / "shipped"


@dataclass(frozen=True, slots=True)
class Template:
    """A template."""

    name: str
    """What ``--template`` calls it."""
    ending: str
    """What it makes: the ending of its files."""
    file: str
    """Its file's name."""


@dataclass(frozen=True, slots=True)
class TemplateFolder:
    """What lies in the folder of templates."""

    folder: Path
    templates: tuple[Template, ...]
    """Those that can be filled, by name and ending."""
    sources: Mapping[str, str]
    """The text of every file that ends in ``.j2``: templates, and parts that they include."""
    pictures: Mapping[str, str]
    """Each picture as a ``data:`` URL, by its file's name."""
    faults: Mapping[str, str]
    """Files that cannot be read, each with the reason."""

    def named(self, name: str) -> tuple[Template, ...]:
        """Return the templates of a name: one for each ending.

        Raises:
            ReportError: There is none.
        """
        found = tuple(each for each in self.templates if each.name == name)
        if found:
            return found
        known = sorted({each.name for each in self.templates})
        close = get_close_matches(name[:64], known, 1)
        if close:
            hint = f"did you mean {close[0]}?"
        else:
            hint = f"there are {', '.join(known)}" if known else "auditlake template add writes an example there"
        raise ReportError(f"there is no template {name!r} in {self.folder}", hint=hint)


NO_TEMPLATES = TemplateFolder(Path(), (), {}, {}, {})


def read_templates(layout: Layout) -> TemplateFolder:
    """Read the folder of templates; links in it are not followed, and a file that cannot be read stops no other."""
    folder = layout.templates
    names = sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []
    sources: dict[str, str] = {}
    pictures: dict[str, str] = {}
    faults: dict[str, str] = {}
    left = _MOST_BYTES
    for name in names:
        kind = _PICTURES.get(name.rpartition(".")[2].lower())
        if kind is None and not name.endswith(".j2"):
            continue
        try:
            data = read_file(folder / name, within=layout.root, limit=min(SMALL, left))
            left -= len(data)
            if kind is None:
                sources[name] = data.decode("utf-8-sig")
            else:
                pictures[name] = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
        except OSError as error:
            faults[name] = error.strerror or f"{error}"
        except UnicodeDecodeError as error:
            faults[name] = f"this is not UTF-8: byte {error.start:,} is no character"
    matches = [match for name in (*sources, *faults) if (match := _TEMPLATE.fullmatch(name))]
    templates = tuple(Template(each["name"], each["ending"], each[0]) for each in sorted(matches, key=lambda it: it[0]))
    return TemplateFolder(folder, templates, sources, pictures, faults)


def add_example(layout: Layout) -> tuple[Path, ...]:
    """Write the example, and the logo that it shows, into the folder of templates.

    Raises:
        ReportError: There are files of these names already, or the folder cannot be written to.
    """
    files = {layout.templates / each.name: each.read_bytes() for each in sorted(_SHIPPED.iterdir()) if each.is_file()}
    taken = [path.name for path in files if path.is_symlink() or path.exists()]
    if taken:
        message = f"{layout.templates} has {' and '.join(taken)} already"
        raise ReportError(message, hint="rename what is there, or remove it, to have the example again")
    try:
        storage_of(layout).create({layout.name(path): data for path, data in files.items()})
    except OSError as error:
        message = f"{layout.templates} cannot be written to: {error.strerror or error}"
        raise ReportError(message, hint="nothing of the lake was changed") from error
    return tuple(files)
