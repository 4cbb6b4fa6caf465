"""What a run did, for people and as JSON."""

import dataclasses
import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from apache_beam.metrics import MetricsFilter
from apache_beam.runners.runner import PipelineResult

from pipelines.query import open_lake
from transforms.clean import one_line
from transforms.count import NAMESPACE

NEWEST_HITS = """
select coalesce(title, first(left(text, 80) order by position)) as title, source,
  published_at, fetched_at, coalesce(canonical_url, url) as url,
  list_sort(list_distinct(flatten(list(topics)))) as topics
from passages where len(topics) > 0 and fetched_at >= ?
group by article_id, passages.title, source, published_at, fetched_at, canonical_url, url
order by coalesce(published_at, fetched_at) desc, article_id limit ?
"""
# A key with a #number is an item inside a source, not a source.
FAILED_SOURCES = r"""
select coalesce(source, key) as source, key, message from errors
where stage = 'read' and occurred_at >= ? and not regexp_matches(key, '#\d+$')
order by source, key
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
    dead_letters: dict[str, int]
    failed_sources: list[dict[str, Any]]
    newest_hits: list[dict[str, Any]]
    articles_repeated: int = 0
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
    connection = open_lake(lake)
    return Summary(
        lake=lake,
        seconds=round(seconds, 1),
        sources=counters.get("sources", 0),
        feeds=counters.get("feeds", 0),
        entries=counters.get("entries", 0),
        articles=counters.get("articles", 0),
        articles_known=counters.get("articles_known", 0) + counters.get("entries_known", 0),
        passages=counters.get("passages_written", 0),
        passages_unsupported=counters.get("passages_unsupported", 0),
        passages_hit=counters.get("passages_hit", 0),
        hits={topic: counters.get(f"hits_{topic}", 0) for topic in topics},
        dead_letters={
            name.removeprefix("errors_"): number
            for name, number in sorted(counters.items())
            if name.startswith("errors_")
        },
        failed_sources=rows(connection.execute(FAILED_SOURCES, [began])),
        newest_hits=rows(connection.execute(NEWEST_HITS, [began, newest])),
        articles_repeated=counters.get("articles_repeated", 0),
        drifted_sources=rows(connection.execute(DRIFTED_SOURCES, [began])),
    )


def rows(result: Any) -> list[dict[str, Any]]:
    """A query's rows as dicts."""
    names = [column[0] for column in result.description]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def summary_lines(summary: Summary) -> list[str]:
    """The summary as lines of plain text."""
    dead = sum(summary.dead_letters.values())
    lines = [
        f"{summary.articles:,} new articles, {summary.articles_known:,} known, "
        f"{summary.passages:,} passages, {summary.passages_hit:,} with a topic, "
        f"{dead:,} dead letters, in {summary.seconds:g} s",
        "",
        "Passages by topic",
        *(f"  {topic:<12} {number:>6,}" for topic, number in summary.hits.items()),
    ]
    if summary.passages_unsupported:
        lines.append(f"  (language not read by the model: {summary.passages_unsupported:,})")
    if summary.newest_hits:
        lines += [
            "",
            "Newest hits",
            *(line for hit in summary.newest_hits for line in hit_lines(hit)),
        ]
    if summary.failed_sources:
        lines += ["", "Sources that could not be read"]
        lines += [
            f"  {one_line(f['source'])}: {one_line(f['message'])}" for f in summary.failed_sources
        ]
    if summary.articles_repeated:
        lines += ["", f"Same text again on one site: {summary.articles_repeated:,}"]
    if summary.drifted_sources:
        lines += ["", "Sources whose pages give half of what they did"]
        lines += map(drift_line, summary.drifted_sources)
    if dead:
        lines += ["", "Dead letters by stage"]
        lines += [f"  {stage:<12} {n:>6,}" for stage, n in summary.dead_letters.items()]
    return [*lines, "", *next_steps(summary)]


def drift_line(drifted: Mapping[str, Any]) -> str:
    """One source whose pages give less than they did: perhaps its layout has changed."""
    return (
        f"  {one_line(drifted['source'])}: text in {drifted['text_share']:.0%} of "
        f"{drifted['pages']:,} pages, was {drifted['earlier_text_share']:.0%}; "
        f"median length {drifted['median_chars'] or 0:,}, was {drifted['earlier_median_chars']:,}"
    )


def hit_lines(hit: Mapping[str, Any]) -> list[str]:
    """One article with hits, in two lines."""
    moment = hit["published_at"] or hit["fetched_at"]
    title = one_line(hit["title"])
    where = f"{moment:%Y-%m-%d %H:%M} UTC  {one_line(hit['source'])}"
    return [f"  {title}", f"    {where}  [{', '.join(hit['topics'])}]"]


def next_steps(summary: Summary) -> list[str]:
    """Where the tables lie, and a query to try."""
    is_script = os.path.basename(sys.argv[0]) == "wirewatch" and not shutil.which("wirewatch")
    program = os.path.relpath(sys.argv[0]) if is_script else "wirewatch"
    option = "" if summary.lake == "lake" else f" --lake {shlex.quote(summary.lake)}"
    query = "select date, source, topics, text from passages where len(topics) > 0 limit 5"
    return [
        f"Parquet: {summary.lake}/passages/date=*/*.parquet",
        f'Try:     {program} query "{query}"{option}',
    ]
