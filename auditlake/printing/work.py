"""Setting a page, inside the confined process: WeasyPrint without a fetcher, and with what it needs told to it.

What it cannot do is done here: it gives pictures none of the page's style, and writes a box for a character that no
font has, which PDF/A forbids and which tells nobody anything.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import weasyprint
from weasyprint.text.ffi import ffi, fontconfig

from auditlake import assets

_NO_FETCHER = weasyprint.urls.URLFetcher(allowed_protocols=())
"""A page has all that it needs inside."""
_SVG = "{http://www.w3.org/2000/svg}"
_STYLE = (assets.folder("reports_templates") / "print_pictures.css").read_text(encoding="utf-8")
_SHORT = 14
"""Characters of a cell that is not broken: as many as most names of event types have."""
_LONGEST = 2_000
"""Characters of a text on paper."""
_ENDLESS = re.compile(r"\S{300}")
_MISSING = logging.getLogger("weasyprint")


class _Boxes(logging.Handler):
    """Gathers the characters that no font has, out of WeasyPrint's warnings."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.characters: set[int] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Take one note of WeasyPrint's."""
        if record.msg.startswith(".notdef") and isinstance(record.args, tuple):
            self.characters.add(int(record.args[1]))  # type: ignore[call-overload]


def readable() -> Sequence[str]:
    """Return what WeasyPrint reads: modules, and the folders of the fonts that there are."""
    _set("<title>-</title><p>-", [])  # what is imported at first use is imported now
    folders = {Path(weasyprint.__file__).parents[1], Path(os.__file__).parent, *_of_fonts()}
    return sorted(f"{path}" for path in folders if path.exists())


def work(told: Mapping[str, Any], parts: Sequence[bytes]) -> bytes:
    """Return a page as PDF/A-3a with a file inside.

    Args:
        told: ``name`` and ``about`` of the file, ``at``, the instant of both, ``identifier`` of the PDF.
        parts: The page, and the file.
    """
    at = datetime.fromisoformat(told["at"])
    page, data = parts[0].decode("utf-8"), parts[1]

    def enclosed() -> weasyprint.Attachment:
        return weasyprint.Attachment(
            string=data, name=told["name"], description=told["about"], created=at, modified=at, relationship="Source"
        )

    boxes = _Boxes()
    _MISSING.addHandler(boxes)
    made = _set(page, [enclosed()], told["identifier"].encode())
    if boxes.characters:
        spelled = {each: f"\\u{each:04x}" if each < 0x10000 else f"\\U{each:08x}" for each in boxes.characters}
        made = _set(page.translate(spelled), [enclosed()], told["identifier"].encode())
    _MISSING.removeHandler(boxes)
    return made


def _set(page: str, enclosed: Sequence[weasyprint.Attachment], identifier: bytes = b"-") -> bytes:
    html = weasyprint.HTML(string=page, base_url="about:blank", url_fetcher=_NO_FETCHER)
    _ink(html.etree_element)
    _keep_short(html.etree_element)
    _cut_long(html.etree_element)
    made: bytes = html.write_pdf(
        attachments=list(enclosed), pdf_variant="pdf/a-3a", pdf_identifier=identifier, finisher=_finish
    )
    return made


def _ink(page: Any) -> None:
    """Give each picture its style, and a title to the one that has none, so that it can be read out."""
    for picture in page.iter(f"{_SVG}svg"):
        if picture.find(f"{_SVG}title") is None:
            title = Element(f"{_SVG}title")
            title.text = picture.get("aria-label") or "Scale"
            picture.insert(0, title)
        SubElement(picture, f"{_SVG}style").text = _STYLE


def _keep_short(page: Any) -> None:
    """Keep short cells of tables whole: where any text may be broken anywhere, WeasyPrint breaks them first."""
    for cell in chain(page.iter("td"), page.iter("th")):
        if len("".join(cell.itertext()).strip()) <= _SHORT:
            cell.set("style", "white-space: nowrap")


def _cut_long(page: Any) -> None:
    """Cut a text without an end, or without a space: its layout takes WeasyPrint the square of its length.

    Statements are cut already.
    """
    for element in page.find("body").iter():
        for part in ("text", "tail"):
            text = getattr(element, part) or ""
            endless = _ENDLESS.search(text)
            most = min(endless.end() if endless else _LONGEST, _LONGEST)
            if len(text) > most and (part == "tail" or element.tag not in {"pre", f"{_SVG}style"}):
                setattr(element, part, f"{text[:most]} (cut: {len(text):,} characters in all)")


def _finish(_: Any, pdf: Any) -> None:
    """Name each file inside once, and say of each head of a table what it heads: WeasyPrint 70 does neither."""
    if "AF" in pdf.catalog:
        pdf.catalog["AF"][:] = dict.fromkeys(pdf.catalog["AF"])
    for each in pdf.objects:
        if isinstance(each, dict) and each.get("S") == "/TH":
            _, row, _ = each["ID"].string.split("-")
            each["A"]["Scope"] = "/Row" if int(row) else "/Column"


def _of_fonts() -> Iterator[Path]:
    """Yield the folders of the fonts that there are, of what configures them, and of what is known of them."""
    config, path = fontconfig.FcInitLoadConfigAndFonts(), ffi.new("FcChar8 **")
    fonts = fontconfig.FcConfigGetFonts(config, fontconfig.FcSetSystem)
    for number in range(fonts.nfont):
        if not fontconfig.FcPatternGetString(fonts.fonts[number], b"file", 0, path):
            yield _path(path[0]).parent
    files = fontconfig.FcConfigGetConfigFiles(config)
    while (file := fontconfig.FcStrListNext(files)) != ffi.NULL:
        yield from {_path(file).parent, _path(file).resolve().parent}  # each is a link to where it is described
    fontconfig.FcConfigDestroy(config)
    yield Path("/var/cache/fontconfig")
    with suppress(RuntimeError):  # an account without a home
        yield Path.home() / ".cache" / "fontconfig"


def _path(text: Any) -> Path:
    return Path(ffi.string(text).decode("utf-8", "surrogateescape"))
