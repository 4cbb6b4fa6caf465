"""wirewatch topics evaluate and explain, on the shipped model and texts of our own."""

import importlib.util
import json
from pathlib import Path

import pytest

from pipelines.topics import TRAIN_NEEDS

ROWS = [
    (
        ["ceasefire"],
        "The two armies agreed to a ceasefire that takes effect at midnight on Friday.",
    ),
    (
        ["sanctions"],
        "The European Union imposed new sanctions on banks and froze oligarchs' assets.",
    ),
    (["nato"], "NATO allies pledged at the summit to raise their defence spending by a third."),
    ([], "Bake the bread for forty minutes, then let it cool on a wire rack before you cut it."),
    ([], "The museum will show two hundred watercolours by local painters until October."),
]
GERMAN = "Die beiden Armeen haben sich auf eine Waffenruhe geeinigt, die am Freitag beginnt."


@pytest.fixture
def labelled(tmp_path):
    """The rows as .jsonl and as .tsv."""
    lines = (json.dumps({"text": text, "topics": topics, "id": 1}) for topics, text in ROWS)
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n\n", encoding="utf-8")
    lines = (f"{','.join(topics) or 'none'}\t{text}\r\n" for topics, text in ROWS)
    (tmp_path / "rows.tsv").write_text("".join(lines), encoding="utf-8-sig")
    return tmp_path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.tsv"])
def test_json_has_the_documented_keys(labelled, wirewatch, name):
    outcome = wirewatch("topics", "evaluate", labelled / name, "--json")
    assert outcome.code == 0, outcome.err
    report = json.loads(outcome.out)
    assert list(report)[:5] == ["macro_f1", "topics", "off_topic_hit", "by_lang", "model"]
    assert list(report["topics"]) == ["ceasefire", "territory", "sanctions", "nato"]
    assert report["topics"]["nato"] == {
        "precision": 1.0,
        "recall": 1.0,
        "f1": 1.0,
        "support": 1,
        "ece": pytest.approx(report["topics"]["nato"]["ece"]),
    }
    assert report["topics"]["territory"]["support"] == 0
    assert report["off_topic_hit"] == 0.0
    assert report["by_lang"]["en"]["passages"] == 5
    assert report["model"].startswith("wirewatch-topics ")
    assert Path(report["config"]).name == "monitor.yaml"


def test_a_passage_in_another_language_is_counted_and_not_scored(labelled, wirewatch):
    path = labelled / "rows.tsv"
    path.write_text(path.read_text(encoding="utf-8") + f"ceasefire\t{GERMAN}\n", encoding="utf-8")
    out = labelled / "out.jsonl"
    outcome = wirewatch("topics", "evaluate", path, "--json", "--predictions", out)
    report = json.loads(outcome.out)
    assert report["by_lang"]["de"] == {
        "passages": 1,
        "unsupported": 1,
        "macro_f1": None,
        "off_topic_hit": None,
    }
    assert (report["passages"], report["unsupported"]) == (6, 1)
    assert report["topics"]["ceasefire"]["support"] == 1
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [row["text"] for row in rows] == [*(text for _, text in ROWS), GERMAN]
    assert (rows[-1]["topics"], rows[-1]["scores"]) == (None, None)
    assert rows[0]["topics"] == rows[0]["expected"] == ["ceasefire"]
    assert list(rows[0]["scores"]) == ["ceasefire", "territory", "sanctions", "nato"]
    text = wirewatch("topics", "evaluate", path).out
    assert "\n1 of them in languages it does not read, left out below\n" in text
    territory = next(line for line in text.splitlines() if line.startswith("territory"))
    assert territory.split()[:5] == ["territory", "-", "-", "-", "0"]


@pytest.mark.parametrize("tag", ["en-US", "en_GB", "EN"])
def test_a_language_is_known_by_its_first_subtag(labelled, wirewatch, tag):
    rows = (json.dumps({"text": text, "topics": topics, "lang": tag}) for topics, text in ROWS)
    (labelled / "tagged.jsonl").write_text("\n".join(rows), encoding="utf-8")
    report = json.loads(wirewatch("topics", "evaluate", labelled / "tagged.jsonl", "--json").out)
    assert report["by_lang"]["en"]["unsupported"] == report["unsupported"] == 0


def test_a_stated_language_is_believed(labelled, wirewatch):
    path = labelled / "stated.jsonl"
    rows = [{"text": text, "topics": topics, "lang": "uk"} for topics, text in ROWS]
    path.write_text("\n".join(map(json.dumps, rows)))
    report = json.loads(wirewatch("topics", "evaluate", path, "--json").out)
    assert report["by_lang"]["uk"]["unsupported"] == len(ROWS)
    assert report["macro_f1"] is None


def test_the_table_names_every_topic_and_language(labelled, wirewatch):
    outcome = wirewatch("topics", "evaluate", labelled / "rows.tsv")
    for word in ("ceasefire", "territory", "sanctions", "nato", "macro-F1", "off-topic", "en "):
        assert word in outcome.out


def test_a_topic_that_no_label_has_is_named_where_it_lowers_macro_f1(labelled, wirewatch):
    path = labelled / "rows.tsv"
    assert "no label has" not in wirewatch("topics", "evaluate", path).out
    path.write_text(f"none\t{ROWS[2][1]}\nceasefire\t{ROWS[0][1]}\n", encoding="utf-8")
    lines = wirewatch("topics", "evaluate", path).out.splitlines()
    assert "no label has nato, found all the same: F1 0 in macro-F1" in lines


