"""Feeds, pages, dates and URLs bent at random, for a bounded time.

    python -m tests.fuzz [--seconds 60] [--seed 0]

The same seed bends the same way. A finding is an exception of ours, a result that cannot be
stored, a process that crashed or a case over its time; its input is written into ``fuzz/``.
Exits with 1 where there is one. What was found becomes a test of its own.
"""

import argparse
import contextlib
import logging
import random
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.records import Entry, Page, Source
from transforms.clean import one_line, without_acting
from transforms.dates import believable, parse_moment
from transforms.deadletter import Unusable
from transforms.extract import extract_article
from transforms.processes import ExtractPolicy
from transforms.sources import KINDS, Document, detect_kind
from transforms.urls import absolute_url, address_id, canonical_url, is_web, normal_url, site

DATA = Path(__file__).parent / "data"
FEEDS = ("atom.xml", "feed.json", "nested.opml", "rss091.xml", "rss092.xml", "rss10.rdf",
         "rss20.xml", "urls.txt")  # fmt: skip
PAGES = ("page.html", "front_matter.md", "plain.txt")
FINDINGS = Path("fuzz")
CASE_SECONDS = 10
POLICY = ExtractPolicy(timeout=5.0, processes=1)
# What markup, dates and addresses are made of, so that bent ones stay nearly right.
PIECES = (
    *"<>/\"'&=:;?#%@[]{}()-+.,0123456789 \n\t\0\x1b", "<![CDATA[", "]]>", "<!--", "-->", "<?xml ",
    "<!DOCTYPE a [<!ENTITY b 'c'>]>", "&b;", "&#0;", "&#x110000;", "&amp;", "\ud800", "\ufeff",
    "\u202e", "\xff\xfe", "<item>", "</item>", "<script type='application/ld+json'>", "</script>",
    '{"@type": "NewsArticle", "datePublished": ', "null", "[[", "1e999", "<title>", "<h1>", "<p>",
    "<time datetime='", "<meta property='article:published_time' content='", "<base href='",
    "<link rel=canonical href='", "http://", "https://a.example", "//[::1", "xn--", ":99999", "..",
    "%zz", "2024-02-30", "T25:61", "+99:99", "EST", "Mon, 32 Foo 0000", "-0001", "9" * 30,
    "\u0662\u0660\u0662\u0664", "---\n", "title: ", "published: ", "!!python/object:a ", "&a *a",
)  # fmt: skip
HTML_ERRORS = {
    "NoArticle", "Empty", "Binary", "BadFrontMatter", "UnknownEncoding", "ConsentWall", "Paywall",
    "ErrorPage",
}  # fmt: skip


class Finding(Exception):
    """A result that should not be."""


def bend(text: str, chance: random.Random) -> str:
    """A text with some parts cut, doubled, moved or replaced."""
    for _ in range(chance.randint(1, 8)):
        start = chance.randint(0, len(text))
        end = min(len(text), start + chance.choice((0, 1, 3, 20, 400)))
        piece = "".join(chance.choices(PIECES, k=chance.choice((0, 1, 1, 2, 5))))
        piece *= chance.choice((1, 1, 1, 1, 50, 2000))
        text = text[:start] + chance.choice((piece, piece, text[start:end] * 2)) + text[end:]
    return text


