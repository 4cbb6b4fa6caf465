"""Text from outside made safe to store and to print on one line."""

import html
import re
import unicodedata

# A title or a name that is longer is none; it would repeat on every passage.
MAX_LINE_CHARS = 1000
TAG = re.compile(r"<!--.*?-->|</?[a-zA-Z!][^<>]*(?:>|$)")
# What acts on a terminal or on the order of what is shown: control characters but for tab and
# line end, and the marks of direction (Unicode Standard Annex 9), which do not end by
# themselves. Joiners, which some scripts need, stay.
ACTING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
# What a spreadsheet takes for the start of a formula (OWASP, CSV Injection), its forms of
# full width, and white space that it passes over before one.
FORMULA = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")


def one_line(text: str) -> str:
    """``text`` with white space collapsed, and without control characters or lone surrogates.

    Format characters that change the direction of what follows (Unicode category Cf)
    are dropped too, so that a title cannot rearrange a terminal's line.
    """
    kept = "".join(
        " " if char.isspace() else char
        for char in text
        if char.isspace() or unicodedata.category(char) not in ("Cc", "Cf", "Cs")
    )
    return " ".join(kept.split())


def line_or_none(text: object) -> str | None:
    """A non-empty line of text, else None."""
    return (one_line(text) or None) if isinstance(text, str) else None


def plain_line(text: object) -> str | None:
    """A title or a name as a line of plain text: without markup, and not longer than such are."""
    if not isinstance(text, str):
        return None
    # What is cut off first, no pattern needs to read.
    bare = TAG.sub(" ", html.unescape(text[: 10 * MAX_LINE_CHARS]))
    return one_line(bare)[:MAX_LINE_CHARS].strip() or None


def without_acting(text: str) -> str:
    """``text`` without the characters that act on a terminal or reorder what it shows."""
    return ACTING.sub("", text)


def spreadsheet_text(text: str) -> str:
    """``text`` as a spreadsheet shows it and does not run it.

    A text that it would take for a formula gets an apostrophe in front, which says to a
    spreadsheet that text follows.
    """
    text = without_acting(text)
    return "'" + text if FORMULA.match(text) else text


def escaped_json(text: str) -> str:
    """A JSON document in which the characters that act on a terminal are escapes.

    They stand in strings alone, where an escape means the same character.
    """
    return ACTING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where there is not one."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
