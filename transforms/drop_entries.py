"""Drops entries that are already known: those whose address the lake or the run has.

What may have changed passes: an entry whose page is due to be looked at again.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import DeadLetter, Entry
from transforms.count import count
from transforms.deadletter import TriedOutput, letter_id
from transforms.ledger import Ledger, LedgerPolicy, open_ledger
from transforms.poll import PollPolicy, may_try_again
from transforms.recent import Recent, RevisionPolicy, open_recent
from transforms.urls import address_id, is_web


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
