"""Compares the text of an article with the one that the lake has of it."""

import re
import unicodedata
from collections.abc import Iterator

# A paragraph with fewer words is a time stamp, a counter, a caption or a link; never the news.
LEAST_WORDS = 8
# A page that moved is the same article where this share of the shorter text's prose is in both.
LEAST_SHARED = 0.5
# In scripts without spaces (Thai to Burmese, Khmer, kana, Han) each letter counts as a word,
# since a word has one or two.
SPACELESS = r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]"
# A word has letters: numbers make no prose of a time stamp.
WORD = re.compile(rf"{SPACELESS}|[^\W\d_]+(?:'[^\W\d_]+)*")
TYPOGRAPHY = str.maketrans(
    {
        **dict.fromkeys("\u2018\u2019\u201a\u201b\u2032\u02bc`", "'"),
        **dict.fromkeys("\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb", '"'),
        **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", None),
    }
)


def plain_paragraphs(text: str) -> Iterator[str]:
    """The paragraphs of a text with white space, quotation marks, dashes and case evened out."""
    for line in unicodedata.normalize("NFKC", text).translate(TYPOGRAPHY).splitlines():
        plain = " ".join(line.replace("''", '"').casefold().split())
        if plain:
            # Some write a dash with spaces around it, some without.
            yield re.sub(r" ?-+ ?", "-", plain)


def prose(text: str) -> list[str]:
    """The plain paragraphs of a text that are prose; all of them where none is."""
    paragraphs = list(plain_paragraphs(text))
    long = [p for p in paragraphs if len(WORD.findall(p)) >= LEAST_WORDS]
    return long or paragraphs


def is_same_text(old: str, new: str) -> bool:
    """Whether two texts differ in boilerplate only.

    White space, typography and order do not count, nor paragraphs that are no prose; any
    other change of a word or a number does.
    """
    if set(prose(old)) == set(prose(new)):
        return True
    # A paragraph may have been cut in two, or two made one.
    return " ".join(plain_paragraphs(old)) == " ".join(plain_paragraphs(new))


def resembles(old: str, new: str) -> bool:
    """Whether a text is plainly another state of the same article."""
    before, after = set(prose(old)), set(prose(new))
    return len(before & after) >= LEAST_SHARED * min(len(before), len(after))
