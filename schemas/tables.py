"""The tables of the lake: version, columns and documentation of each."""

import hashlib

import pyarrow as pa

from schemas.table import Column, Table

UTC_MICROS = pa.timestamp("us", tz="UTC")
SCORE = pa.struct([pa.field("topic", pa.string()), pa.field("score", pa.float32())])


PASSAGES = Table(
    "passages",
    4,
    "One row a passage. The article's columns repeat on each of its passages, and all "
    "passages of a revision of an article stand in one file.",
    "published_at, or fetched_at where that is null",
    (
        Column("passage_id", pa.string(), "Hash of article_id, revision and position."),
        Column(
            "article_id",
            pa.string(),
            "Hash of canonical_url, or of the text where there is no URL.",
        ),
        Column(
            "revision",
            pa.string(),
            "Hash of the article's text; an article that has changed has several.",
        ),
        Column("url", pa.string(), "Address the page was found under.", nullable=True),
        Column(
            "canonical_url",
            pa.string(),
            "Address after redirects and rel=canonical, without tracking parameters.",
            nullable=True,
        ),
        Column("source", pa.string(), "Name of the source that listed the article."),
        Column("feed_url", pa.string(), "Feed that listed the article.", nullable=True),
        Column("publisher", pa.string(), "Who publishes it, by the page.", nullable=True),
        Column("section", pa.string(), "Section it stands in, by the page.", nullable=True),
        Column("title", pa.string(), "Headline, as plain text.", nullable=True),
        Column("authors", pa.list_(pa.string()), "Authors in the order given; may be empty."),
        Column(
            "lang",
            pa.string(),
            "ISO 639-1 code of the language, identified from the text.",
            nullable=True,
        ),
        Column("published_at", UTC_MICROS, "When the article says it appeared.", nullable=True),
        Column(
            "published_from",
            pa.string(),
            "Where published_at is from: feed; page where the feed gives none that can be "
            "true; none where the page does not either. A date before 1900 or more than a "
            "day after fetched_at cannot be true.",
        ),
        Column(
            "published_offset_minutes",
            pa.int32(),
            "Minutes ahead of UTC that published_at was stated with; null where it had no offset "
            "and was taken as UTC.",
            nullable=True,
        ),
        Column(
            "modified_at",
            UTC_MICROS,
            "When the page says it was changed; null where it does not or cannot be true.",
            nullable=True,
        ),
        Column("fetched_at", UTC_MICROS, "When the page was fetched or the file was read."),
        Column(
            "text_from",
            pa.string(),
            "What the text is from: page, feed (the feed's own full text, where the page could "
            "not be had) or file.",
        ),
        Column("position", pa.int32(), "Place of the passage in the article, from 0."),
        Column("start", pa.int32(), "First character of the passage in the article's text."),
        Column("end", pa.int32(), "Character after its last. Offsets count Unicode code points."),
        Column("text", pa.string(), "The passage: article text[start:end]."),
        Column(
            "separator",
            pa.string(),
            "White space between this passage and the next: text and separator of all "
            "passages, by position, are the article's text.",
        ),
        Column(
            "topics",
            pa.list_(pa.string()),
            "Topics whose score reaches their threshold; null where the model does not "
            "read the language.",
            nullable=True,
        ),
        Column(
            "scores",
            pa.list_(SCORE),
            "Probability of each topic; null where topics is null.",
            nullable=True,
        ),
        Column(
            "model",
            pa.string(),
            "Name and version of the model that gave the scores; after a + a hash of all that "
            "decides scores and topics: the model's files, the topics, their thresholds.",
        ),
        Column(
            "cluster_id",
            pa.string(),
            "The article_id of the first article seen of those that tell the same story in "
            "nearly the same words; its own where there is no other.",
            nullable=True,
        ),
        Column("cluster_source", pa.string(), "Source of that first article.", nullable=True),
        Column(
            "signature",
            pa.binary(),
            "MinHash of the article's text, to find copies by; on the passage at position 0 only.",
            nullable=True,
        ),
        Column("schema_version", pa.int32(), "Version of this table's schema."),
    ),
    times=("published_at", "fetched_at"),
    keys=("article_id", "revision", "position"),
    whole=("article_id", "revision"),
)