def bent_file(names: tuple[str, ...], chance: random.Random) -> tuple[str, bytes]:
    """One of the golden files, bent, in some encoding."""
    name = chance.choice(names)
    text = bend((DATA / name).read_text(encoding="utf-8"), chance)
    encoding = chance.choice(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1"))
    body = bytearray(text.encode(encoding, "replace" if encoding == "latin-1" else "surrogatepass"))
    for _ in range(chance.choice((0, 0, 1, 10))):
        if body:
            body[chance.randrange(len(body))] = chance.randrange(256)
    return name, bytes(body[: chance.choice((len(body), len(body), chance.randint(0, 3000)))])


def check(is_right: bool, what: str) -> None:
    if not is_right:
        raise Finding(what)


def check_line(line: object, what: str) -> None:
    """That a title or a name can be stored and printed."""
    check(line is None or isinstance(line, str), f"{what} is no text: {line!r}")
    text = line or ""
    assert isinstance(text, str)
    text.encode()
    check(without_acting(text) == text and one_line(text) == text, f"{what} acts: {text!r}")


def fuzz_feed(chance: random.Random) -> bytes:
    name, body = bent_file(FEEDS, chance)
    document = Document(Source(f"https://a.example/{name}"), f"https://a.example/{name}", body)
    kinds = {"feed", "jsonfeed", "opml", "urls", "sitemap"} & set(KINDS)
    with replayable(body):
        with contextlib.suppress(Unusable):
            detect_kind(document)
        for kind in sorted(kinds):
            try:
                items = list(KINDS[kind](document))
            except Unusable:
                continue
            except Exception as error:
                if is_ours(error):
                    raise
                continue  # A parser may fail in any way; what calls it sees to that.
            for item in items:
                if isinstance(item, Entry):
                    check(is_web(item.location), f"no web address: {item.location!r}")
                    check_line(item.title, "title")
                    address_id(item.location)
    return body


def fuzz_page(chance: random.Random) -> bytes:
    name, body = bent_file(PAGES, chance)
    entry = Entry(f"https://a.example/{name}", "desk", kind=None)
    kind = "text/html" if name.endswith("html") else "text/plain"
    page = Page(entry, entry.location, body, kind, datetime.now(UTC))
    with replayable(body):
        try:
            article = extract_article(page, POLICY)
        except Unusable as error:
            known = error.error_type in HTML_ERRORS
            check(known, f"{error.error_type}: {error}")
            return body
        article.text.encode()
        check(bool(article.text) and article.text == article.text.strip(), "text is not stripped")
        for line in (article.title, article.publisher, article.section, *article.authors):
            check_line(line, "metadata")
        for moment in (article.published_at, article.modified_at):
            check(moment is None or believable(moment, page.fetched_at), f"date: {moment}")
    return body


def fuzz_date(chance: random.Random) -> bytes:
    whole = ("2024-03-07T10:00:00+01:00", "Thu, 07 Mar 2024 10:00:00 GMT", "7 March 2024 10pm")
    text = bend(chance.choice(whole), chance)
    with replayable(text.encode("utf-8", "surrogatepass")):
        moment = parse_moment(text)
        if moment is not None:
            check(moment.at.utcoffset() == timedelta(0), f"not in UTC: {moment}")
    return b""


def fuzz_url(chance: random.Random) -> bytes:
    whole = ("https://a.example/x?b=1&a=2#c", "HTTP://user@B.example:80/..//%41", "http://[::1]/")
    text, base = (bend(chance.choice(whole), chance) for _ in range(2))
    with replayable(f"{base}\n{text}".encode("utf-8", "surrogatepass")):
        url = absolute_url(base, one_line(text))
        if is_web(url):
            address_id(url).encode()
            normal_url(url).encode()
            check(bool(site(url)) or "//" in url, "no site")
            canonical_url("https://a.example/page", url)
            canonical_url(url, "https://a.example/page")
    return b""


TARGETS: dict[str, Callable[[random.Random], bytes]] = {
    "feed": fuzz_feed,
    "page": fuzz_page,
    "date": fuzz_date,
    "url": fuzz_url,
}
# Of the time; dates and addresses are a thousand times as fast.
SHARES = {"feed": 0.4, "page": 0.4, "date": 0.1, "url": 0.1}


class replayable:
    """Keeps the input of the case under way, for the report on it."""

    last = b""

    def __init__(self, given: bytes):
        type(self).last = given

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def is_ours(error: Exception) -> bool:
    """Whether an exception arose in our own code rather than in a library."""
    return "/site-packages/" not in traceback.extract_tb(error.__traceback__)[-1].filename


def over_time(*_: object) -> None:
    raise Finding(f"over {CASE_SECONDS} seconds")


def run_target(name: str, seconds: float, seed: int, findings: Counter[str]) -> int:
    """Bends and tries until the time is up; returns how many cases there were."""
    end, cases = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        chance = random.Random(f"{seed} {name} {cases}")
        signal.alarm(CASE_SECONDS)
        try:
            TARGETS[name](chance)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            key = f"{name}: {type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
            if key not in findings:
                FINDINGS.mkdir(exist_ok=True)
                path = FINDINGS / f"{name}-{seed}-{cases}"
                path.write_bytes(replayable.last)
                print(f"{key}: {ascii(str(error))[:200]}\n  input: {path}", flush=True)
            findings[key] += 1
        finally:
            signal.alarm(0)
        cases += 1
    return cases


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, over_time)
    findings: Counter[str] = Counter()
    for name, share in SHARES.items():
        cases = run_target(name, share * flags.seconds, flags.seed, findings)
        print(f"{name}: {cases:,} cases")
    print(f"{len(findings)} kinds of findings")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
