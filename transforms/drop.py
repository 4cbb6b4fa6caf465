"""Drops what is already known: entries and articles that the lake or the run has."""

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Article, DeadLetter, Entry
from transforms.count import count
from transforms.deadletter import TriedOutput, letter_id
from transforms.ledger import Ledger, LedgerPolicy, open_ledger, text_keys
from transforms.poll import PollPolicy, try_again_at
from transforms.urls import address_id, is_web


def entry_key(entry: Entry) -> str:
    """What makes two entries the same: their normal address, or their path."""
    return address_id(entry.location) if is_web(entry.location) else entry.location


def first_entry(entries: Iterable[Entry]) -> Entry:
    """The entry to keep of several for one address, the same on every engine.

    The one with the earliest date, since a republished item carries a later one; with the
    fullest text that any of them carries.
    """
    entries = list(entries)
    first = min(
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
            e.archive or "",
            e.offset or 0,
        ),
    )
    contents = [e.content for e in entries if e.content is not None]
    fullest = max(contents, key=lambda content: (len(content), content), default=None)
    tries = max(e.tries for e in entries)
    return dataclasses.replace(first, content=fullest, tries=tries)


class DropKnownEntry(beam.DoFn):
    """Passes on the entries that are neither in the lake nor waiting to be tried again.

    An entry that a feed lists and that could not be had waits longer after each try, and
    is left alone after the last. One that is named otherwise, as in a list of addresses,
    does not wait: somebody asks for it.
    """

    _ledger: Ledger

    def __init__(self, lake: str, polls: PollPolicy, ledger: LedgerPolicy | None = None):
        self._lake = lake
        self._polls = polls
        self._policy = ledger

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)

    def process(self, element: Entry) -> Iterator[Entry | TriedOutput]:
        letter = self._ledger.letters.get(letter_id(element))
        is_known = is_web(element.location) and self._ledger.knows_address(element.location)
        if is_known:
            count("entries_known")
        elif letter is not None and not self._is_due(element, letter):
            count("entries_waiting")
            return
        elif letter is None:
            yield element
        else:
            content = element.content or letter.content
            yield dataclasses.replace(element, content=content, tries=letter.tries)
        if letter is not None:
            yield TaggedOutput("tried", letter)

    def _is_due(self, entry: Entry, letter: DeadLetter) -> bool:
        if self._polls.force or entry.feed_url is None:
            return True
        moment = try_again_at(letter, self._polls)
        return moment is not None and moment <= datetime.now(UTC)


class KeepFirstEntry(beam.DoFn):
    """Passes on one of the entries that share an address."""

    def process(self, element: tuple[str, Iterable[Entry]]) -> Iterator[Entry]:
        entries = list(element[1])
        count("entries_repeated", len(entries) - 1)
        yield first_entry(entries)


@beam.typehints.with_input_types(Entry)
class DropKnownEntries(beam.PTransform):
    """Entries whose address is neither in the lake nor earlier in the run.

    Outputs entries and tried: the dead letters of earlier runs that are tried again.

    The grouping is also what spreads the fetching over workers: only addresses and
    titles are shuffled, never pages.
    """

    def __init__(
        self, lake: str, polls: PollPolicy | None = None, ledger: LedgerPolicy | None = None
    ):
        super().__init__()
        self._drop = DropKnownEntry(lake, polls or PollPolicy(), ledger)

    def expand(self, pcoll):
        drop = beam.ParDo(self._drop).with_output_types(Entry, tried=DeadLetter)
        unknown = pcoll | "NotInLake" >> drop.with_outputs("tried", main="entries")
        entries = (
            unknown.entries
            | "ByAddress"
            >> beam.Map(lambda entry: (entry_key(entry), entry)).with_output_types(
                tuple[str, Entry]
            )
            | "Group" >> beam.GroupByKey()
            | "KeepFirst" >> beam.ParDo(KeepFirstEntry()).with_output_types(Entry)
        )
        return {"entries": entries, "tried": unknown.tried}


class DropKnownArticle(beam.DoFn):
    """Passes on the articles whose text is not in the lake, one an address in a bundle.

    Two addresses that redirect to one page are one article, even where its text has
    changed between the requests; two addresses of one site with the same text are too.
    What an earlier bundle of this process wrote is in the ledger by then; what a failed
    bundle did not write is not, so that a retry writes it.
    """

    _ledger: Ledger

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        self._lake = lake
        self._policy = ledger
        self._in_bundle: set[str | int] = set()

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)

    def start_bundle(self) -> None:
        self._in_bundle = set()

    def process(self, element: Article) -> Iterator[Article]:
        keys: set[str | int] = {element.article_id, *text_keys(element)}
        if keys & self._in_bundle:
            count(
                "articles_known" if element.article_id in self._in_bundle else "articles_repeated"
            )
            return
        if self._ledger.knows_content(element):
            is_same = self._ledger.knows_article(element)
            count("articles_known" if is_same else "articles_repeated")
            # Its address too is known from now on, for as long as this process lives.
            self._ledger.add(element, None)
            return
        self._in_bundle |= keys
        count("articles")
        yield element


@beam.typehints.with_input_types(Article)
@beam.typehints.with_output_types(Article)
class DropKnownArticles(beam.PTransform):
    """Articles whose text is not in the lake yet."""

    def __init__(self, lake: str, ledger: LedgerPolicy | None = None):
        super().__init__()
        self._drop = DropKnownArticle(lake, ledger)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._drop)
