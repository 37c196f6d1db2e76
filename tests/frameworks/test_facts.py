"""What is counted of a lake, against plain Python."""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase, ascii_uppercase

from auditlake.engine.duck import connect, rows
from auditlake.engine.statements import statement

NOTHING = ("", "-", "unknown", "n/a", "none", "null")
SPACE = " \t\n\r\f\v"
SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)


def test_what_counts_as_filled() -> None:
    """Nothing is what is empty or a word for nothing, whatever its case and the white space around it."""
    words = [*NOTHING, "UNKNOWN", "Unknown", "N/A", "None", "nuLL", "--", "unknowns", "no", "u", "uo", "user", "nora",
             "Ulf", "N", "un\u212anown", "über", "\xa0", "unknown\xa0", "10.0.0.1", "a none", "v", "~"]  # fmt: skip
    around = ["", *SPACE, " \t ", " " * 9]
    texts = [before + word + after for word, before, after in product(words, around, around)]
    expected = [text.strip(SPACE).translate(SMALL) not in NOTHING for text in texts]
    with connect() as connection:
        rows(connection, statement("policies/is_filled.sql", "is_filled").text)
        found = rows(connection, "select list_transform($texts, lambda said: is_filled(said))", {"texts": texts})

    assert dict(zip(texts, found[0][0], strict=True)) == dict(zip(texts, expected, strict=True))