def test_a_text_longer_than_the_model_takes_is_read_whole(labelled, wirewatch):
    filler = "The museum will show two hundred watercolours by local painters until October. " * 40
    path = labelled / "long.jsonl"
    path.write_text(json.dumps({"topics": ["nato"], "text": f"{filler}\n\n{ROWS[2][1]}"}))
    report = json.loads(wirewatch("topics", "evaluate", path, "--json").out)
    assert report["topics"]["nato"]["recall"] == 1.0


MALFORMED = {
    "not JSON": ("x.jsonl", "{", "x.jsonl:1: not JSON: Expecting property name"),
    "nested too deep": ("x.jsonl", "[" * 10**6, "x.jsonl:1: not JSON: nested too deep"),
    "not an object": ("x.jsonl", "[]", "x.jsonl:1: expected an object with text and topics"),
    "no text": ("x.jsonl", '{"topics": []}', "x.jsonl:1: text is missing or not a string"),
    "no topics": ("x.jsonl", '{"text": "a"}', "x.jsonl:1: topics is missing or not a list"),
    "topics a string": ("x.jsonl", '{"text": "a", "topics": "nato"}', "x.jsonl:1: topics is"),
    "lang a number": ("x.jsonl", '{"text": "a", "topics": [], "lang": 1}', "x.jsonl:1: lang is"),
    "no tab": ("x.tsv", "none\ta\nnone a", "x.tsv:2: expected topics (or none), a tab and the"),
    "unknown topic": ("x.tsv", "natto\ta", "x.tsv:1: unknown topic 'natto'; the topics are cea"),
    "no topic at all": ("x.tsv", "\ta", "x.tsv:1: unknown topic ''"),
    "empty text": ("x.tsv", "none\t ", "x.tsv:1: the text is empty"),
    "empty file": ("x.tsv", "\n", "x.tsv: no passages in the file"),
    "another suffix": ("x.csv", "a", "x.csv: expected a .jsonl or a .tsv file"),
    "not UTF-8": ("x.tsv", b"none\t\xff", "x.tsv: cannot be read: "),
}


@pytest.mark.parametrize("name, content, message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_malformed_file_is_one_line(tmp_path, wirewatch, name, content, message):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcome = wirewatch("topics", "evaluate", path)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"wirewatch: {tmp_path}/{message}")
    assert outcome.err.count("\n") == 1


def test_a_missing_file_and_a_missing_model_are_one_line(labelled, wirewatch, tmp_path):
    outcome = wirewatch("topics", "evaluate", tmp_path / "gone.tsv")
    assert (
        outcome.err
        == f"wirewatch: {tmp_path}/gone.tsv: cannot be read: No such file or directory\n"
    )
    gone = tmp_path / "gone"
    outcome = wirewatch("topics", "evaluate", labelled / "rows.tsv", "--model", gone)
    assert outcome.err == f"wirewatch: model: {gone}: no such folder\n"
    assert outcome.code == 2


def test_predictions_that_cannot_be_written_are_one_line(labelled, wirewatch, tmp_path):
    out = tmp_path / "gone" / "out.jsonl"
    outcome = wirewatch("topics", "evaluate", labelled / "rows.tsv", "--predictions", out)
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert f"{out}: cannot be written" in outcome.err


def test_explain_shows_scores_thresholds_and_the_stage(wirewatch):
    outcome = wirewatch("explain", ROWS[0][1])
    assert outcome.code == 0
    line = next(line for line in outcome.out.splitlines() if line.startswith("ceasefire"))
    assert line.endswith("hit")
    found = json.loads(wirewatch("explain", ROWS[0][1], "--json").out)
    assert found["topics"] == ["ceasefire"]
    assert found["scores"]["ceasefire"] >= found["thresholds"]["ceasefire"]
    assert "decided   by the encoder (the first stage scored" in outcome.out
    assert f"settings  {found['config']}\n" in outcome.out
    assert (found["stage"], found["windows"], found["lang"]) == ("encoder", 1, "en")


def test_explain_says_that_a_language_is_not_read(wirewatch):
    outcome = wirewatch("explain", GERMAN)
    assert outcome.code == 0
    assert "null: the model reads en only" in outcome.out
    assert json.loads(wirewatch("explain", GERMAN, "--json").out)["topics"] is None


def test_explain_reads_a_long_text_by_windows(wirewatch):
    filler = "The museum will show two hundred watercolours by local painters until October. " * 40
    found = json.loads(wirewatch("explain", f"{filler}\n\n{ROWS[0][1]}", "--json").out)
    assert found["windows"] > 1
    assert found["topics"] == ["ceasefire"]


def test_explain_refuses_an_empty_text(wirewatch):
    outcome = wirewatch("explain", "  ")
    assert (outcome.code, outcome.err) == (2, "wirewatch: explain: the text is empty\n")


@pytest.mark.skipif(
    all(importlib.util.find_spec(name) for name in TRAIN_NEEDS),
    reason="the extra [train] is installed",
)
def test_train_without_its_extra_is_one_line(wirewatch, tmp_path):
    words = (
        tmp_path / "rows.jsonl",
        "--base",
        tmp_path / "base",
        "--output",
        tmp_path / "out",
    )
    outcome = wirewatch("topics", "train", *words)
    line = "wirewatch: topics train needs the extra [train]: pip install 'wirewatch[train]'\n"
    assert (outcome.code, outcome.out, outcome.err) == (2, "", line)
    assert not (tmp_path / "out").exists()
