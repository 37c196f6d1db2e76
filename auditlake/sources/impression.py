"""What an input that no source knows looks like, in words, by how it begins."""

from __future__ import annotations

MAGIC = {
    b"\xff\xfe": "UTF-16 text; write it as UTF-8",
    b"\xfe\xff": "UTF-16 text; write it as UTF-8",
    b"PK\x03\x04": "a ZIP archive or an Excel file",
    b"PAR1": "Parquet",
    b"Obj\x01": "Avro",
    b"ORC": "ORC",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"%PDF": "PDF",
    b"SQLite format 3": "an SQLite database",
    b"\x7fELF": "a program",
}
"""How files of other formats begin, and what each is."""
_WHITE = b" \t\r\n"


def impression(head: bytes) -> str:
    """Say what it looks like, without quoting it: it may be anything, a key for instance."""
    for magic, what in MAGIC.items():
        if head.startswith(magic):
            return f"it looks like {what}"
    if b"\0" in head:
        return "it is no text"
    if head.lstrip(_WHITE)[:1] in (b"{", b"["):
        return "it looks like JSON, without the keys of an event"
    return "it is neither JSON nor a table with the columns of an event"
