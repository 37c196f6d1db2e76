"""What is counted of a lake, against plain Python."""

from __future__ import annotations

from itertools import product
from string import ascii_lowercase, ascii_uppercase

from auditlake.engine.duck import connect, rows
from auditlake.engine.statements import statement

NOTHING = ("", "-", "unknown", "n/a", "none", "null")
SPACE = " \t\n\r\f\v"
SMALL = str.maketrans(ascii_uppercase, ascii_lowercase)
WORDS = [*NOTHING, "UNKNOWN", "Unknown", "N/A", "None", "nuLL", "--", "unknowns", "no", "u", "uo", "user", "nora",
         "Ulf", "N", "un\u212anown", "über", "\xa0", "unknown\xa0", "10.0.0.1", "a none", "v", "~"]  # fmt: skip


def is_filled(text: str) -> bool:
    return text.strip(SPACE).translate(SMALL) not in NOTHING


def test_what_counts_as_filled() -> None:
    """Nothing is what is empty or a word for nothing, whatever its case and the white space around it."""
    around = ["", *SPACE, " \t ", " " * 9]
    texts = [before + word + after for word, before, after in product(WORDS, around, around)]
    expected = [*map(is_filled, texts)]
    with connect() as connection:
        rows(connection, statement("policies/is_filled.sql", "is_filled").text)
        found = rows(connection, "select list_transform($texts, lambda said: is_filled(said))", {"texts": texts})

    assert dict(zip(texts, found[0][0], strict=True)) == dict(zip(texts, expected, strict=True))


def test_what_lies_between_texts_is_filled() -> None:
    """Bounds of which it is said that all between them is filled have nothing between them that says nothing."""
    texts = sorted({*WORDS, *(space + word for word in NOTHING for space in SPACE), "n", "o", "U", "V", "t", ".", "!"})
    said = {text: is_filled(text) for text in texts}
    with connect() as connection:
        rows(connection, statement("policies/is_filled.sql", "are_filled").text)
        found = rows(
            connection,
            "select least, greatest, are_filled(least, greatest) from (select unnest($texts) as least), "
            "(select unnest($texts) as greatest)",
            {"texts": [*texts, None]},
        )
    between = {
        (least, greatest): None not in (least, greatest)
        and all(said[each] for each in texts if least <= each <= greatest)
        for least, greatest, _ in found
    }
    told = {(least, greatest) for least, greatest, is_so in found if is_so}
    assert told <= {bounds for bounds, is_so in between.items() if is_so}
    assert {("10.0.0.1", "10.0.0.1"), ("o", "t"), ("a none", "a none"), ("v", "über"), ("uo", "user")} <= told
