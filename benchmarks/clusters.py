"""Measures how well copies of an article are found, and how many are wrong.

    python -m benchmarks.clusters FOLDER [--similarity S]

FOLDER holds one article a file, in HTML (gzip or not) or plain text; no two should tell the same
story. Articles of fewer than 50 words are left out. Each is compared with all others, which
gives the false copies, and with copies made of it: words replaced at random, sentences replaced
by such of other articles, the last part cut off, an agency's line before and a notice after it.
Prints one table, then the cost.
"""

import argparse
import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from transforms.cluster import CopyPolicy, likeness, read_signature, text_signature
from transforms.content import Content
from transforms.decode import gunzip
from transforms.html import html_content

WORD = re.compile(r"\w+")
ARTICLE = re.compile(r"\.(html?|txt|md)(\.gz)?$")
SENTENCE = re.compile(r"(?<=[.!?])\s+")
LEAST_WORDS = 50
MOST_BYTES = 50_000_000
WINDOW_ARTICLES = 50_000
Edit = Callable[[str, list[str], random.Random], str]


def read_texts(folder: Path) -> list[str]:
    """The texts of a folder's articles, in the order of their names."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if not ARTICLE.search(path.name):
            continue
        body = gunzip(path.read_bytes(), MOST_BYTES)
        if ".htm" in path.name:
            found = html_content(body, None)
            texts.append(found.text if isinstance(found, Content) else "")
        else:
            texts.append(body.decode("utf-8", "replace"))
    return [text for text in texts if len(WORD.findall(text)) >= LEAST_WORDS]


def words_replaced(share: float) -> Edit:
    """Every word replaced with a chance, by one of any article."""

    def edit(text: str, texts: list[str], chance: random.Random) -> str:
        vocabulary = WORD.findall(chance.choice(texts))
        return WORD.sub(
            lambda word: chance.choice(vocabulary) if chance.random() < share else word[0], text
        )

    return edit


def sentences_replaced(share: float) -> Edit:
    """Every sentence replaced with a chance, by one of any article."""

    def edit(text: str, texts: list[str], chance: random.Random) -> str:
        others = SENTENCE.split(chance.choice(texts))
        sentences = SENTENCE.split(text)
        return " ".join(chance.choice(others) if chance.random() < share else s for s in sentences)

    return edit


def cut(share: float) -> Edit:
    """The last part left out."""
    return lambda text, texts, chance: text[: round(len(text) * (1 - share))]


def reprinted(text: str, texts: list[str], chance: random.Random) -> str:
    """An agency's line in front, a notice after."""
    return f"LONDON, March 3 (Agency) - {text}\nReporting by A. Quill; editing by I. Ink."


EDITS: dict[str, Edit] = {
    "agency line and notice": reprinted,
    **{f"{n} % of words replaced": words_replaced(n / 100) for n in (5, 10, 20, 30)},
    **{f"{n} % of sentences replaced": sentences_replaced(n / 100) for n in (5, 10, 20, 30)},
    "last third cut off": cut(1 / 3),
    "last two thirds cut off": cut(2 / 3),
}


def similarity(first: bytes, second: bytes, least: float) -> float:
    """How like two texts are, 0 where they are no copies."""
    one, other = read_signature(first), read_signature(second)
    assert one is not None and other is not None
    shared = np.array([np.count_nonzero(one[1] == other[1]) / len(one[1])])
    return float(likeness(one[0], np.array([other[0]]), shared, least)[0])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clusters")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--similarity", type=float, default=CopyPolicy().similarity)
    flags = parser.parse_args(arguments)
    texts, least = read_texts(flags.folder), flags.similarity
    began = time.process_time()
    signatures = [text_signature(text) for text in texts]
    cost = (time.process_time() - began) * 1000 / max(len(texts), 1)
    pairs = [(a, b) for n, a in enumerate(signatures) for b in signatures[:n]]
    false = sum(similarity(*pair, least) > 0 for pair in pairs)
    print(f"{len(texts)} articles, similarity {least:g}")
    print(f"false copies among {len(pairs):,} pairs   {false}")
    print(f"\n{'copies with':<28} found")
    for name, edit in EDITS.items():
        chance = random.Random(0)
        copies = [text_signature(edit(text, texts, chance)) for text in texts]
        found = [similarity(a, b, least) > 0 for a, b in zip(signatures, copies, strict=True)]
        print(f"{name:<28} {sum(found) / max(len(found), 1):6.1%}")
    print(f"\nsignature {cost:.2f} ms CPU an article; {search_cost():.1f} ms to search "
          f"{WINDOW_ARTICLES:,} articles")  # fmt: skip
    return 0


def search_cost() -> float:
    """CPU milliseconds to find the nearest of many articles."""
    hashes = np.random.default_rng(0).integers(0, 2**16, (WINDOW_ARTICLES, 128), np.uint16)
    began = time.process_time()
    for number in range(20):
        np.count_nonzero(hashes == hashes[number], axis=1).argmax()
    return (time.process_time() - began) * 1000 / 20


if __name__ == "__main__":
    sys.exit(main())
