import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.split import split_text


def anything(text):
    return True


def texts(text, min_chars=1, max_chars=60, fits=anything, lang="en"):
    return [p.text for p in split_text(text, min_chars, max_chars, fits, lang)]


def test_each_line_is_a_paragraph_where_there_are_no_blank_lines():
    assert texts("The first one.\nThe second one.") == ["The first one.", "The second one."]


def test_blank_lines_separate_paragraphs_and_single_line_ends_do_not():
    text = "A line\nand its rest.\n \nThe second one."
    assert texts(text) == ["A line\nand its rest.", "The second one."]


def test_a_short_paragraph_joins_the_next_and_the_last_the_one_before():
    assert texts("Short.\nA paragraph that is long enough.", min_chars=20) == [
        "Short.\nA paragraph that is long enough."
    ]
    assert texts("A paragraph that is long enough.\nShort.", min_chars=20) == [
        "A paragraph that is long enough.\nShort."
    ]


def test_a_short_paragraph_stays_alone_where_both_together_are_too_long():
    long = "x" * 58
    assert texts(f"Short.\n{long}", min_chars=20) == ["Short.", long]


def test_a_long_paragraph_is_cut_at_sentence_ends_but_not_after_abbreviations():
    text = "Mr. Smith met Dr. Brown at noon. They spoke for an hour. Then both of them left."
    assert texts(text) == [
        "Mr. Smith met Dr. Brown at noon. They spoke for an hour.",
        "Then both of them left.",
    ]
    assert texts(text, max_chars=50)[0] == "Mr. Smith met Dr. Brown at noon."


def test_a_long_sentence_is_cut_at_white_space():
    parts = texts("word " * 29 + "word")
    assert parts == ["word " * 11 + "word"] * 2 + ["word word word word word word"]


def test_a_word_without_white_space_is_cut_anywhere():
    parts = texts("x" * 100)
    assert parts == ["x" * 50, "x" * 50]


@pytest.mark.parametrize(
    ("text", "lang", "expected"),
    [
        ("双方同意停火。谈判明天继续。", "zh", ["双方同意停火。", "谈判明天继续。"]),
        ("Сторони домовились. Бої вщухли.", "uk", ["Сторони домовились.", "Бої вщухли."]),
        ("Стороны договорились. Бои стихли.", "ru", ["Стороны договорились.", "Бои стихли."]),
    ],
)
def test_sentences_end_in_other_scripts(text, lang, expected):
    assert texts(text, max_chars=22 if lang != "zh" else 8, lang=lang) == expected


def test_a_language_that_has_no_rules_of_its_own_is_still_cut():
    assert texts("One is here. Two is there.", max_chars=20, lang="xx") == [
        "One is here.",
        "Two is there.",
    ]


def test_what_does_not_fit_the_model_is_cut_although_it_is_short():
    def fits(text):
        return len(text.split()) <= 3

    assert texts("one two three four five", fits=fits) == ["one two three", "four five"]


def test_offsets_count_code_points_and_separators_keep_white_space():
    first, second = split_text("Дім \U0001f3e0.\n\n Їжак.", 1, 60, anything, "uk")
    assert (first.start, first.end, first.separator) == (0, 6, "\n\n ")
    assert (second.start, second.end, second.separator) == (9, 14, "")


def test_white_space_before_a_blank_line_is_no_passage():
    passages = split_text("x" + " " * 1000 + "\n\ny", 1, 100, anything)
    assert [p.text for p in passages] == ["x", "y"]


def test_long_runs_of_white_space_take_linear_time():
    began = time.process_time()
    assert texts("a" + " " * 300_000 + "b") == ["a", "b"]
    # Quadratic time is half a minute or more.
    assert time.process_time() - began < 5


WORDS = st.sampled_from(
    ["a", "Mr.", "e.g.", "stop.", "Why?", "«Так».", "停火。", "їжак", "x" * 90, "\U0001f3e0", "İ"]
)
GAPS = st.sampled_from([" ", "  ", "\n", "\n\n", " \n \n ", "\t", "\x0b", "\u2028", "\u3000", ""])
ARTICLES = (
    st.one_of(
        st.lists(st.tuples(WORDS, GAPS)).map(lambda pairs: "".join(map("".join, pairs))),
        st.text(max_size=300),
    )
    .map(str.strip)
    .filter(bool)
)


@given(ARTICLES, st.integers(1, 60), st.integers(50, 80), st.sampled_from(["en", "uk", "zh", None]))
@example("x" + " " * 200 + "\n\ny", 1, 50, "en")
@example("a\x1c\x1db. C", 1, 50, "en")
def test_passages_are_exact_and_fit_whatever_the_text(text, min_chars, max_chars, lang):
    def fits(passage):
        return len(passage.encode("utf-8", "surrogatepass")) <= 64

    passages = split_text(text, min_chars, max_chars, fits, lang)

    assert "".join(p.text + p.separator for p in passages) == text
    assert [p.position for p in passages] == list(range(len(passages)))
    for passage in passages:
        assert text[passage.start : passage.end] == passage.text
        assert passage.text.strip()
        assert not passage.separator.strip()
        assert len(passage.text) <= max_chars
        assert fits(passage.text)
