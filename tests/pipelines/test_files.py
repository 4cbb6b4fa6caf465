"""Runs over local files: text, HTML, folders, globs and standard input."""

import io
import json
import socket

import pytest

FRONT_MATTER = """---
title: Bread before noon
url: https://paper.example/bread?utm_source=mail
source: The Paper
published: 2024-03-05T23:30:00-05:00
lang: en
authors: [Ida Quill]
---
"""


@pytest.fixture
def run(wirewatch, tmp_path):
    """Runs over sources into the test's lake and gives the summary."""

    def run_over(*arguments: object, lake: str = "lake") -> dict:
        outcome = wirewatch("run", *arguments, "--lake", tmp_path / lake, "--json")
        assert outcome.code == 0, outcome.err
        return json.loads(outcome.out)

    return run_over


def texts(found: list[dict]) -> set[str]:
    """The text of each article, put together from its passages."""
    joined: dict[str, str] = {}
    for row in sorted(found, key=lambda row: row["position"]):
        joined[row["article_id"]] = joined.get(row["article_id"], "") + row["text"]
        joined[row["article_id"]] += row["separator"]
    return set(joined.values())


def test_front_matter_gives_title_address_source_and_date(run, rows, tmp_path, write_story):
    (tmp_path / "bread.md").write_text(FRONT_MATTER + write_story(0))
    run(tmp_path / "bread.md")
    found = rows(tmp_path / "lake", "passages")
    assert texts(found) == {write_story(0)}
    for row in found:
        assert row["title"] == "Bread before noon"
        assert row["canonical_url"] == "https://paper.example/bread"
        assert row["source"] == "The Paper"
        assert row["authors"] == ["Ida Quill"]
        assert row["published_at"].isoformat() == "2024-03-06T04:30:00+00:00"
        assert (row["date"], row["lang"]) == ("2024-03-06", "en")


