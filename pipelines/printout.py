"""The summary of a run as lines of plain text."""

import os
import shlex
import shutil
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from pipelines.health import FAILED_ONCE
from pipelines.summary import Summary
from transforms.clean import counted, one_line

TITLE_CHARS = 90
REASONS_SHOWN = 8
HITS_QUERY = (
    "select published_at, source, topics, left(text, 160) as text from passages "
    "where len(topics) > 0 order by published_at desc nulls last limit 5"
)
ERRORS_QUERY = (
    "select stage, error_type, key, message from errors order by occurred_at desc limit 20"
)


def summary_lines(summary: Summary) -> Iterator[str]:
    """The summary, what was found first; a part with nothing to say is left out."""
    yield headline(summary)
    if summary.passages:
        yield from ("", "Passages by topic (a passage may have several)")
        yield from (f"  {topic:<12} {number:>6,}" for topic, number in summary.hits.items())
    if summary.passages_unsupported:
        number = summary.passages_unsupported
        yield f"  {number:,} more in languages the model does not read"
    if summary.newest_hits:
        yield from ("", "Newest articles with a topic")
        for hit in summary.newest_hits:
            yield from hit_lines(hit)
    if summary.failed_sources:
        yield from ("", f"Sources that could not be read ({len(summary.failed_sources)})")
        yield from failed_lines(summary.failed_sources)
    # A first failure stands among the sources that could not be read.
    feeds = [feed for feed in summary.feed_health if not feed.message.startswith(FAILED_ONCE)]
    if feeds:
        yield from ("", f"Feeds to look at ({len(feeds)})")
        for feed in feeds:
            yield f"  {one_line(feed.source)}: {one_line(feed.message)}"
    if summary.drifted_sources:
        yield from ("", "Sources whose pages give half of what they did")
        yield from map(drift_line, summary.drifted_sources)
    yield from notes(summary)
    if summary.dead_letters:
        yield from ("", "Dead letters: what could not be used, kept in the table errors")
        yield from reason_lines(summary.dead_letter_reasons)
    yield from ("", *next_steps(summary))


def headline(summary: Summary) -> str:
    """The run in one line."""
    dead = sum(summary.dead_letters.values())
    changed = f" and {changes(summary)}" if summary.articles_changed else ""
    new, known = (
        counted(summary.articles, "new article") + changed,
        counted(summary.articles_known, "article"),
    )
    line = (
        f"{new} with {counted(summary.passages, 'passage')}, {summary.passages_hit:,} of them on a "
        f"topic; {known} already in the lake; {counted(dead, 'dead letter')}; {summary.seconds:g} s"
    )
    refused = summary.dates_refused
    return f"{line}; {counted(refused, 'date')} refused" if refused else line


def changes(summary: Summary) -> str:
    """How many articles changed since they were read."""
    number = summary.articles_changed
    return f"{number:,} changed since {'it was' if number == 1 else 'they were'} read"


def drift_line(drifted: Mapping[str, Any]) -> str:
    """One source whose pages give less than they did: perhaps its layout has changed."""
    return (
        f"  {one_line(drifted['source'])}: text in {drifted['text_share']:.0%} of "
        f"{drifted['pages']:,} pages, was {drifted['earlier_text_share']:.0%}; "
        f"median length {drifted['median_chars'] or 0:,}, was {drifted['earlier_median_chars']:,}"
    )


def notes(summary: Summary) -> Iterator[str]:
    """What needed no reading, what came of earlier failures, what stood in for pages."""
    counts = (
        ("Feeds that have not changed since they were last read", summary.feeds_unchanged),
        ("Entries listed more than once, each read once", summary.entries_repeated),
        ("Texts that stood under another address of their site", summary.articles_repeated),
        ("Articles that tell a story which another told before", summary.articles_copied),
        ("Texts from the feed itself, since the page could not be had", summary.texts_from_feed),
        ("Articles that could not be read again, or stand there no more", summary.checks_failed),
        ("Dead letters of earlier runs that are done", summary.letters_done),
        ("Failed pages that wait for their next try", summary.entries_waiting),
        ("Failed pages that have had their last try", summary.entries_given_up),
    )
    if any(number for _, number in counts):
        yield ""
    yield from (f"{what}: {number:,}" for what, number in counts if number)


def hit_lines(hit: Mapping[str, Any]) -> Iterator[str]:
    """One article with hits: its title, then where and when, then its address."""
    title = one_line(hit["title"])
    yield f"  {textwrap.shorten(title, TITLE_CHARS, placeholder='…')}"
    dated, read = hit["published_at"], hit["fetched_at"]
    when = f"{dated:%Y-%m-%d %H:%M} UTC" if dated else f"undated, read {read:%Y-%m-%d %H:%M} UTC"
    yield f"    {when}  {one_line(hit['source'])}  [{', '.join(hit['topics'])}]"
    if hit["url"]:
        yield f"    {one_line(hit['url'])}"


def failed_lines(failed: list[dict[str, Any]]) -> Iterator[str]:
    """Every failed source by name, those with one reason together."""
    by_reason: dict[str, list[str]] = defaultdict(list)
    for source in failed:
        # What stands before the last colon names the host, which the source's name tells.
        reason = one_line(source["message"]).rpartition(": ")[2]
        by_reason[reason].append(one_line(source["source"]))
    for reason, names in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        yield f"  {reason}"
        listed = textwrap.fill("; ".join(names), 96, break_on_hyphens=False)
        yield textwrap.indent(listed, "    ")


def reason_lines(reasons: list[dict[str, Any]]) -> Iterator[str]:
    """The most frequent reasons, each with an example."""
    for reason in reasons[:REASONS_SHOWN]:
        kind = f"{reason['stage']} {reason['error_type']}"
        example = textwrap.shorten(one_line(reason["example"]), 70, placeholder="…")
        yield f"  {reason['number']:>6,}  {kind:<24} {example}"
    rest = sum(reason["number"] for reason in reasons[REASONS_SHOWN:])
    if rest:
        yield f"  {rest:>6,}  for other reasons"


def next_steps(summary: Summary) -> Iterator[str]:
    """Where the tables lie, and a query to try."""
    is_script = os.path.basename(sys.argv[0]) == "wirewatch" and not shutil.which("wirewatch")
    program = os.path.relpath(sys.argv[0]) if is_script else "wirewatch"
    option = "" if summary.lake == "lake" else f" --lake {shlex.quote(summary.lake)}"
    if summary.passages or summary.articles_known:
        yield f"Parquet: {summary.lake}/passages/date=*/*.parquet"
        yield f'Try:     {program} query "{HITS_QUERY}"{option}'
    if summary.dead_letters or summary.entries_waiting or summary.entries_given_up:
        yield f'Why:     {program} query "{ERRORS_QUERY}"{option}'
