from datetime import UTC, datetime

import pytest

from pipelines.printout import summary_lines
from pipelines.summary import Summary

READ = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@pytest.fixture
def printed():
    """The printout of a summary in which all is nothing but what is given."""

    def lines(**given):
        zero = {"sources", "feeds", "entries", "articles", "articles_known", "passages"}
        zero |= {"passages_unsupported", "passages_hit", "dates_refused", "texts_from_feed"}
        zero |= {"letters_done", "entries_waiting", "articles_repeated"}
        lists = {"failed_sources": [], "newest_hits": [], "dead_letter_reasons": []}
        lists |= {"feed_health": [], "drifted_sources": []}
        nothing = dict.fromkeys(zero, 0) | lists | {"hits": {}, "dead_letters": {}}
        return "\n".join(
            summary_lines(Summary(**{**nothing, "lake": "a b", "seconds": 1, **given}))
        )

    return lines


def hit(**given):
    article = {"title": "A headline", "source": "The Source", "url": None, "topics": ["nato"]}
    return article | {"published_at": None, "fetched_at": READ} | given


def test_a_run_that_found_nothing_says_only_that(printed):
    text = printed()
    assert "0 new articles" in text
    assert "topic (" not in text and "Parquet" not in text and "Try:" not in text


def test_an_undated_article_is_said_to_be_undated(printed):
    assert "undated, read 2026-11-22 09:30 UTC" in printed(newest_hits=[hit()])
    assert "undated" not in printed(newest_hits=[hit(published_at=READ)])


def test_a_long_title_ends_in_an_ellipsis_between_words(printed):
    text = printed(newest_hits=[hit(title="word " * 60)])
    assert "word…\n" in text and "wor…" not in text


def test_control_codes_of_a_title_are_not_printed(printed):
    text = printed(
        newest_hits=[hit(title="A\x1b[31mred\u202e title", url="https://a.example/\x07")]
    )
    assert not {"\x1b", "\u202e", "\x07"} & set(text)


def test_sources_that_failed_alike_are_named_together(printed):
    failed = [
        {"source": name, "key": "k", "message": f"no answer from {name}.example: Name not known"}
        for name in ("one", "two")
    ]
    assert "  Name not known\n    one; two\n" in printed(failed_sources=failed)


def test_dead_letters_are_explained(printed):
    reason = {"stage": "fetch", "error_type": "Http404", "number": 3, "example": "HTTP 404"}
    text = printed(dead_letters={"fetch": 3}, dead_letter_reasons=[reason])
    assert "3  fetch Http404" in text
    assert "from errors" in text and "--lake 'a b'" in text


def test_the_rarest_reasons_are_counted_together(printed):
    reasons = [
        {"stage": "read", "error_type": f"Kind{n}", "number": 20 - n, "example": ""}
        for n in range(10)
    ]
    text = printed(dead_letters={"read": 155}, dead_letter_reasons=reasons)
    assert "    23  for other reasons" in text and "Kind8" not in text
