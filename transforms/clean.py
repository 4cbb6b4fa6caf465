"""Text from outside made safe to store and to print on one line."""

import unicodedata


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
