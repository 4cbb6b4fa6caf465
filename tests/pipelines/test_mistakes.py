"""A user's mistakes: exit code 2, one line that names what is wrong, nothing written."""

import shutil
from pathlib import Path

import pytest

from models import DEFAULT_MODEL
from pipelines.cli import COMMANDS
from pipelines.topics import COMMANDS as TOPICS_COMMANDS

SHIPPED = Path(__file__).parents[2] / "configs"


@pytest.fixture
def refused(wirewatch, tmp_path, monkeypatch):
    """Runs a command that is to be refused, in a folder of its own; gives its line."""
    monkeypatch.chdir(tmp_path)

    def run_refused(*arguments: object) -> str:
        before = sorted(tmp_path.rglob("*"))
        outcome = wirewatch(*arguments)
        assert outcome.code == 2
        assert outcome.out == ""
        assert sorted(tmp_path.rglob("*")) == before
        (line,) = outcome.err.splitlines()
        assert line.startswith("wirewatch: ")
        return line

    return run_refused


@pytest.fixture
def text(tmp_path, write_story) -> Path:
    path = tmp_path / "good.txt"
    path.write_text(write_story(0))
    return path


@pytest.mark.parametrize(
    "source", ["gone.txt", "gone/", "*.gone", "gone/**", "/nowhere/gone.txt", "file:gone", "~gone"]
)
def test_a_path_that_is_not_there(source, refused, text):
    assert source in refused("run", text, source)


def test_a_folder_that_is_a_file(refused, text):
    assert f"{text}/inside.txt" in refused("run", f"{text}/inside.txt")


@pytest.mark.parametrize(
    "flag", ["--lakes=x", "--strictly", "--no-such-flag", "--runer=DirectRunner", "-q"]
)
def test_an_unknown_flag(flag, refused, text):
    assert flag in refused("run", text, flag)


@pytest.mark.parametrize("flag", ["--lake", "--config", "--runner"])
def test_a_flag_without_its_value(flag, refused, text):
    assert flag in refused("run", text, flag)


@pytest.mark.parametrize("runner", ["NoSuchRunner", "no_such_module.Runner", "json.NoSuchRunner"])
def test_an_unknown_runner(runner, refused, text):
    line = refused("run", text, "--runner", runner)
    assert line.startswith("wirewatch: --runner: ")
    assert runner.rpartition(".")[0] in line


@pytest.mark.parametrize(
    "content, named",
    [
        pytest.param("lake: [", "not valid YAML", id="broken-yaml"),
        pytest.param("lake: a\n\tb: c", "not valid YAML", id="tab"),
        pytest.param("laek: x", "laek", id="unknown-key"),
        pytest.param("fetch: {treads: 3}", "fetch.treads", id="unknown-nested-key"),
        pytest.param("fetch: {threads: 0}", "fetch.threads", id="out-of-range"),
        pytest.param("fetch: {threads: many}", "fetch.threads", id="wrong-type"),
        pytest.param("sources: [{name: a}]", "sources[0]", id="source-without-location"),
        pytest.param("sources: [{url: 'a b'}]", "sources[0].url", id="no-url"),
        pytest.param("sources: [{path: a, ur: b}]", "sources[0].ur", id="unknown-source-key"),
        pytest.param("sources: [{path: gone.txt}]", "gone.txt", id="path-not-there"),
        pytest.param("sources: [{path: good.txt, kind: fead}]", "'fead'", id="unknown-kind"),
        pytest.param("sources: [{path: good.txt, enabled: no}]", "sources", id="none-enabled"),
        pytest.param("- a list", "monitor.yaml", id="not-a-mapping"),
        pytest.param("topics: [ceasefire, weather]", "'weather'", id="unknown-topic"),
        pytest.param("model: nowhere/model", "nowhere/model", id="no-model"),
        pytest.param("lake: good.txt", "good.txt", id="lake-is-a-file"),
        pytest.param(b"lake: \xff\xfe", "monitor.yaml", id="not-utf-8"),
        pytest.param(b"lake: a\0b", "monitor.yaml", id="control-character"),
    ],
)
def test_a_mistake_in_the_configuration(content, named, refused, text, tmp_path):
    config = tmp_path / "monitor.yaml"
    config.write_bytes(content if isinstance(content, bytes) else content.encode())
    # Sources on the command line would replace the ones under test.
    sources = () if b"sources" in config.read_bytes() else (text,)
    assert named in refused("run", *sources, "--config", config)


@pytest.mark.parametrize("config", ["gone.yaml", "."])
def test_a_configuration_that_cannot_be_read(config, refused, text):
    assert config in refused("run", text, "--config", config)