ERRORS = Table(
    "errors",
    2,
    "One row each time an input could not be used, and one when it was done after all: the "
    "newest row of a letter_id says how it stands. Rows are only ever added.",
    "occurred_at",
    (
        Column("stage", pa.string(), "Stage that failed: read, fetch or extract."),
        Column("key", pa.string(), "URL or absolute path, with the position in it after a #."),
        Column("source", pa.string(), "Name of the source.", nullable=True),
        Column("error_type", pa.string(), "Kind of error, for grouping."),
        Column("message", pa.string(), "What went wrong, in one line."),
        Column("retryable", pa.bool_(), "Whether trying again later may help."),
        Column("attempt", pa.int32(), "How many times it was tried in the run."),
        Column("payload_head", pa.string(), "First characters of what was read.", nullable=True),
        Column("occurred_at", UTC_MICROS, "When it failed."),
        Column(
            "letter_id",
            pa.string(),
            "Hash of the address or absolute path: the same in every run, from any folder.",
        ),
        Column("tries", pa.int32(), "How many runs have tried it, this one included."),
        Column(
            "retry_at",
            UTC_MICROS,
            "The server asked not to be asked before (Retry-After).",
            nullable=True,
        ),
        Column("input", pa.string(), "The source or entry as JSON, to retry.", nullable=True),
        Column(
            "content",
            pa.binary(),
            "The feed's own text of the article, for when its page is given up (zlib, HTML).",
            nullable=True,
        ),
        Column(
            "done_at",
            UTC_MICROS,
            "When the letter was found to be done; null while it is open.",
            nullable=True,
        ),
    ),
    times=("occurred_at",),
    keys=("letter_id",),
)

POLLS = Table(
    "polls",
    2,
    "One row a poll of a feed, list or archive, whether it succeeded or not. It is written "
    "after all that the poll listed is in passages or errors. The newest row of a feed_url "
    "says how the feed stands.",
    "polled_at",
    (
        Column("feed_url", pa.string(), "Address or absolute path of the feed or list."),
        Column("source", pa.string(), "Name of the source."),
        Column("status", pa.int32(), "HTTP status; null for a file or no answer.", nullable=True),
        Column(
            "etag",
            pa.string(),
            "ETag of the last whole reading, as sent; null where the next must be whole too.",
            nullable=True,
        ),
        Column(
            "last_modified", pa.string(), "Last-Modified of that reading, as sent.", nullable=True
        ),
        Column("entries", pa.int32(), "Entries in the feed, or feeds in the list."),
        Column(
            "new_entries",
            pa.int32(),
            "Entries that were neither in the lake nor had failed before.",
        ),
        Column("bytes", pa.int64(), "Size of the feed in bytes, after decompression."),
        Column("duration_ms", pa.int32(), "Milliseconds from the request to the last byte."),
        Column("error", pa.string(), "Why the feed could not be read.", nullable=True),
        Column("polled_at", UTC_MICROS, "When the poll began."),
        Column(
            "moved_to",
            pa.string(),
            "Where the feed has moved for good (301, 308) and is asked for.",
            nullable=True,
        ),
        Column("gone", pa.bool_(), "Whether the server said that it is gone for good (410)."),
        Column("failures", pa.int32(), "Polls that have failed in a row, this one included."),
        Column("retry_at", UTC_MICROS, "Retry-After of the server, as a moment.", nullable=True),
        Column(
            "next_poll_at",
            UTC_MICROS,
            "When it is next due, by its own hints and the limits of the configuration; null if "
            "never. wirewatch run polls it earlier too.",
            nullable=True,
        ),
        Column(
            "last_full_at", UTC_MICROS, "When it last answered with its entries.", nullable=True
        ),
        Column("last_new_at", UTC_MICROS, "When it last had something new.", nullable=True),
        Column(
            "usual_gap_s",
            pa.float64(),
            "Its usual seconds between two new entries, from their dates or from the polls.",
            nullable=True,
        ),
    ),
    times=("polled_at",),
    keys=("feed_url",),
)

CHECKS = Table(
    "checks",
    1,
    "One row each time the page of an article in passages was looked at again, or another "
    "address led to it. It is written after the passages of what was found. The newest row of an "
    "article_id says how it stands: its text went from one revision to another and perhaps back.",
    "checked_at",
    (
        Column("article_id", pa.string(), "The article, as in passages."),
        Column("url", pa.string(), "Address that was asked for."),
        Column("source", pa.string(), "Name of the source that listed the article."),
        Column("feed_url", pa.string(), "Feed that listed it.", nullable=True),
        Column("checked_at", UTC_MICROS, "When it was looked at."),
        Column("status", pa.int32(), "HTTP status; null where none came.", nullable=True),
        Column("etag", pa.string(), "ETag of the page, for the next look.", nullable=True),
        Column("last_modified", pa.string(), "Last-Modified of the page, as sent.", nullable=True),
        Column(
            "revision",
            pa.string(),
            "The revision in passages that the page shows; null where it could not be read, or was "
            "read in the run that found the article.",
            nullable=True,
        ),
        Column(
            "changed",
            pa.bool_(),
            "Whether that is another than at the look before. What is no prose, such as a time "
            "stamp or a counter, may differ without that.",
        ),
        Column("error", pa.string(), "Why the page could not be read.", nullable=True),
    ),
    times=("checked_at",),
    keys=("article_id",),
)

TABLES = {table.name: table for table in (PASSAGES, ERRORS, POLLS, CHECKS)}


def stable_id(*parts: str) -> str:
    """The first 128 bits of SHA-256 over the parts, as 32 hex digits.

    The same on every machine and engine; the parts are joined by a character
    (U+001F) that none of them holds unescaped in practice.
    """
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
