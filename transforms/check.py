"""Looks at pages again: the record of what came of one."""

from datetime import UTC, datetime
from typing import Literal

from apache_beam.pvalue import TaggedOutput

from schemas.records import Article, Check, Entry
from transforms.clean import one_line
from transforms.deadletter import Unusable

# What a DoFn yields beside its main output.
CheckOutput = TaggedOutput[Literal["checks"], Check]
NOT_MODIFIED, OK = 304, 200


def failed_check(entry: Entry, error: Exception) -> Check:
    """The record of a look that saw no article; the next one asks as this one did.

    What the page was before stays the article's newest revision, also where it is withdrawn.
    """
    assert entry.look is not None, "an entry without a look has a dead letter"
    status = error.status if isinstance(error, Unusable) else None
    message = one_line(str(error)) or type(error).__name__
    return made(entry, status, entry.look.etag, entry.look.last_modified, None, message)


def unchanged_check(entry: Entry, headers: dict[str, str]) -> Check:
    """The record of a look whose answer was that nothing has changed (304).

    Such an answer may carry newer validators (RFC 9110, 15.4.5).
    """
    assert entry.look is not None, "only looks are conditional"
    etag = headers.get("etag", entry.look.etag)
    last_modified = headers.get("last-modified", entry.look.last_modified)
    return made(entry, NOT_MODIFIED, etag, last_modified, entry.look.revision, None)


def made(
    entry: Entry,
    status: int | None,
    etag: str | None,
    last_modified: str | None,
    revision: str | None,
    error: str | None,
) -> Check:
    """The record of a look at an entry's page that did not read it."""
    assert entry.look is not None
    return Check(
        article_id=entry.look.article_id,
        url=entry.location,
        source=entry.source,
        feed_url=entry.feed_url,
        checked_at=datetime.now(UTC),
        status=status,
        etag=etag,
        last_modified=last_modified,
        revision=revision,
        changed=False,
        error=error,
    )


def article_check(article: Article, revision: str | None, changed: bool) -> Check:
    """The record of a look that saw ``revision`` of an article."""
    look = article.look
    return Check(
        article_id=article.article_id,
        url=article.url or article.canonical_url or "",
        source=article.source,
        feed_url=article.feed_url,
        checked_at=article.fetched_at,
        status=OK,
        etag=look.etag if look else None,
        last_modified=look.last_modified if look else None,
        revision=revision,
        changed=changed,
    )


def strange_check(article: Article, error: str) -> Check:
    """The record of a look that found something else than the article it looked for.

    Without validators, so that the next look reads the page in any case.
    """
    assert article.look is not None, "nothing was looked for"
    return Check(
        article_id=article.look.article_id,
        url=article.url or "",
        source=article.source,
        feed_url=article.feed_url,
        checked_at=article.fetched_at,
        status=OK,
        etag=None,
        last_modified=None,
        revision=None,
        changed=False,
        error=error,
    )