@pytest.mark.parametrize(
    "content, named",
    [
        pytest.param("topics: []", "topics", id="no-topics"),
        pytest.param("topics: [{name: ceasefire, treshold: 1}]", "treshold", id="unknown-key"),
        pytest.param("topics: [{name: ceasefire, threshold: 2}]", "threshold", id="out-of-range"),
        pytest.param("topics: [{name: weather}]", "'weather'", id="not-in-the-model"),
    ],
)
def test_a_mistake_in_the_topics(content, named, refused, text, tmp_path):
    shutil.copy(SHIPPED / "monitor.yaml", tmp_path)
    (tmp_path / "topics.yaml").write_text(content)
    assert named in refused("run", text, "--config", tmp_path / "monitor.yaml")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "heads.json"])
def test_a_model_with_a_damaged_file(name, refused, text, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(DEFAULT_MODEL, model)
    content = bytearray((model / name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    (model / name).write_bytes(content)
    (tmp_path / "monitor.yaml").write_text(f"model: {model}")
    assert str(model / name) in refused("run", text, "--config", tmp_path / "monitor.yaml")


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "heads.json"])
def test_a_model_without_a_file(name, refused, text, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(DEFAULT_MODEL, model, ignore=lambda *_: [name])
    (tmp_path / "monitor.yaml").write_text(f"model: {model}")
    line = refused("run", text, "--config", tmp_path / "monitor.yaml")
    assert f"{model / name}: file is missing" in line


@pytest.mark.parametrize("lake", ["good.txt", "good.txt/lake", "/proc/nope/lake", "x" * 300])
def test_a_lake_that_cannot_be_written(lake, refused, text):
    assert lake in refused("run", text, "--lake", lake)


def test_a_lake_on_a_store_that_is_not_known(refused, text):
    assert "nosuch://bucket/lake" in refused("run", text, "--lake", "nosuch://bucket/lake")


@pytest.mark.parametrize("command", ["rnu", "gaze", "--lake", ""])
def test_an_unknown_command(command, refused):
    line = refused(command)
    assert f"unknown command {command!r}" in line and "wirewatch --help" in line


def commands():
    """Every command of the program, as its words."""
    one_word = [(name,) for name in COMMANDS if name != "topics"]
    return one_word + [("topics", name) for name in TOPICS_COMMANDS]


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_mistake_in_the_flags_of_any_command_names_its_help(words, refused):
    line = refused(*words, "--no-such-flag", "a")
    assert line.startswith(f"wirewatch: {' '.join(words)}: ")
    assert line.endswith(f"; see wirewatch {' '.join(words)} --help")


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_the_help_that_is_named_is_there(words, wirewatch):
    outcome = wirewatch(*words, "--help")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"usage: wirewatch {' '.join(words)} ")


@pytest.mark.parametrize("words", [(), ("fti",), ("--lake",)])
def test_an_unknown_command_about_topics(words, refused):
    line = refused("topics", *words)
    assert line.endswith("; there are evaluate, fit, train; see wirewatch topics --help")


@pytest.mark.parametrize(
    "words, said",
    [
        (("watch", "--every", "3"), "'3' is not a time such as 30s"),
        (("watch", "--metrics-port", "70000"), "'70000' is not a port"),
        (("compact", "--before", "May"), "'May' is not a day"),
        (("retry", "--stage", "x"), "choose from 'read', 'fetch', 'extract'"),
        (("run", "a.txt", "--num_workers", "many"), "--num_workers"),
    ],
)
def test_a_value_that_a_flag_does_not_take(words, said, refused):
    assert said in refused(*words)


@pytest.mark.parametrize(
    "source, said",
    [
        ("ftp://host.example/feed", "ftp://"),
        ("http://", "no host"),
        ("host.example/feed.xml", "https://host.example/feed.xml"),
    ],
)
def test_an_address_that_nothing_reads(source, said, refused):
    assert said in refused("run", source)


def test_a_query_that_says_nothing(refused, lake):
    assert "no statement" in refused("query", " ", "--lake", lake)


@pytest.mark.parametrize(
    "sql, named",
    [
        pytest.param("selekt 1", "selekt", id="syntax"),
        pytest.param("select * from pasages", "pasages", id="unknown-view"),
        pytest.param("select titel from passages", "titel", id="unknown-column"),
        pytest.param("select 1/'a'", "'a'", id="conversion"),
    ],
)
def test_a_mistake_in_sql(sql, named, refused, lake):
    assert named in refused("query", sql, "--lake", lake)


@pytest.mark.parametrize("lake", ["nowhere", "good.txt", "nosuch://bucket/lake"])
def test_a_query_on_a_lake_that_is_not_there(lake, refused, text):
    assert lake in refused("query", "select 1", "--lake", lake)


def test_a_query_in_an_unknown_format(refused, lake):
    arguments = ("query", "select 1", "--lake", lake, "--format", "xml")
    assert "'xml'" in refused(*arguments)


def test_a_query_without_sql(refused):
    assert "SQL" in refused("query")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("run", "--help"), ("query", "--help")])
def test_help_names_the_commands(arguments, wirewatch):
    outcome = wirewatch(*arguments)
    assert outcome.code == (0 if arguments else 2)
    assert "usage: wirewatch" in outcome.out
