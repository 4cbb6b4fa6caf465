"""Drops what is already known: entries and articles that the lake or the run has.

What may have changed passes: an entry whose page is due to be looked at again, and an article
that says something else than the lake's revision of it.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Article, Check, DeadLetter, Entry
from schemas.rows import passages_date
from transforms.check import CheckOutput, article_check, strange_check
from transforms.compare import is_same_text, resembles
from transforms.count import count
from transforms.deadletter import TriedOutput, letter_id
from transforms.ledger import Ledger, LedgerPolicy, open_ledger, text_keys
from transforms.poll import PollPolicy, may_try_again
from transforms.recent import Recent, RevisionPolicy, open_recent
from transforms.stored import read_stored
from transforms.urls import address_id, is_web

# Why a look did not see what it looked for.
ELSEWHERE = "its text stands under another address of the site"
REPLACED = "another article stands there now"


def entry_key(entry: Entry) -> str:
    """What makes two entries the same: the article they look for, their normal address, or
    their path."""
    if entry.look is not None:
        return entry.look.article_id
    return address_id(entry.location) if is_web(entry.location) else entry.location


def first_entry(entries: Iterable[Entry]) -> Entry:
    """The entry to keep of several for one address, the same on every engine.

    The one with the earliest date, since a republished item carries a later one; with the
    fullest text that any of them carries. Of looks at one article, those that a feed lists
    now go before what the lake remembers.
    """
    entries = list(entries)
    entries = [e for e in entries if e.look is not None and e.updated_at is not None] or entries
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
            e.updated_at.timestamp() if e.updated_at else 0.0,
        ),
    )
    contents = [e.content for e in entries if e.content is not None]
    fullest = max(contents, key=lambda content: (len(content), content), default=None)
    tries = max(e.tries for e in entries)
    return dataclasses.replace(first, content=fullest, tries=tries)


class DropKnownEntry(beam.DoFn):
    """Passes on the entries that are neither in the lake nor waiting to be tried again.

    One whose article is in the lake passes as a look at it where its feed says that it has
    changed, or where it is one already.

    An entry that a feed lists and that could not be had waits longer after each try, and
    is left alone after the last. One that is named otherwise, as in a list of addresses,
    does not wait: somebody asks for it.
    """

    _ledger: Ledger
    _recent: Recent

    def __init__(
        self, lake: str, polls: PollPolicy, ledger: LedgerPolicy | None, revisions: RevisionPolicy
    ):
        self._lake = lake
        self._polls = polls
        self._policy = ledger
        self._revisions = revisions

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)
        self._recent = open_recent(self._lake, self._revisions)

    def process(self, element: Entry) -> Iterator[Entry | TriedOutput]:
        if element.look is not None:
            yield element
            return
        letter = self._ledger.letters.get(letter_id(element))
        is_known = is_web(element.location) and self._ledger.knows_address(element.location)
        if is_known:
            again = self._recent.look_again(element, datetime.now(UTC))
            count("entries_known", int(again is None))
            if again is not None:
                yield again
        elif letter is not None and not self._is_due(element, letter):
            count("entries_waiting" if letter.tries < self._polls.tries else "entries_given_up")
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
        return may_try_again(letter, self._polls, datetime.now(UTC))


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
        self,
        lake: str,
        polls: PollPolicy | None = None,
        ledger: LedgerPolicy | None = None,
        revisions: RevisionPolicy | None = None,
    ):
        super().__init__()
        self._drop = DropKnownEntry(
            lake, polls or PollPolicy(), ledger, revisions or RevisionPolicy()
        )

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
    """Passes on the articles that say something new, one an address in a bundle.

    Two addresses that redirect to one page are one article, even where its text has
    changed between the requests; two addresses of one site with the same text are too.
    What an earlier bundle of this process wrote is in the ledger by then; what a failed
    bundle did not write is not, so that a retry writes it.
    """

    _ledger: Ledger
    _recent: Recent

    def __init__(self, lake: str, ledger: LedgerPolicy | None, revisions: RevisionPolicy):
        self._lake = lake
        self._policy = ledger
        self._revisions = revisions
        self._in_bundle: set[str | int] = set()

    def setup(self) -> None:
        self._ledger = open_ledger(self._lake, self._policy)
        self._recent = open_recent(self._lake, self._revisions)

    def start_bundle(self) -> None:
        self._in_bundle = set()

    def process(self, element: Article) -> Iterator[Article | CheckOutput]:
        keys: set[str | int] = {element.article_id, *text_keys(element)}
        if keys & self._in_bundle:
            is_same = element.article_id in self._in_bundle
            count("articles_known" if is_same else "articles_repeated")
            # What the lake has of it is not written yet.
            yield from self._led_here(element, None)
            return
        for output in self._judge(element):
            if isinstance(output, Article):
                self._in_bundle |= keys | {output.article_id}
            yield output

    def _judge(self, article: Article) -> Iterator[Article | CheckOutput]:
        found = self._identify(article)
        if found is None:
            yield from self._strange(article, REPLACED)
        elif self._ledger.knows_revision(found):
            yield from self._same(found, found.revision)
        elif self._ledger.knows_content(found):
            count("articles_repeated")
            if found.look is not None:
                yield from self._strange(found, ELSEWHERE)
            else:
                yield from self._led_here(found, found.revision)
        elif self._ledger.knows_article(found):
            yield from self._compare(found)
        else:
            count("articles")
            yield found

    def _identify(self, article: Article) -> Article | None:
        """The article as the one that was looked for; None where it is plainly another.

        A page may have moved to a new address, as where a headline in it was changed.
        """
        look = article.look
        if look is None or look.article_id == article.article_id:
            return article
        known = self._recent.get(look.article_id)
        if known is None:
            # Its feed names it by an address that is not its own.
            look = dataclasses.replace(look, article_id=article.article_id, revision=None)
            return dataclasses.replace(article, look=look)
        if self._ledger.knows_article(article):
            return None
        stored = read_stored(self._lake, look.article_id, known.revision, known.days)
        if stored is None or not resembles(stored.text, article.text):
            return None
        return dataclasses.replace(
            article,
            article_id=look.article_id,
            canonical_url=stored.canonical_url,
            url=article.canonical_url,
        )

    def _compare(self, article: Article) -> Iterator[Article | CheckOutput]:
        """A text that the lake does not have, of an article that it has."""
        known = self._recent.get(article.article_id)
        last = known.revision if known else article.look.revision if article.look else None
        days = known.days if known else (passages_date(article.published_at, article.fetched_at),)
        stored = read_stored(self._lake, article.article_id, last, days)
        if stored is not None and is_same_text(stored.text, article.text):
            yield from self._same(article, stored.revision)
            return
        count("articles_changed")
        if stored is not None:
            article = dataclasses.replace(
                article, cluster_id=stored.cluster_id, cluster_source=stored.cluster_source
            )
        yield article
        if article.look is not None:
            yield TaggedOutput("checks", article_check(article, article.revision, True))

    def _same(self, article: Article, revision: str) -> Iterator[CheckOutput]:
        """An article whose text the lake has, perhaps from before the last change."""
        if article.look is None:
            count("articles_known")
            yield from self._led_here(article, revision)
            return
        known = self._recent.get(article.article_id)
        last = known.revision if known else article.look.revision
        changed = last is not None and last != revision
        count("articles_changed" if changed else "checks_unchanged")
        yield TaggedOutput("checks", article_check(article, revision, changed))

    def _led_here(self, article: Article, revision: str | None) -> Iterator[CheckOutput]:
        """One more address that leads to an article: it is noted, not to be asked for again."""
        if revision == article.revision:
            self._ledger.add(article, None)
        if article.text_from == "page":
            yield TaggedOutput("checks", article_check(article, revision, False))

    def _strange(self, article: Article, why: str) -> Iterator[CheckOutput]:
        count("checks_failed")
        yield TaggedOutput("checks", strange_check(article, why))


@beam.typehints.with_input_types(Article)
class DropKnownArticles(beam.PTransform):
    """Articles that the lake does not have, or not with this text.

    Outputs articles and checks: what came of looking at known articles again.
    """

    def __init__(
        self,
        lake: str,
        ledger: LedgerPolicy | None = None,
        revisions: RevisionPolicy | None = None,
    ):
        super().__init__()
        self._drop = DropKnownArticle(lake, ledger, revisions or RevisionPolicy())

    def expand(self, pcoll):
        drop = beam.ParDo(self._drop).with_output_types(Article, checks=Check)
        return pcoll | drop.with_outputs("checks", main="articles")
