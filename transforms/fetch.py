"""Fetches the page behind each entry, from the web or from a file."""

import dataclasses
from collections.abc import Generator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Check, DeadLetter, Entry, Page
from transforms.check import NOT_MODIFIED, failed_check, unchanged_check
from transforms.count import count
from transforms.deadletter import Unusable, dead_letter, entry_place
from transforms.decode import gunzip
from transforms.fallback import page_instead
from transforms.files import open_archive, read_file
from transforms.http import HttpPolicy, lane_of, open_client
from transforms.lanes import Turn
from transforms.pool import ConcurrentDoFn
from transforms.sources.archives import read_record
from transforms.urls import is_web
from transforms.validators import remember_validators

STAGE = "fetch"


def fetch_page(entry: Entry, http: HttpPolicy) -> Generator[Turn, None, Page | Check]:
    """The page behind an entry, in steps; a check where it is looked at again and its server
    says that it is unchanged. Raises Unusable where it cannot be had whole."""
    if entry.archive is not None:
        with open_archive(entry.archive, http) as stream:
            return read_record(stream, entry, http.max_bytes)
    if not is_web(entry.location):
        body = gunzip(read_file(entry.location, http.max_bytes), http.max_bytes)
        return Page(entry, None, body, None, datetime.now(UTC), "file")
    look = entry.look
    conditions = (look.etag, look.last_modified) if look else (None, None)
    answer = yield from open_client(http).ask(entry.location, *conditions, robots=True)
    if look is not None and answer.status == NOT_MODIFIED:
        return unchanged_check(entry, answer.headers)
    moment = datetime.now(UTC)
    validators = answer.headers.get("etag"), answer.headers.get("last-modified")
    if look is not None:
        look = dataclasses.replace(look, etag=validators[0], last_modified=validators[1])
    elif entry.feed_url is not None:  # Others have no schedule.
        remember_validators(entry.location, moment, validators)
    body = gunzip(answer.body, http.max_bytes)
    return Page(entry, answer.url, body, answer.content_type, moment, look=look)


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
            found = yield from fetch_page(element, self._http)
            return [TaggedOutput("checks", found) if isinstance(found, Check) else found]
        except Unusable as error:
            if element.look is not None:
                return [TaggedOutput("checks", failed_check(element, error))]
            instead = page_instead(element, error, self._tries)
            if instead is not None:
                return [instead]
            letter = dead_letter(STAGE, entry_place(element), element.source, error, given=element)
            return [TaggedOutput("errors", letter)]

    def tally(self, output: Page | TaggedOutput) -> None:
        if isinstance(output, Page):
            count("pages")
        elif output.tag == "checks":
            count("checks_failed" if output.value.error else "checks_unchanged")
        else:
            count(f"errors_{STAGE}")


@beam.typehints.with_input_types(Entry)
class FetchPages(beam.PTransform):
    """Entries to pages, with outputs pages, checks and errors.

    ``tries`` runs may fail to have a page before its feed's own text is used instead.
    """

    def __init__(self, http: HttpPolicy, threads: int, tries: int = 1):
        super().__init__()
        self._fetch = FetchPage(http, threads, tries)

    def expand(self, pcoll):
        fetch = beam.ParDo(self._fetch).with_output_types(Page, checks=Check, errors=DeadLetter)
        return pcoll | fetch.with_outputs("checks", "errors", main="pages")
