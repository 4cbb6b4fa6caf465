"""Extracts the article from a page: text, title, authors, dates, language, address."""

import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

import apache_beam as beam
import frontmatter
import yaml
from apache_beam.pvalue import TaggedOutput

from schemas.records import Article, Check, DeadLetter, Page
from schemas.tables import stable_id
from transforms.check import CheckOutput, failed_check
from transforms.clean import line_or_none, plain_line
from transforms.content import Content
from transforms.count import count
from transforms.dates import Moment, believable, first_believable
from transforms.deadletter import ErrorOutput, Unusable, dead_letter, entry_place
from transforms.decode import decode_text, is_binary, utf8_page
from transforms.fallback import content_page
from transforms.identify import identify_language
from transforms.language import primary_language
from transforms.pool import ConcurrentDoFn
from transforms.processes import ExtractPolicy, open_pool
from transforms.urls import address_id, canonical_url

STAGE = "extract"
# By name, for the library would find JSON and TOML as well, in texts that have neither.
FRONT_MATTER = frontmatter.YAMLHandler()
# The parser of YAML is slow, and nobody writes so much about an article.
MAX_FRONT_MATTER_CHARS = 20_000
# They repeat on every passage.
MAX_AUTHORS = 50


def html_content(page: Page, policy: ExtractPolicy) -> Content:
    """The article of an HTML page, read in a process that can be stopped."""
    return open_pool(policy).read(utf8_page(page.body, page.content_type), page.url)


def text_content(page: Page, policy: ExtractPolicy) -> Content:
    """The article of a text file, with optional YAML front matter."""
    text = re.sub(r"\r\n?", "\n", decode_text(page.body))
    metadata, body = front_matter(text)
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
        publisher=metadata.get("publisher"),
        section=metadata.get("section"),
        lang=line_or_none(metadata.get("lang")),
        published=(metadata.get("published"),),
        modified=(metadata.get("modified"),),
    )


