"""Fetches the page behind each entry, from the web or from a file."""

from collections.abc import Generator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry, Page
from transforms.count import count
from transforms.deadletter import ErrorOutput, Unusable, dead_letter, entry_place
from transforms.decode import gunzip
from transforms.fallback import page_instead
from transforms.files import open_archive, read_file
from transforms.http import HttpPolicy, lane_of, open_client
from transforms.lanes import Turn
from transforms.pool import ConcurrentDoFn
from transforms.sources.archives import read_record
from transforms.urls import is_web

STAGE = "fetch"


def fetch_page(entry: Entry, http: HttpPolicy) -> Generator[Turn, None, Page]:
    """The page behind an entry, in steps. Raises Unusable where it cannot be had whole."""
    if entry.archive is not None:
        with open_archive(entry.archive, http) as stream:
            return read_record(stream, entry, http.max_bytes)
    if not is_web(entry.location):
        body = gunzip(read_file(entry.location, http.max_bytes), http.max_bytes)
        return Page(entry, None, body, None, datetime.now(UTC), "file")
    answer = yield from open_client(http).ask(entry.location, robots=True)
    body = gunzip(answer.body, http.max_bytes)
    return Page(entry, answer.url, body, answer.content_type, datetime.now(UTC))


class FetchPage(ConcurrentDoFn):
    """Fetches entries on threads; see FetchPages."""

    def __init__(self, http: HttpPolicy, threads: int, tries: int):
        super().__init__(threads)
        self._http = http
        self._tries = tries

    def lane(self, element: Entry) -> str | None:
        return None if element.archive else lane_of(element.location)

    def pause(self, lane: str) -> float:
        return open_client(self._http).hosts.pause(lane)

    def work(self, element: Entry) -> Generator[Turn, None, list]:
        try:
            return [(yield from fetch_page(element, self._http))]
        except Unusable as error:
            instead = page_instead(element, error, self._tries)
            if instead is not None:
                return [instead]
            letter = dead_letter(STAGE, entry_place(element), element.source, error, given=element)
            return [TaggedOutput("errors", letter)]

    def tally(self, output: Page | ErrorOutput) -> None:
        count("pages" if isinstance(output, Page) else f"errors_{STAGE}")


@beam.typehints.with_input_types(Entry)
class FetchPages(beam.PTransform):
    """Entries to pages, with outputs pages and errors.

    ``tries`` runs may fail to have a page before its feed's own text is used instead.
    """

    def __init__(self, http: HttpPolicy, threads: int, tries: int = 1):
        super().__init__()
        self._fetch = FetchPage(http, threads, tries)

    def expand(self, pcoll):
        fetch = beam.ParDo(self._fetch).with_output_types(Page, errors=DeadLetter)
        return pcoll | fetch.with_outputs("errors", main="pages")
