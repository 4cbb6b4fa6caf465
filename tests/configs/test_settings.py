import os
from pathlib import Path

import pydantic
import pytest

from configs.settings import PACKAGED, UserError, config_sources, load_settings
from configs.topics import load_topics
from pipelines.prepare import check_source, http_policy, named_hosts
from schemas.records import Source
from transforms.sources import KINDS

SHIPPED = PACKAGED / "monitor.yaml"


@pytest.fixture
def config(tmp_path):
    """Writes a configuration and gives its path."""

    def write(text, name="monitor.yaml"):
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


MISTAKES = [
    ("revisions: {recheck: [60, 60]}", "revisions.recheck"),
    ("revisions: {recheck: [0]}", "revisions.recheck"),
    ("revisions: {recheck: [9999999]}", "revisions.recheck"),
    ("revisions: {least_gap: -1}", "revisions.least_gap"),
    ("copies: {similarity: 0.1}", "copies.similarity"),
    ("sources: [", "not valid YAML"),
    ("lake: a\n\tmodel: b", "not valid YAML"),
    ("lake: \x07", "not valid YAML"),
    ("model: 2024-13-45", "not valid YAML"),
    (b"lake: \xff", "cannot be read"),
    ("- lake", "Settings"),
    ("lakes: a", "lakes"),
    ("fetch: {thread: 4}", "fetch.thread"),
    ("lake: 7", "lake"),
    ("fetch: {threads: many}", "fetch.threads"),
    ("fetch: {threads: 0}", "fetch.threads"),
    ("fetch: 5", "fetch"),
    ("fetch: {host_delay: -1}", "fetch.host_delay"),
    ("fetch: {contact: two words}", "fetch.contact"),
    ('fetch: {user_agent: "a\\r\\nX: y"}', "fetch.user_agent"),
    ("fetch: {allow_hosts: intranet}", "fetch.allow_hosts"),
    ("passages: {max_chars: 10}", "passages.max_chars"),
    ("sources: [{path: a, kind: 5}]", "sources[0].kind"),
    ("sources: [{path: a}, {url: https://a.example/, path: b}]", "sources[1]"),
    ("sources: [{name: neither}]", "sources[0]"),
    ("sources: [{url: 'ftp://a.example/'}]", "sources[0].url"),
    ("sources: [{path: a, lang: no}]", "sources[0].lang"),
    ("topics: nato", "topics"),
    ("topics: []", "topics"),
]


