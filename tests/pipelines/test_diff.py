"""wirewatch diff: what it prints of an article's revisions."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.lakes import put_look, put_revision
from transforms.urls import address_id

DAY = datetime(2024, 5, 1, 12, tzinfo=UTC)
URL = "https://a.example/talks"
LEAD = "Negotiators said after 3 days of talks that the fighting would stop."
MORE = "Bakers and drivers in the town went back to work."


@pytest.fixture
def keep(tmp_path, classified):
    """Puts a revision of an article into the lake, read so many hours after the first."""

    def put(text, hours=0, title="Talks", url=URL):
        moment = DAY + timedelta(hours=hours)
        put_revision(tmp_path, classified(url, text), moment, title=title)

    return put


@pytest.fixture
def look(tmp_path):
    """Puts a look at the article into the lake that saw a text."""

    def put(text, hours, **changed):
        put_look(tmp_path, URL, text, DAY + timedelta(hours=hours), **changed)

    return put


@pytest.fixture
def diff(wirewatch, tmp_path):
    return lambda name: wirewatch("diff", name, "--lake", tmp_path)


def test_the_words_that_changed_are_marked(keep, diff):
    keep(f"{LEAD}\n{MORE}")
    keep(f"{LEAD.replace('3 days', '9 days')}\n{MORE}\nTwo ministers signed.", 2, "Talks end")
    lines = diff(URL).out.splitlines()
    assert lines[0] == "Talks end"
    assert [line.split("  seen ")[1] for line in lines if "  seen " in line] == [
        "2024-05-01 12:00 UTC",
        "2024-05-01 14:00 UTC",
    ]
    start = lines.index("--- 1")
    assert lines[start:] == [
        "--- 1",
        "+++ 2",
        "- title: Talks",
        "+ title: Talks end",
        "@@ -1,2 +1,3 @@ paragraphs",
        "- Negotiators said after [-3-] days of talks that the fighting would stop.",
        "+ Negotiators said after {+9+} days of talks that the fighting would stop.",
        f"  {MORE}",
        "+ Two ministers signed.",
    ]


def test_a_text_that_came_back_is_shown_as_a_change(keep, look, diff):
    keep(LEAD)
    keep(MORE, 1)
    look(MORE, 2, changed=False)
    look(None, 3, status=404, changed=False, error="HTTP 404 Not Found")
    look(LEAD, 4)
    out = diff(URL).out
    assert [line for line in out.splitlines() if line.startswith(("---", "+++"))] == [
        "--- 1",
        "+++ 2",
        "--- 2",
        "+++ 3",
    ]
    assert out.rindex(f"+ {LEAD}") > out.rindex(f"- {MORE}")


@pytest.mark.parametrize(
    "name",
    [address_id(URL), address_id(URL)[:6], address_id(URL).upper(), f"{URL}?utm_source=x#top",
     "http://a.example/talks"],
)  # fmt: skip
def test_an_article_is_found_by_its_id_and_every_address(keep, diff, name):
    keep(LEAD)
    keep(MORE, url="https://a.example/other")
    assert diff(name).out == "Talks: one revision, read 2024-05-01 12:00 UTC\n"


def test_an_article_without_a_title_is_named_by_its_first_words(keep, diff):
    keep(f"{LEAD}\n{MORE}", title=None)
    assert diff(URL).out == f"{LEAD}: one revision, read 2024-05-01 12:00 UTC\n"


def test_one_revision_tells_when_it_was_last_looked_at(keep, look, diff):
    keep(LEAD)
    look(LEAD, 4, changed=False)
    assert diff(URL).out == (
        "Talks: one revision, read 2024-05-01 12:00 UTC, last looked at 2024-05-01 16:00 UTC\n"
    )


@pytest.mark.parametrize(
    "name, message",
    [
        ("https://a.example/none", "the lake has no such article"),
        ("0123456789", "the lake has no such article"),
        ("012", "give 6 or more characters of the article_id"),
        ("talks", "an article is named by its article_id or its address"),
    ],
)
def test_what_is_no_article_is_said_in_a_line(keep, diff, name, message):
    keep(LEAD)
    outcome = diff(name)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == f"wirewatch: {name}: {message}\n"


def test_a_hostile_text_does_not_act_on_the_terminal(keep, diff):
    keep("Red \x1b[31m\x9b1m alert \u202e here.", title="Bell \x07")
    keep("Red \x1b[32m alert \u202e there.", 1, title="\x1b]0;owned\x07")
    out = diff(URL).out
    assert "[-here.-]" in out
    assert not set(out) & {"\x1b", "\x9b", "\x07", "\u202e"}
