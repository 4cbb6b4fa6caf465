import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.clean import escaped_json, one_line, plain_line, spreadsheet_text, without_acting


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<b>Truce</b> holds", "Truce holds"),
        ("AT&amp;T &#39;talks&#39;", "AT&T 'talks'"),
        ("&lt;img src=x onerror=alert(1)&gt; Truce", "Truce"),
        ("Truce <script src=//x", "Truce"),
        ("<!-- a --> Truce <!DOCTYPE x>", "Truce"),
        ("2 < 3 and 4 > 3, I <3 it", "2 < 3 and 4 > 3, I <3 it"),
        ("red\x1b[31m \u202ealert\nhere", "red[31m alert here"),
        ("<br>", None),
        (" ", None),
        (5, None),
    ],
)
def test_a_title_is_plain_text_on_one_line(text, plain):
    assert plain_line(text) == plain


@given(st.text())
def test_a_plain_line_holds_no_tag_and_nothing_that_acts(text):
    line = plain_line("<a " + text + ">" + text) or ""
    assert line == one_line(line) and without_acting(line) == line


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\nx", "\r=1", " =1", "\uff1d1", "\u200e=1", "\x1b=1"],
)
def test_a_formula_is_text_to_a_spreadsheet(text):
    assert spreadsheet_text(text).startswith("'")


@pytest.mark.parametrize("text", ["", "Truce", "1-1", "a = b", "'=1", "two\nlines", "a\u200cb"])
def test_other_text_stays_as_it_is(text):
    assert spreadsheet_text(text) == text


@given(st.text())
def test_json_keeps_its_meaning_and_does_not_act(text):
    written = escaped_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert json.loads(written) == {text: [text]}
    assert without_acting(written) == written
