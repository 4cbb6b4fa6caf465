"""Hugging Face models in the same graph and tables; tiny random ones, made here."""

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

HAS_TORCH = bool(importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"))
needs_torch = pytest.mark.skipif(not HAS_TORCH, reason="the extra [hf] (torch) is NOT INSTALLED")
TOPICS = (("ceasefire", "Stopping the fighting."), ("nato", "The alliance as the subject."))
TEXTS = [
    "The two armies agreed to a ceasefire that takes effect at midnight.",
    "Bake the bread.",
    "nato " * 30,
]
WORDS = ["the", "two", "agreed", "to", "a", "ceasefire", "at", "midnight", "bread", "nato"]
LIMIT = 64


def make_model(folder: Path, labels: list[str], **config) -> Path:
    """Saves a random BERT of one layer with these labels, its tokenizer beside it."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnop.,:"]
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocabulary)) + "\n")
    tokenizer = transformers.BertTokenizer(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    torch.manual_seed(5)
    settings = transformers.BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=LIMIT,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
        **config,
    )
    transformers.BertForSequenceClassification(settings).save_pretrained(folder)
    return folder


def reference(folder: Path, text: str, pair: str | None = None) -> np.ndarray:
    """The logits of one text, by the library alone."""
    import torch
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**tokenizer(text, pair, return_tensors="pt")).logits[0].numpy()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "classifier"
    labels = ["none", "NATO", "Ceasefire"]
    return make_model(folder, labels, problem_type="multi_label_classification")


@pytest.fixture(scope="module")
def inference(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hf") / "nli"
    return make_model(folder, ["entailment", "neutral", "contradiction"])


def load(folder, topics=TOPICS):
    from models.interface import ModelSpec
    from models.load import load_model

    return load_model(ModelSpec(str(folder), topics))


@needs_torch
def test_labels_are_found_by_name_and_scored_by_the_sigmoid(classifier):
    scores = load(classifier).score(TEXTS)
    assert (scores.shape, scores.dtype) == ((3, 2), np.float32)
    for text, row in zip(TEXTS, scores, strict=True):
        _, nato, ceasefire = 1 / (1 + np.exp(-reference(classifier, text)))
        np.testing.assert_allclose(row, [ceasefire, nato], atol=1e-5)


@needs_torch
def test_a_model_of_one_label_a_text_is_scored_by_the_softmax(tmp_path):
    folder = make_model(tmp_path / "softmax", ["ceasefire", "nato", "other"])
    logits = reference(folder, TEXTS[0])
    expected = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(load(folder).score(TEXTS[:1])[0], expected[:2], atol=1e-5)


@needs_torch
def test_inference_weighs_entailment_against_contradiction(inference):
    model = load(inference)
    assert model.topics == ("ceasefire", "nato")
    hypothesis = "This text is about nato: The alliance as the subject."
    entails, _, denies = reference(inference, TEXTS[0], hypothesis)
    expected = 1 / (1 + math.exp(denies - entails))
    assert model.score(TEXTS)[0, 1] == pytest.approx(expected, abs=1e-5)


@needs_torch
@pytest.mark.parametrize("kind", ["classifier", "inference"])
def test_neighbours_change_nothing_and_nothing_is_cut(kind, request):
    model = load(request.getfixturevalue(kind))
    together = model.score(TEXTS)
    for row, text in enumerate(TEXTS):
        np.testing.assert_allclose(together[row], model.score([text])[0], atol=1e-6)
    long = "nato " * (LIMIT - 2)
    assert model.fits(long) == (kind == "classifier")
    assert not model.fits(long + "nato")
    with pytest.raises(ValueError, match="text 1 has more tokens than the model takes, 64"):
        model.score(["nato", long + "nato"])
    assert model.score([]).shape == (0, 2)


@needs_torch
def test_the_card_states_the_languages(tmp_path):
    folder = make_model(tmp_path / "card", ["ceasefire", "nato"])
    assert load(folder).languages is None
    (folder / "README.md").write_text("---\nlanguage: [en, uk]\n---\nA model.\n")
    assert load(folder).languages == ("en", "uk")
    (folder / "README.md").write_text("---\nlanguage: multilingual\n---\n")
    assert load(folder).languages is None
    (folder / "README.md").write_text("---\n: [\n---\n")
    assert load(folder).languages is None


@needs_torch
@pytest.mark.parametrize("kind", ["classifier", "inference"])
def test_it_runs_in_the_same_graph_and_tables(kind, request, tmp_path, wirewatch, rows):
    folder = request.getfixturevalue(kind)
    (tmp_path / "topics.yaml").write_text("topics: [{name: nato, threshold: 0}, {name: ceasefire}]")
    (tmp_path / "monitor.yaml").write_text(f"model: {folder}\npassages: {{max_chars: 2000}}\n")
    article = tmp_path / "article.txt"
    article.write_text("\n\n".join([TEXTS[0] * 20, TEXTS[0]]))
    words = (article, "--lake", tmp_path / "lake", "--config", tmp_path / "monitor.yaml")
    outcome = wirewatch("run", *words)
    assert outcome.code == 0, outcome.err
    found = sorted(rows(tmp_path / "lake", "passages"), key=lambda row: row["position"])
    assert len(found) > 5  # Cut to what the model takes, and all of it there.
    assert "".join(row["text"] + row["separator"] for row in found) == article.read_text()
    model = load(folder, (("nato", ""), ("ceasefire", "")))
    for row in found:
        assert model.fits(row["text"])
        scores = {one["topic"]: one["score"] for one in row["scores"]}
        assert list(scores) == ["nato", "ceasefire"]
        np.testing.assert_allclose(list(scores.values()), model.score([row["text"]])[0], atol=1e-6)
        assert row["model"].startswith(folder.name)
        assert row["topics"][0] == "nato"
    again = wirewatch("reclassify", *words[1:], "--json")
    assert json.loads(again.out)["files_replaced"] == 0


@needs_torch
def test_labels_that_do_not_match_are_one_line(tmp_path, wirewatch):
    folder = make_model(tmp_path / "other", ["sports", "nato"])
    outcome = refused(wirewatch, tmp_path, folder)
    expected = (
        f"wirewatch: model: {folder}: topic 'ceasefire' is not among its labels: sports, nato"
    )
    assert outcome == expected + "\n"


BREAKAGES = {
    "no weights": lambda f: (f / "model.safetensors").unlink(),
    "corrupt weights": lambda f: (f / "model.safetensors").write_bytes(b"nothing"),
    "no tokenizer": lambda f: [
        p.unlink() for p in f.glob("*") if p.name.startswith(("tok", "voc"))
    ],
    "corrupt tokenizer": lambda f: (f / "tokenizer.json").write_text("{"),
    "corrupt configuration": lambda f: (f / "config.json").write_text("{"),
    "unknown architecture": lambda f: (f / "config.json").write_text('{"model_type": "x"}'),
    "another width": lambda f: edit_config(f, hidden_size=32),
    "no head": lambda f: drop_head(f),
}


def edit_config(folder: Path, **values) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def drop_head(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    kept = {name: value for name, value in weights.items() if not name.startswith("classifier")}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})


@needs_torch
@pytest.mark.parametrize("breakage", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_a_bad_model_is_one_line(tmp_path, wirewatch, breakage):
    folder = make_model(tmp_path / "bad", ["ceasefire", "nato"])
    breakage(folder)
    assert refused(wirewatch, tmp_path, folder).startswith(f"wirewatch: model: {folder}: ")


def refused(wirewatch, tmp_path: Path, model: object) -> str:
    """The one line in which a run refuses a model, before it reads a source."""
    (tmp_path / "topics.yaml").write_text("topics: [{name: ceasefire}, {name: nato}]")
    (tmp_path / "monitor.yaml").write_text(f"model: {model}\n")
    (tmp_path / "a.txt").write_text("An article.")
    words = ("--config", tmp_path / "monitor.yaml", "--lake", tmp_path / "lake")
    outcome = wirewatch("run", tmp_path / "a.txt", *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1, outcome.err
    assert not (tmp_path / "lake").exists()
    return outcome.err


@pytest.mark.skipif(HAS_TORCH, reason="the extra [hf] is installed")
@pytest.mark.parametrize("kind", ["folder", "hub"])
def test_without_the_extra_one_line_names_it(tmp_path, wirewatch, kind):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    model = folder if kind == "folder" else "someone/some-model"
    line = refused(wirewatch, tmp_path, model)
    assert f"{model}: " in line
    assert "needs the extra [hf]: pip install 'wirewatch[hf]'" in line


@pytest.mark.parametrize("model", ["./gone", "models/of/mine", "/gone/model"])
def test_a_path_that_is_not_there_is_no_hub_model(tmp_path, wirewatch, model):
    assert refused(wirewatch, tmp_path, model) == f"wirewatch: model: {model}: no such folder\n"
