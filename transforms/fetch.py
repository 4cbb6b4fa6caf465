"""Fetches the page behind each entry, from the web or from a file."""

from collections.abc import Generator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry, Page
from transforms.count import count
from transforms.deadletter import ErrorOutput, Unusable, dead_letter
from transforms.decode import gunzip
from transforms.http import HttpPolicy, lane_of, open_client
from transforms.lanes import Turn
from transforms.pool import ConcurrentDoFn
from transforms.read import read_file
from transforms.urls import is_web

STAGE = "fetch"


def fetch_page(entry: Entry, http: HttpPolicy) -> Generator[Turn, None, Page]:
    """The page behind an entry, in steps. Raises Unusable where it cannot be had whole."""
    if not is_web(entry.location):
        body = gunzip(read_file(entry.location, http.max_bytes), http.max_bytes)
        return Page(entry, None, body, None, datetime.now(UTC))
    answer = yield from open_client(http).ask(entry.location, robots=True)
    body = gunzip(answer.body, http.max_bytes)
    return Page(entry, answer.url, body, answer.content_type, datetime.now(UTC))


class FetchPage(ConcurrentDoFn):
    """Fetches entries on threads; see FetchPages."""

    def __init__(self, http: HttpPolicy, threads: int):
        super().__init__(threads)
        self._http = http

    def lane(self, element: Entry) -> str | None:
        return lane_of(element.location)

    def pause(self, lane: str) -> float:
        return open_client(self._http).hosts.pause(lane)

    def work(self, element: Entry) -> Generator[Turn, None, list]:
        try:
            return [(yield from fetch_page(element, self._http))]
        except Unusable as error:
            letter = dead_letter(STAGE, element.location, element.source, error)
            return [TaggedOutput("errors", letter)]

    def tally(self, output: Page | ErrorOutput) -> None:
        count("pages" if isinstance(output, Page) else f"errors_{STAGE}")


@beam.typehints.with_input_types(Entry)
class FetchPages(beam.PTransform):
    """Entries to pages, with outputs pages and errors."""

    def __init__(self, http: HttpPolicy, threads: int):
        super().__init__()
        self._fetch = FetchPage(http, threads)

    def expand(self, pcoll):
        fetch = beam.ParDo(self._fetch).with_output_types(Page, errors=DeadLetter)
        return pcoll | fetch.with_outputs("errors", main="pages")