def test_a_folder_is_its_files_and_the_hidden_ones_are_passed_over(
    run, rows, tmp_path, write_story
):
    folder = tmp_path / "seed"
    for number, name in enumerate(("a.txt", "b/c.txt", "b/.d.txt", ".e/f.txt")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(write_story(number))
    assert run(folder)["articles"] == 2
    assert texts(rows(tmp_path / "lake", "passages")) == {write_story(0), write_story(1)}


def test_a_glob_is_the_files_that_match(run, rows, tmp_path, write_story):
    for number, name in enumerate(("one.txt", "two.txt", "three.md")):
        (tmp_path / name).write_text(write_story(number))
    assert run(tmp_path / "*.txt")["sources"] == 2
    assert texts(rows(tmp_path / "lake", "passages")) == {write_story(0), write_story(1)}


def test_a_glob_of_the_working_folder_matches_too(run, rows, tmp_path, write_story, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.txt").write_text(write_story(0))
    (tmp_path / "folder.txt").mkdir()
    assert run("*.txt")["articles"] == 1


def test_an_empty_standard_input_reads_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("\n# nothing today\n"))
    assert run("-")["sources"] == 0
    # Nothing but the hidden lock.
    assert not list((tmp_path / "lake").glob("[!.]*"))


def test_a_source_that_does_not_answer_leaves_a_failed_poll(run, rows, tmp_path):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/feed"
        assert run(url)["dead_letters"] == {"read": 1}
    (poll,) = rows(tmp_path / "lake", "polls")
    assert poll["feed_url"] == url and poll["error"]


def test_standard_input_names_sources(run, rows, tmp_path, newsroom, monkeypatch):
    lines = f"# Two sources\n{newsroom.url('/listed.xml')}\n\n  {newsroom.url('/news/9')}\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    # Whoever wrote those lines does not say what may be connected to.
    assert run("-")["dead_letters"] == {"read": 2}
    assert {row["error_type"] for row in rows(tmp_path / "lake", "errors")} == {"Refused"}
    (tmp_path / "monitor.yaml").write_text("fetch: {allow_hosts: [127.0.0.1]}")
    monkeypatch.setattr("sys.stdin", io.StringIO(lines))
    assert run("-", "--config", tmp_path / "monitor.yaml")["articles"] == 2
    found = {row["canonical_url"] for row in rows(tmp_path / "lake", "passages")}
    assert found == {newsroom.url("/news/8"), newsroom.url("/news/9")}


def test_an_html_file_is_an_article(run, rows, tmp_path, newsroom, write_story):
    (tmp_path / "saved.html").write_text(newsroom.replies["/news/3"].body)
    run(tmp_path / "saved.html")
    found = rows(tmp_path / "lake", "passages")
    (text,) = texts(found)
    assert all(paragraph in text for paragraph in write_story(3).split("\n\n"))
    assert {row["title"] for row in found} == {"Dunmarrow"}
    assert {(row["date"], row["published_from"]) for row in found} == {("2024-04-03", "page")}


def test_one_text_under_two_paths_is_one_article(run, rows, tmp_path, write_story):
    paths = [tmp_path / "here" / "a.txt", tmp_path / "there" / "b.md"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(write_story(0))
    both = run(*paths, lake="both")
    assert (both["articles"], both["articles_known"]) == (1, 1)
    run(paths[0], lake="first")
    run(paths[1], lake="last")
    ids = [
        {(row["article_id"], row["passage_id"]) for row in rows(tmp_path / name, "passages")}
        for name in ("both", "first", "last")
    ]
    assert ids[0] == ids[1] == ids[2]


def test_a_second_run_over_files_adds_nothing(run, rows, tmp_path, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    run(tmp_path / "a.txt")
    before = rows(tmp_path / "lake", "passages")
    summary = run(tmp_path / "a.txt")
    assert (summary["articles"], summary["articles_known"], summary["passages"]) == (0, 1, 0)
    assert rows(tmp_path / "lake", "passages") == before


def test_a_changed_text_is_a_new_revision_of_its_article(run, wirewatch, tmp_path, write_story):
    path = tmp_path / "bread.md"
    for number in (0, 1):
        path.write_text(FRONT_MATTER + write_story(number))
        summary = run(path)
        assert (summary["articles"], summary["articles_changed"]) == (1 - number, number)
    query = "select text, revision, (select count(distinct revision) from passages) n from articles"
    outcome = wirewatch("query", query, "--lake", tmp_path / "lake", "--format", "json")
    (article,) = json.loads(outcome.out)
    assert (article["text"], article["n"]) == (write_story(1), 2)


def test_direct_runner_is_the_local_engine(run, rows, tmp_path, write_story):
    (tmp_path / "a.txt").write_text(write_story(0))
    run(tmp_path / "a.txt", lake="named")
    run(tmp_path / "a.txt", "--runner=DirectRunner", lake="joined")
    run(tmp_path / "a.txt", "--runner", "DirectRunner", lake="apart")
    ids = [
        {row["passage_id"] for row in rows(tmp_path / name, "passages")}
        for name in ("named", "joined", "apart")
    ]
    assert ids[0]
    assert ids[0] == ids[1] == ids[2]


def test_two_lakes_of_one_newsroom_have_the_same_ids(run, rows, tmp_path, newsroom):
    feeds = [newsroom.url(path) for path in ("/atom.xml", "/feed.json", "/listed.xml")]
    run(*feeds, lake="one")
    run(*reversed(feeds), lake="two")
    columns = ("passage_id", "article_id", "revision", "position", "start", "end", "topics")
    one, two = (
        sorted([row[column] for column in columns] for row in rows(tmp_path / name, "passages"))
        for name in ("one", "two")
    )
    assert len({row[1] for row in one}) == 6
    assert one == two


@pytest.mark.parametrize(
    "content, name, stage, kind",
    [
        pytest.param(b"", "empty.txt", "read", "Empty", id="empty"),
        pytest.param(b" \n\t\n", "blank.txt", "read", "Empty", id="blank"),
        pytest.param(b"\x7fELF\0\0\0\1", "tool.txt", "read", "Binary", id="binary"),
        pytest.param(b"<note><to>", "cut.xml", "read", "NotAFeed", id="not-a-feed"),
        pytest.param(b"\x1f\x8b\x08", "cut.txt.gz", "read", None, id="damaged-gzip"),
        pytest.param(b"---\na: [\n---\nText.", "bad.md", "extract", "BadFrontMatter", id="yaml"),
    ],
)
def test_strict_is_exit_code_1_for_dead_letters(
    content, name, stage, kind, wirewatch, rows, tmp_path, write_story
):
    (tmp_path / name).write_bytes(content)
    (tmp_path / "good.txt").write_text(write_story(0))
    sources = (tmp_path / name, tmp_path / "good.txt")
    assert wirewatch("run", *sources, "--lake", tmp_path / "lake").code == 0
    assert wirewatch("run", *sources, "--lake", tmp_path / "strict", "--strict").code == 1
    (letter,) = rows(tmp_path / "lake", "errors")
    assert (letter["stage"], letter["key"]) == (stage, str(tmp_path / name))
    assert kind in (None, letter["error_type"])
    assert texts(rows(tmp_path / "lake", "passages")) == {write_story(0)}


def test_strict_is_exit_code_0_where_nothing_failed(wirewatch, tmp_path, write_story):
    (tmp_path / "good.txt").write_text(write_story(0))
    outcome = wirewatch("run", tmp_path / "good.txt", "--lake", tmp_path / "lake", "--strict")
    assert outcome.code == 0
    assert not (tmp_path / "lake" / "errors").exists()
