"""How Sphinx makes the site from ``auditlake/docs``: `make docs` runs it. No page loads anything from the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import auditlake
from auditlake.cli.docs import topics

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# Sphinx highlights code of a newer DuckDB than it knows; what it cannot read stays plain.
suppress_warnings = ["misc.highlighting_failure"]
project = "auditlake"
author = "auditlake"
version = release = auditlake.__version__
extensions = ["myst_parser"]
myst_heading_anchors = 4
smartquotes = False  # two hyphens begin an option
html_theme = "furo"
html_title = f"auditlake {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
html_show_sphinx = False
pygments_style = "default"
pygments_dark_style = "monokai"
_GROUPS = {
    "": "", "guides": "Guides", "sources": "Sources", "kinds": "Kinds of question", "reference": "Reference",
}  # fmt: skip


def _add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Give the front page the tree that Sphinx needs; the pages themselves stay plain Markdown."""
    if name != "index":
        return
    for folder, caption in _GROUPS.items():
        pages = [each.path.removesuffix(".md") for each in topics().values()]
        inside = [page for page in pages if page.rpartition("/")[0] == folder and "upgrading" not in page]
        inside += [page for page in pages if "upgrading" in page] if folder == "reference" else []
        head = f":hidden:\n:caption: {caption}\n" if caption else ":hidden:\n"
        source[0] += f"\n```{{toctree}}\n{head}\n" + "\n".join(inside) + "\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register what this adds."""
    app.connect("source-read", _add_contents)
    return {"parallel_read_safe": True}
