"""What a run did: its counters, and what the lake says of it."""

import dataclasses
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from pipelines.health import FeedHealth, feed_health
from transforms.count import NAMESPACE

NEWEST_HITS = """
select coalesce(title, first(split_part(text, chr(10), 1) order by position)) as title, source,
  published_at, fetched_at, coalesce(canonical_url, url) as url,
  list_sort(list_distinct(flatten(list(topics)))) as topics
from passages where len(topics) > 0 and fetched_at >= ?
group by article_id, passages.title, source, published_at, fetched_at, canonical_url, url
order by published_at desc nulls last, fetched_at desc, article_id limit ?
"""
# A key with a #number, or of an entry without a link, is an item inside a source, not a source.
FAILED_SOURCES = r"""
select coalesce(source, key) as source, key, message from errors
where stage = 'read' and occurred_at >= ? and not regexp_matches(key, '#\d+$')
  and error_type <> 'NoLink'
order by source, key
"""
REASONS = """
select stage, error_type, count(*) as number, min(message) as example from errors
where occurred_at >= ? group by stage, error_type order by number desc, stage, error_type
"""
# Half as many pages with a text, or half as long texts, on enough pages to tell.
DRIFTED_SOURCES = """
select source, pages, text_share, earlier_text_share, median_chars, earlier_median_chars
from health
where date = ?::date and pages >= 5 and earlier_pages >= 10
  and (text_share < earlier_text_share / 2
    or coalesce(median_chars, 0) < earlier_median_chars / 2)
order by source
"""


# Counters that a summary gives under their own names.
COUNTED = (
    *("sources", "feeds", "feeds_unchanged", "dates_refused", "texts_from_feed", "letters_done"),
    *("entries", "entries_waiting", "entries_given_up", "entries_repeated"),
    *("articles", "articles_changed", "articles_copied", "articles_repeated", "checks_failed"),
    *("passages_unsupported", "passages_hit"),
)


@dataclasses.dataclass(frozen=True)
class Summary:
    """The counts of a run, its newest hits and the sources it could not read."""

    lake: str
    seconds: float
    sources: int
    feeds: int
    entries: int
    articles: int
    articles_known: int
    passages: int
    passages_unsupported: int
    passages_hit: int
    hits: dict[str, int]
    dates_refused: int
    dead_letters: dict[str, int]
    dead_letter_reasons: list[dict[str, Any]]
    texts_from_feed: int
    letters_done: int
    entries_waiting: int
    failed_sources: list[dict[str, Any]]
    feed_health: list[FeedHealth]
    newest_hits: list[dict[str, Any]]
    articles_repeated: int = 0
    entries_given_up: int = 0
    entries_repeated: int = 0
    feeds_unchanged: int = 0
    articles_changed: int = 0
    articles_copied: int = 0
    checks_failed: int = 0
    drifted_sources: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def read_counters(result: PipelineResult) -> dict[str, int]:
    """The pipeline's own counters, summed over its steps; empty where a runner keeps none."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))["counters"]
    counters: dict[str, int] = {}
    for metric in found:
        name = metric.key.metric.name
        counters[name] = counters.get(name, 0) + (metric.committed or metric.attempted or 0)
    return counters


def summarise(
    counters: Mapping[str, int],
    topics: list[str],
    lake: str,
    began: datetime,
    seconds: float,
    newest: int = 10,
) -> Summary:
    """The summary of a run that began at ``began`` (UTC)."""
    # Imported when needed: a watcher reads counters and never sums up.
    from pipelines.query import read_lake

    said: dict[str, Any] = {name: counters.get(name, 0) for name in COUNTED}
    said |= read_lake(lake, lambda connection: lake_reports(connection, began, newest))
    return Summary(
        lake=lake,
        seconds=round(seconds, 1),
        articles_known=counters.get("articles_known", 0) + counters.get("entries_known", 0),
        passages=counters.get("passages_written", 0),
        hits={topic: counters.get(f"hits_{topic}", 0) for topic in topics},
        dead_letters={
            name.removeprefix("errors_"): number
            for name, number in sorted(counters.items())
            if name.startswith("errors_")
        },
        feed_health=feed_health(lake, began),
        **said,
    )


def lake_reports(connection: Any, began: datetime, newest: int) -> dict[str, list[dict[str, Any]]]:
    """The parts of a summary that are queries of the lake."""
    return {
        "dead_letter_reasons": rows(connection.execute(REASONS, [began])),
        "failed_sources": rows(connection.execute(FAILED_SOURCES, [began])),
        "newest_hits": rows(connection.execute(NEWEST_HITS, [began, newest])),
        "drifted_sources": rows(connection.execute(DRIFTED_SOURCES, [began])),
    }


def rows(result: Any) -> list[dict[str, Any]]:
    """A query's rows as dicts."""
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]