def front_matter(text: str) -> tuple[dict, str]:
    """The YAML front matter of a text, and what follows it. Raises Unusable where it is no YAML."""
    start = text.strip()
    if not FRONT_MATTER.detect(start):
        return {}, text
    end = start.find("\n---", 3)
    if end > MAX_FRONT_MATTER_CHARS:
        raise Unusable("BadFrontMatter", f"over {MAX_FRONT_MATTER_CHARS:,} characters")
    try:
        return frontmatter.parse(text, handler=FRONT_MATTER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unusable("BadFrontMatter", f"front matter is not YAML: {error}") from error


READERS: dict[str, Callable[[Page, ExtractPolicy], Content]] = {
    "html": html_content,
    "text": text_content,
}


def page_kind(page: Page) -> str:
    """Whether a page is HTML or plain text, from its entry, its type and its name."""
    if page.entry.kind is not None:
        return page.entry.kind
    if page.content_type:
        return "text" if page.content_type.startswith(("text/plain", "text/markdown")) else "html"
    name = PurePosixPath(page.entry.location.removesuffix(".gz"))
    return "text" if name.suffix.lower() in (".txt", ".md") else "html"


def extract_article(page: Page, policy: ExtractPolicy | None = None) -> Article:
    """The article in a page. Raises Unusable where there is none.

    ``published_at`` is the feed's date, else the page's; one that cannot be true is
    passed over. ``article_id`` is a hash of the canonical URL, or of the text where the
    page has no address.
    """
    if not page.body.strip():
        raise Unusable("Empty", "the page is empty")
    if is_binary(page.body):
        raise Unusable("Binary", "the page is binary, not text")
    content = READERS[page_kind(page)](page, policy or ExtractPolicy())
    text = content.text.encode("utf-8", "replace").decode()
    canonical = canonical_url(page.url, content.canonical)
    published, published_from = publication_date(page, content.published)
    modified = first_believable(content.modified, page.fetched_at)
    authors = content.authors or page.entry.authors
    return Article(
        article_id=address_id(canonical) if canonical else stable_id("text", text),
        revision=stable_id("text", text),
        url=page.entry.location if page.url else canonical,
        canonical_url=canonical,
        source=line_or_none(content.source) or page.entry.source,
        feed_url=page.entry.feed_url,
        title=plain_line(page.entry.title) or plain_line(content.title),
        authors=tuple(filter(None, map(plain_line, authors[:MAX_AUTHORS]))),
        lang=identify_language(text) or primary_language(content.lang or page.entry.lang),
        published_at=published.at if published else None,
        published_from=published_from,
        fetched_at=page.fetched_at,
        text=text,
        text_from=page.text_from,
        publisher=plain_line(content.publisher),
        section=plain_line(content.section),
        published_offset_minutes=published.offset if published else None,
        modified_at=modified.at if modified else None,
        look=page.look,
    )


def publication_date(page: Page, claimed: tuple[object, ...]) -> tuple[Moment | None, str]:
    """When an article was published, and who says so: feed, page or none."""
    listed = page.entry.published_at
    if listed is not None and believable(listed, page.fetched_at):
        return Moment(listed, page.entry.published_offset_minutes), "feed"
    on_page = first_believable(claimed, page.fetched_at)
    return (on_page, "page") if on_page else (None, "none")


def extract_or_fall_back(page: Page, policy: ExtractPolicy) -> Article:
    """The article in a page, or in its feed's own text where the page has none.

    Not where the lake has the page's text already, which is better.
    """
    try:
        return extract_article(page, policy)
    except Exception:
        may_fall_back = page.text_from == "page" and page.look is None
        instead = content_page(page.entry, page.url) if may_fall_back else None
        if instead is None:
            raise
    return extract_article(instead, policy)


class ExtractArticle(ConcurrentDoFn):
    """Extracts pages on threads, most of which wait for a page process; see ExtractArticles."""

    def __init__(self, policy: ExtractPolicy):
        super().__init__(policy.processes)
        self._policy = policy
        self._room: threading.Semaphore | None = None
        # What the threads have to count, which only the bundle's own thread may do.
        self._noted: deque[str] = deque()

    def start_bundle(self) -> None:
        super().start_bundle()
        # Pages are large: no more of them wait for a process than are being read.
        self._room = threading.Semaphore(2 * self._policy.processes)

    def process(
        self,
        element: Page,
        timestamp: Any = beam.DoFn.TimestampParam,
        window: Any = beam.DoFn.WindowParam,
    ) -> Iterator[Any]:
        assert self._room is not None, "a bundle has begun"
        self._room.acquire()
        yield from super().process(element, timestamp, window)

    def work(self, element: Page) -> list:
        assert self._room is not None, "a bundle has begun"
        try:
            return [self._extract(element)]
        finally:
            self._room.release()

    def _extract(self, element: Page) -> Article | ErrorOutput | CheckOutput:
        entry = element.entry
        try:
            article = extract_or_fall_back(element, self._policy)
        except Exception as error:  # A parser may fail in any way on hostile bytes.
            if element.look is not None:
                return TaggedOutput("checks", failed_check(entry, error))
            letter = dead_letter(
                STAGE, entry_place(entry), entry.source, error, element.body, given=entry
            )
            return TaggedOutput("errors", letter)
        if entry.published_at not in (None, article.published_at):
            self._noted.append("dates_refused")
        return article

    def tally(self, output: Article | ErrorOutput | CheckOutput) -> None:
        while self._noted:
            count(self._noted.popleft())
        if isinstance(output, TaggedOutput):
            count("checks_failed" if output.tag == "checks" else f"errors_{STAGE}")
        else:
            count("dates_missing", int(output.published_at is None))
            count("texts_from_feed", int(output.text_from == "feed"))


@beam.typehints.with_input_types(Page)
class ExtractArticles(beam.PTransform):
    """Pages to articles, with outputs articles, checks and errors."""

    def __init__(self, policy: ExtractPolicy | None = None):
        super().__init__()
        self._extract = ExtractArticle(policy or ExtractPolicy())

    def expand(self, pcoll):
        extract = beam.ParDo(self._extract).with_output_types(
            Article, checks=Check, errors=DeadLetter
        )
        return pcoll | extract.with_outputs("checks", "errors", main="articles")
