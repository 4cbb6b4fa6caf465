"""Expands sources: folders and globs into their files, each once."""

from collections.abc import Iterable

import apache_beam as beam
from apache_beam.pvalue import TaggedOutput

from schemas.records import Source
from transforms.count import count
from transforms.deadletter import Unusable, dead_letter
from transforms.files import expand_source, is_utf8

# It is a part of reading sources, also in dead letters.
STAGE = "read"


def first_source(same: tuple[str, Iterable[Source]]) -> Source:
    """The source to read of several with one location, the same on every engine."""
    return min(same[1], key=lambda s: (s.name is None, s.name or "", s.kind or "", s.lang or ""))


class ExpandSource(beam.DoFn):
    """Gives the files of a folder or glob."""

    def process(self, element: Source):
        try:
            expanded = expand_source(element)
        except Unusable as error:
            yield self._error(element, error)
            return
        count("sources", len(expanded))
        for source in expanded:
            if is_utf8(source.location):
                yield source
            else:
                yield self._error(source, Unusable("BadName", "the file's name is not UTF-8"))

    @staticmethod
    def _error(source: Source, error: Unusable) -> TaggedOutput:
        count(f"errors_{STAGE}")
        given = source if is_utf8(source.location) else None
        letter = dead_letter(STAGE, source.location, source.name, error, given=given)
        return TaggedOutput("errors", letter)
