"""The parts of the training that need no torch."""

import hashlib
import json

import numpy as np
import pytest

from models.training import data
from models.training.calibrate import HeldBack, calibrate, cross_fit, fit_scaling
from models.training.data import Passage, TrainingError, read_corpus
from models.training.folds import link_groups, make_folds, unseen
from pipelines.cli import main

LONG = "The envoys met on Monday in the old town hall and spoke for three hours about the harbour"


def test_the_repository_holds_hashes_and_labels_of_the_reader_and_no_text():
    rows = [json.loads(line) for line in data.READER_LABELS.read_text().splitlines()]
    assert len({row["sha256"] for row in rows}) == len(rows) == 4367
    for row in rows:
        assert set(row) == {"sha256", "topics"} and len(bytes.fromhex(row["sha256"])) == 32
        assert set(row["topics"]) <= set(data.TOPICS)


def test_reader_labels_find_their_texts(tmp_path, monkeypatch):
    texts = [{"text": "one", "lang": "en"}, {"text": "two"}, {"text": "drei", "lang": "de"}]
    path, labels = tmp_path / "texts.jsonl", tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, texts)))
    digest = hashlib.sha256(b"two").hexdigest()
    labels.write_text(json.dumps({"sha256": digest, "topics": ["nato"]}))
    monkeypatch.setattr(data, "READER_LABELS", labels)
    corpus = read_corpus((), path)
    assert [passage.text for passage in corpus.unlabelled] == ["one", "two"]
    assert corpus.reader == [Passage("two", ("nato",))]
    assert corpus.tested and not corpus.written


def test_a_passage_read_twice_teaches_the_mean_of_both_readings(tmp_path, monkeypatch):
    rows = [{"text": "one", "topics": ["nato", "sanctions"]}, {"text": "two", "topics": ["nato"]}]
    path, labels = tmp_path / "labelled.jsonl", tmp_path / "labels.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    again = {"sha256": hashlib.sha256(b"one").hexdigest(), "topics": ["sanctions", "territory"]}
    labels.write_text(json.dumps(again))
    monkeypatch.setattr(data, "READER_LABELS", labels)
    tested = read_corpus((path,), None).tested
    assert data.taught(tested).tolist() == [[0.0, 0.5, 1.0, 0.5], [0.0, 0.0, 0.0, 1.0]]
    assert data.targets(tested).tolist() == [[False, False, True, True], [False] * 3 + [True]]


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("{", ":1: "),
        ("[]", "expected an object"),
        ('{"text": " "}', "text"),
        ('{"text": "a"}', "topics"),
        ('{"text": "a", "topics": ["weather"]}', "topics"),
    ],
)
def test_a_malformed_line_is_named(line, named, tmp_path):
    path = tmp_path / "labelled.jsonl"
    path.write_text(line)
    with pytest.raises(TrainingError, match=named):
        read_corpus((path,), None)


def test_folds_part_neither_a_document_nor_near_identical_texts():
    passages = [Passage(f"{LONG} {i}", document=str(i)) for i in range(3)]
    passages += [Passage(f"text {i}", document="one") for i in range(5)]
    passages += [Passage(f"another text {i}", document=f"d{i}") for i in range(20)]
    groups = link_groups(passages)
    assert len(set(groups[:3])) == len(set(groups[3:8])) == 1
    assert len(set(groups)) == 22
    folds = make_folds(passages, groups, 3, seed=0)
    assert len(set(folds[:3])) == len(set(folds[3:8])) == 1
    assert set(folds) == {0, 1, 2}
    assert np.array_equal(folds, make_folds(passages, groups, 3, seed=0))


def test_a_reader_passage_near_a_held_back_one_is_left_out():
    held_back = [Passage(LONG, document="a")]
    reader = [Passage(LONG + " wall"), Passage("short", document="a"), Passage("far", document="b")]
    assert unseen(reader, held_back) == reader[2:]


def held_back() -> HeldBack:
    """Noisy logits that are twice too large, a first stage that stops the plainly off-topic."""
    draw = np.random.default_rng(1)
    labels = draw.random((3000, 4)) < 0.1
    true = np.where(labels, 2.0, -4.0) + draw.normal(size=labels.shape)
    return HeldBack(2 * true, 3 * true - 2, labels, draw.integers(0, 3, 3000))


def test_calibrated_probabilities_mean_what_they_say():
    data_ = held_back()
    found = calibrate(data_)
    scores, hits = cross_fit(data_, found.stage_threshold)
    for column in range(4):
        assert abs(scores[:, column].mean() - data_.labels[:, column].mean()) < 0.02
    off = ~data_.labels.any(1)
    assert hits[off].any(1).mean() < 0.06
    assert hits[data_.labels].mean() > 0.9
    assert not hits[data_.stage.max(1) < found.stage_threshold].any()
    # models/info.py refuses a first stage that stops what it finds itself.
    limit = np.log(found.thresholds / (1 - found.thresholds)).min()
    assert found.stage_threshold < limit


def test_a_topic_in_no_passage_keeps_its_logits():
    assert fit_scaling(np.array([[1.0], [2.0]]), np.zeros((2, 1), bool)).tolist() == [[1.0, 0.0]]


def test_without_the_extra_there_is_one_line(capsys, monkeypatch):
    monkeypatch.setattr("pipelines.topics.TRAIN_NEEDS", ("no_such_module",))
    assert main(["topics", "train", "--base", "x", "--output", "y"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "wirewatch[train]" in error