@pytest.mark.parametrize(("text", "named"), MISTAKES)
def test_a_mistake_is_one_line_that_names_file_and_key(config, text, named):
    path = config(text)
    with pytest.raises(UserError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert named in message.removeprefix(str(path))
    assert "\n" not in message


def test_an_unknown_kind_is_told_the_known_ones(config):
    settings, path = load_settings(config("sources: [{url: 'https://a.example/', kind: rss}]"))
    (source,) = config_sources(settings, path)
    with pytest.raises(UserError) as caught:
        check_source(source, f"{path}: ")
    expected = f"{path}: https://a.example/: unknown kind 'rss'; one of {', '.join(KINDS)}"
    assert str(caught.value) == expected


@pytest.mark.parametrize("name", ["missing.yaml", "folder"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError) as caught:
        load_settings(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: cannot be read: ")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("topics: [{name: a}, {name: a}]", "topics"),
        ("topics: []", "topics"),
        ("topics: [{name: a, treshold: 1}]", "topics[0].treshold"),
        ("topics: [{name: a, threshold: 2}]", "topics[0].threshold"),
        ("topics: [{definition: a}]", "topics[0].name"),
        ("", "topics"),
    ],
)
def test_a_mistake_in_the_topics_is_one_line_too(config, text, named):
    topics = config(text, "topics.yaml")
    with pytest.raises(UserError) as caught:
        load_topics(config(""), None)
    assert str(caught.value).startswith(f"{topics}: {named}")
    assert "\n" not in str(caught.value)


def test_an_unknown_topic_is_named_with_the_file_that_lacks_it(config):
    path, topics = (
        config("topics: [nato, weather]"),
        config("topics: [{name: nato}]", "topics.yaml"),
    )
    settings, _ = load_settings(path)
    with pytest.raises(UserError) as caught:
        load_topics(path, settings.topics)
    assert str(caught.value) == f"{path}: topics: unknown topic 'weather'; {topics} has nato"


def test_topics_are_those_chosen_in_the_order_chosen(config):
    config("topics: [{name: a, threshold: 0.5}, {name: b}, {name: c}]", "topics.yaml")
    path = config("")
    assert [topic.name for topic in load_topics(path, None)] == ["a", "b", "c"]
    assert [(t.name, t.threshold) for t in load_topics(path, ("c", "a"))] == [
        ("c", None),
        ("a", 0.5),
    ]


def test_without_a_file_beside_it_a_configuration_has_the_shipped_topics(config):
    names = {topic.name for topic in load_topics(config(""), None)}
    assert names == {"ceasefire", "territory", "sanctions", "nato"}


@pytest.mark.parametrize("text", ["", "# only a comment\n", "{}"])
def test_an_empty_file_is_all_defaults(config, text):
    settings, _ = load_settings(config(text))
    assert (settings.lake, settings.topics, settings.sources) == ("lake", None, ())


def test_values_cannot_be_changed(config):
    settings, _ = load_settings(config("sources: [{path: a}]"))
    for part, name in (
        (settings, "lake"),
        (settings.fetch, "threads"),
        (settings.sources[0], "path"),
    ):
        with pytest.raises(pydantic.ValidationError, match="frozen"):
            setattr(part, name, "x")


def test_paths_count_from_the_folder_of_the_configuration(config, tmp_path):
    path = config(
        "sources:\n"
        "  - {path: ../seeds, name: Seeds, kind: text, lang: en}\n"
        "  - {path: /news/a.txt}\n"
        "  - {path: 'gs://bucket/news'}\n"
        "  - {path: 'news/*.md'}\n"
        "  - {url: 'https://a.example/feed'}\n"
        "  - {url: 'https://b.example/feed', enabled: false}\n"
    )
    settings, found = load_settings(path)
    assert found == path
    assert config_sources(settings, path) == (
        Source(os.path.normpath(tmp_path / "../seeds"), "Seeds", "text", "en"),
        Source("/news/a.txt"),
        Source("gs://bucket/news"),
        Source(str(tmp_path / "news/*.md")),
        Source("https://a.example/feed"),
    )


def test_the_configuration_of_the_working_directory_comes_before_the_shipped_one(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert load_settings(None)[1] == SHIPPED
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "monitor.yaml").write_text("lake: mine")
    settings, path = load_settings(None)
    assert (settings.lake, path) == ("mine", Path("configs/monitor.yaml"))


def test_the_shipped_configuration_loads_with_its_sources_and_topics():
    settings, path = load_settings(SHIPPED)
    sources = config_sources(settings, path)
    assert len(settings.sources) >= 20
    assert 0 < len(sources) < len(settings.sources)
    assert len({source.location for source in sources}) == len(sources)
    for source in sources:
        assert source.location.startswith("https://") or Path(source.location).exists()
    assert load_topics(path, settings.topics)


def test_a_contact_is_part_of_what_is_sent(config):
    def policy(text):
        settings, path = load_settings(config(text))
        return http_policy(settings.fetch, (), path)

    named = policy("fetch: {user_agent: ours/2, contact: 'mailto:desk@ours.example'}")
    assert (named.user_agent, named.has_contact) == ("ours/2 (+mailto:desk@ours.example)", True)
    assert (policy("").user_agent, policy("").has_contact) == (
        "wirewatch/0.1 (contact not set)",
        False,
    )


def test_what_is_no_host_is_named(config):
    settings, path = load_settings(config("fetch: {allow_hosts: ['http://intranet/']}"))
    with pytest.raises(UserError) as caught:
        http_policy(settings.fetch, (), path)
    assert str(caught.value).startswith(f"{path}: fetch.allow_hosts: ")


def test_naming_a_source_allows_its_host_where_it_is_an_address_or_a_local_name():
    locations = (
        "http://127.0.0.1:8000/feed.xml",
        "https://intranet/rss",
        "http://[::1]/",
        "http://news.internal:8080/",
        "https://feeds.example.org/rss",
        "http://user@10.0.0.1/",
        "http://[",
        "/tmp/feeds.opml",
    )
    found = named_hosts(tuple(Source(location) for location in locations))
    assert found == ("127.0.0.1:8000", "intranet:443", "[::1]:80", "news.internal:8080")
