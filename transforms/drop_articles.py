"""Drops articles that are already known: those whose text the lake or the run has.

What says something else than the lake's revision of it passes.
"""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Article, Check
from schemas.rows import passages_date
from transforms.check import CheckOutput, article_check, strange_check
from transforms.compare import is_same_text, resembles
from transforms.count import count
from transforms.ledger import Ledger, LedgerPolicy, open_ledger, text_keys
from transforms.recent import Recent, RevisionPolicy, open_recent
from transforms.stored import read_stored

# Why a look did not see what it looked for.
ELSEWHERE = "its text stands under another address of the site"
REPLACED = "another article stands there now"


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
