"""Drops what is already known: entries and articles that the lake or the run has."""

from collections.abc import Iterable, Iterator

import apache_beam as beam

from schemas.records import Article, Entry
from transforms.count import count
from transforms.ledger import Ledger, open_ledger, site_text
from transforms.urls import address_id, is_web


def entry_key(entry: Entry) -> str:
    """What makes two entries the same: their normal address, or their path."""
    return address_id(entry.location) if is_web(entry.location) else entry.location


def first_entry(entries: Iterable[Entry]) -> Entry:
    """The entry to keep of several for one address, the same on every engine.

    The one with the earliest date, since a republished item carries a later one.
    """
    return min(
        entries,
        key=lambda e: (
            e.published_at is None,
            e.published_at.timestamp() if e.published_at else 0.0,
            e.feed_url or "",
            e.source,
            e.title or "",
            e.location,
            e.authors,
            e.lang or "",
            e.kind or "",
        ),
    )


class DropKnownEntry(beam.DoFn):
    """Passes on the entries whose address is not in the lake."""

    _ledger: Ledger

    def __init__(self, lake: str):
        self._lake = lake

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake)

    def process(self, element: Entry) -> Iterator[Entry]:
        if is_web(element.location) and self._ledger.knows_address(element.location):
            count("entries_known")
        else:
            yield element


class KeepFirstEntry(beam.DoFn):
    """Passes on one of the entries that share an address."""

    def process(self, element: tuple[str, Iterable[Entry]]) -> Iterator[Entry]:
        entries = list(element[1])
        count("entries_repeated", len(entries) - 1)
        yield first_entry(entries)


@beam.typehints.with_input_types(Entry)
@beam.typehints.with_output_types(Entry)
class DropKnownEntries(beam.PTransform):
    """Entries whose address is neither in the lake nor earlier in the run.

    The grouping is also what spreads the fetching over workers: only addresses and
    titles are shuffled, never pages.
    """

    def __init__(self, lake: str):
        super().__init__()
        self._lake = lake

    def expand(self, pcoll):
        return (
            pcoll
            | "NotInLake" >> beam.ParDo(DropKnownEntry(self._lake))
            | "ByAddress"
            >> beam.Map(lambda entry: (entry_key(entry), entry)).with_output_types(
                tuple[str, Entry]
            )
            | "Group" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(KeepFirstEntry())
        )


class DropKnownArticle(beam.DoFn):
    """Passes on the articles whose text is not in the lake, one an address in a bundle.

    Two addresses that redirect to one page are one article, even where its text has
    changed between the requests. One text under several addresses of a site is one article
    too; on another site it is another. What an earlier bundle of this process wrote is in
    the ledger by then; what a failed bundle did not write is not, so that a retry writes it.
    """

    _ledger: Ledger

    def __init__(self, lake: str):
        self._lake = lake
        self._in_bundle: set[str] = set()

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake)

    def start_bundle(self) -> None:
        self._in_bundle = set()

    def process(self, element: Article) -> Iterator[Article]:
        if element.article_id in self._in_bundle or self._ledger.knows_content(element):
            count("articles_known")
            return
        on_site = site_text(element.canonical_url, element.revision)
        if on_site is not None:
            if on_site in self._in_bundle or self._ledger.knows_on_site(element):
                count("articles_repeated")
                return
            self._in_bundle.add(on_site)
        self._in_bundle.add(element.article_id)
        count("articles")
        yield element


@beam.typehints.with_input_types(Article)
@beam.typehints.with_output_types(Article)
class DropKnownArticles(beam.PTransform):
    """Articles whose text is not in the lake yet."""

    def __init__(self, lake: str):
        super().__init__()
        self._lake = lake

    def expand(self, pcoll):
        return pcoll | beam.ParDo(DropKnownArticle(self._lake))
