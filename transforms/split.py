"""Splits an article's text into passages that a model reads whole."""

import re
from collections.abc import Callable, Iterator

import apache_beam as beam
import sentencex

from models.interface import ModelSpec
from models.load import load_fits
from schemas.records import Article, Passage, SplitArticle
from transforms.count import count

Span = tuple[int, int]
# Each starts where white space does, so that a long run of it takes linear time.
BLANK_LINE = re.compile(r"(?<!\s)[^\S\n]*\n[^\S\n]*\n\s*")
LINE_END = re.compile(r"(?<!\s)[^\S\n]*\n\s*")
WHITE_SPACE = re.compile(r"\s+")


def split_text(
    text: str,
    min_chars: int,
    max_chars: int,
    fits: Callable[[str], bool],
    lang: str | None = None,
) -> tuple[Passage, ...]:
    """The passages of a text, in order; text and separators joined give the text back.

    A passage is a paragraph. One shorter than ``min_chars`` is joined to the next (the
    last to the one before) where both together stay within ``max_chars``; one longer
    than that, or that does not fit the model, is cut at sentence ends, then at white
    space, then anywhere. ``text`` neither starts nor ends with white space.
    """

    def small(span: Span) -> bool:
        return span[1] - span[0] <= max_chars and fits(text[slice(*span)])

    pieces = [
        piece
        for paragraph in paragraph_spans(text)
        for piece in cut_span(text, paragraph, small, lang)
    ]
    spans = join_short(pieces, min_chars, small)
    starts = [start for start, _ in spans[1:]] + [len(text)]
    return tuple(
        Passage(position, start, end, text[start:end], text[end:following])
        for position, ((start, end), following) in enumerate(zip(spans, starts, strict=True))
    )


def paragraph_spans(text: str) -> list[Span]:
    """The paragraphs: separated by blank lines where there are any, else one a line."""
    breaks = BLANK_LINE if BLANK_LINE.search(text) else LINE_END
    return spans_between(text, (0, len(text)), breaks)


def spans_between(text: str, span: Span, breaks: re.Pattern) -> list[Span]:
    """The parts of a span that lie between matches of ``breaks``."""
    spans, start = [], span[0]
    for match in breaks.finditer(text, *span):
        if match.start() > start:
            spans.append((start, match.start()))
        start = match.end()
    if start < span[1]:
        spans.append((start, span[1]))
    return spans


def cut_span(
    text: str, span: Span, small: Callable[[Span], bool], lang: str | None
) -> Iterator[Span]:
    """A span cut into small ones: at sentence ends, else at white space, else in halves."""
    if small(span):
        yield span
        return
    for finder in (sentence_spans, word_spans):
        parts = finder(text, span, lang)
        if len(parts) > 1:
            for part in join_while_small(parts, small):
                yield from cut_span(text, part, small, lang)
            return
    middle = (span[0] + span[1]) // 2
    for half in ((span[0], middle), (middle, span[1])):
        yield from cut_span(text, half, small, lang)


def sentence_spans(text: str, span: Span, lang: str | None) -> list[Span]:
    """The sentences of a span without the white space around them, by sentencex."""
    spans, start = [], span[0]
    for sentence in sentencex.segment(lang or "en", text[slice(*span)]):
        stripped = sentence.strip()
        if stripped:
            begin = text.index(stripped, start, span[1])
            spans.append((begin, begin + len(stripped)))
            start = begin + len(stripped)
    return spans


def word_spans(text: str, span: Span, lang: str | None) -> list[Span]:
    """The runs of characters of a span that hold no white space."""
    return spans_between(text, span, WHITE_SPACE)


def join_while_small(parts: list[Span], small: Callable[[Span], bool]) -> list[Span]:
    """Neighbouring parts joined as long as the result is small."""
    joined = parts[:1]
    for part in parts[1:]:
        together = (joined[-1][0], part[1])
        if small(together):
            joined[-1] = together
        else:
            joined.append(part)
    return joined


def join_short(spans: list[Span], min_chars: int, small: Callable[[Span], bool]) -> list[Span]:
    """Each short span joined to the next, the last to the one before, where they fit."""
    joined: list[Span] = []
    for number, span in enumerate(spans):
        is_last = number == len(spans) - 1
        previous_short = joined and joined[-1][1] - joined[-1][0] < min_chars
        this_short = is_last and span[1] - span[0] < min_chars
        if joined and (previous_short or this_short) and small((joined[-1][0], span[1])):
            joined[-1] = (joined[-1][0], span[1])
        else:
            joined.append(span)
    return joined


class SplitPassage(beam.DoFn):
    """Splits articles; see SplitPassages."""

    _fits: Callable[[str], bool]

    def __init__(self, min_chars: int, max_chars: int, model: ModelSpec):
        self._min_chars = min_chars
        self._max_chars = max_chars
        self._model = model

    def setup(self) -> None:
        self._fits = load_fits(self._model)

    def process(self, element: Article) -> Iterator[SplitArticle]:
        passages = split_text(
            element.text, self._min_chars, self._max_chars, self._fits, element.lang
        )
        count("passages", len(passages))
        yield SplitArticle(element, passages)


@beam.typehints.with_input_types(Article)
@beam.typehints.with_output_types(SplitArticle)
class SplitPassages(beam.PTransform):
    """Articles with their passages."""

    def __init__(self, min_chars: int, max_chars: int, model: ModelSpec):
        super().__init__()
        self._split = SplitPassage(min_chars, max_chars, model)

    def expand(self, pcoll):
        return pcoll | beam.ParDo(self._split)
