"""Extracts the article from a page: text, title, authors, dates, language, address."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

import apache_beam as beam
import frontmatter
import yaml
from apache_beam.pvalue import TaggedOutput
from courlan import extract_domain

from schemas.records import Article, DeadLetter, Page
from schemas.tables import stable_id
from transforms.clean import line_or_none
from transforms.count import count
from transforms.dates import believable, parse_date
from transforms.deadletter import ErrorOutput, Unusable, dead_letter, entry_place
from transforms.decode import decode_text, is_binary
from transforms.fallback import content_page
from transforms.urls import address_id, is_web, normal_url

STAGE = "extract"
# By name, for the library would find JSON and TOML as well, in texts that have neither.
FRONT_MATTER = frontmatter.YAMLHandler()
# A text shorter than this says too little of its language to identify it.
IDENTIFIABLE_CHARS = 40
IDENTIFIED_CHARS = 2000


@dataclasses.dataclass(frozen=True, slots=True)
class Content:
    """What a page itself says: its text and its own account of where it is from."""

    text: str
    title: str | None = None
    authors: tuple[str, ...] = ()
    canonical: str | None = None
    source: str | None = None
    lang: str | None = None
    published: object = None


def html_content(page: Page) -> Content:
    """The article of an HTML page, by trafilatura in its default settings."""
    # Imported when needed: it takes a third of a second that text files need not pay.
    from trafilatura import bare_extraction

    found: Any = bare_extraction(page.body, url=page.url, with_metadata=True)
    if found is None or not (found.text or "").strip():
        raise Unusable("NoArticle", "no article text in the page")
    return Content(
        text=found.text.strip(),
        title=found.title,
        authors=tuple(filter(None, (found.author or "").split("; "))),
        canonical=found.url,
        published=found.date,
    )


def text_content(page: Page) -> Content:
    """The article of a text file, with optional YAML front matter."""
    text = re.sub(r"\r\n?", "\n", decode_text(page.body))
    try:
        is_given = FRONT_MATTER.detect(text.strip())
        metadata, body = frontmatter.parse(text, handler=FRONT_MATTER) if is_given else ({}, text)
    except (yaml.YAMLError, ValueError) as error:
        raise Unusable("BadFrontMatter", f"front matter is not YAML: {error}") from error
    # Without front matter the text stays as it is in the file, to the character.
    body = (body if metadata else text).strip()
    if not body:
        raise Unusable("NoArticle", "no text in the file")
    authors = metadata.get("authors") or metadata.get("author") or []
    return Content(
        text=body,
        title=metadata.get("title"),
        authors=tuple(authors) if isinstance(authors, list) else (authors,),
        canonical=metadata.get("url"),
        source=metadata.get("source"),
        lang=line_or_none(metadata.get("lang")),
        published=metadata.get("published"),
    )


READERS: dict[str, Callable[[Page], Content]] = {"html": html_content, "text": text_content}


def page_kind(page: Page) -> str:
    """Whether a page is HTML or plain text, from its entry, its type and its name."""
    if page.entry.kind is not None:
        return page.entry.kind
    if page.content_type:
        return "text" if page.content_type.startswith(("text/plain", "text/markdown")) else "html"
    name = PurePosixPath(page.entry.location.removesuffix(".gz"))
    return "text" if name.suffix.lower() in (".txt", ".md") else "html"


def extract_article(page: Page) -> Article:
    """The article in a page. Raises Unusable where there is none.

    ``published_at`` is the feed's date, else the page's; one that cannot be true is
    passed over. ``article_id`` is a hash of the canonical URL, or of the text where the
    page has no address.
    """
    if not page.body.strip():
        raise Unusable("Empty", "the page is empty")
    if is_binary(page.body):
        raise Unusable("Binary", "the page is binary, not text")
    content = READERS[page_kind(page)](page)
    text = content.text.encode("utf-8", "replace").decode()
    canonical = canonical_url(page.url, content.canonical)
    published_at, published_from = publication_date(page, content.published)
    authors = content.authors or page.entry.authors
    return Article(
        article_id=address_id(canonical) if canonical else stable_id("text", text),
        revision=stable_id("text", text),
        url=page.entry.location if page.url else canonical,
        canonical_url=canonical,
        source=line_or_none(content.source) or page.entry.source,
        feed_url=page.entry.feed_url,
        title=page.entry.title or line_or_none(content.title),
        authors=tuple(filter(None, map(line_or_none, authors))),
        lang=identify_language(text) or content.lang or page.entry.lang,
        published_at=published_at,
        published_from=published_from,
        fetched_at=page.fetched_at,
        text=text,
        text_from=page.text_from,
    )


def canonical_url(fetched: str | None, claimed: object) -> str | None:
    """The address that identifies an article: the one it claims, where that can be believed.

    A fetched page may name another address only on its own site, and not the front page,
    lest one page pass for another or for all.
    """
    claim = normal_url(claimed) if isinstance(claimed, str) and is_web(claimed) else None
    if fetched is None:
        return claim
    own = normal_url(fetched)
    if claim is None or site(claim) != site(own):
        return own
    is_front = claim.split("://", 1)[1].partition("/")[2].strip("/") == ""
    return own if is_front else claim


def site(url: str) -> str:
    """The registered domain of a URL, or its host and port where it has none."""
    return extract_domain(url) or url.split("://", 1)[1].partition("/")[0]


def publication_date(page: Page, claimed: object) -> tuple[datetime | None, str]:
    """When an article was published, and who says so: feed, page or none."""
    for moment, origin in ((page.entry.published_at, "feed"), (parse_date(claimed), "page")):
        if believable(moment, page.fetched_at):
            return moment, origin
    return None, "none"


def identify_language(text: str) -> str | None:
    """The ISO 639-1 code of a text's language; None where the text is too short to tell.

    By py3langid (Lui and Baldwin, langid.py, 2012).
    """
    if len(text) < IDENTIFIABLE_CHARS:
        return None
    # Imported when needed: loading its model takes most of a second.
    import py3langid

    return str(py3langid.classify(text[:IDENTIFIED_CHARS])[0])


def extract_or_fall_back(page: Page) -> Article:
    """The article in a page, or in its feed's own text where the page has none."""
    try:
        return extract_article(page)
    except Exception:
        instead = content_page(page.entry, page.url) if page.text_from == "page" else None
        if instead is None:
            raise
    return extract_article(instead)


class ExtractArticle(beam.DoFn):
    """Extracts pages; see ExtractArticles."""

    def process(self, element: Page) -> Iterator[Article | ErrorOutput]:
        try:
            article = extract_or_fall_back(element)
        except Exception as error:  # An extractor may fail in any way on hostile bytes.
            count(f"errors_{STAGE}")
            entry = element.entry
            letter = dead_letter(
                STAGE, entry_place(entry), entry.source, error, element.body, given=entry
            )
            yield TaggedOutput("errors", letter)
            return
        dates = (element.entry.published_at, article.published_at)
        count("dates_refused", int(dates[0] is not None and dates[0] != dates[1]))
        count("dates_missing", int(dates[1] is None))
        count("texts_from_feed", int(article.text_from == "feed"))
        yield article


@beam.typehints.with_input_types(Page)
class ExtractArticles(beam.PTransform):
    """Pages to articles, with outputs articles and errors."""

    def expand(self, pcoll):
        extract = beam.ParDo(ExtractArticle()).with_output_types(Article, errors=DeadLetter)
        return pcoll | extract.with_outputs("errors", main="articles")
