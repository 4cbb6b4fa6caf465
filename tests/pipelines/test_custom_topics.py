"""Topics of an analyst's own: fitted, used, renamed, changed, removed; through the commands."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from models import DEFAULT_MODEL

DATA = Path(__file__).parents[1] / "data"
SWAP = "Fifty prisoners of war were freed in an exchange at the northern crossing, officials said."
BREAD = "Bake the bread for forty minutes, then let it cool on a wire rack before you cut it."
TOPIC = yaml.safe_load((DATA / "prisoners.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def desk(tmp_path):
    """A configuration folder with the shipped topics and one more; changes rewrite it."""
    folder = tmp_path / "desk"
    folder.mkdir()
    (folder / "monitor.yaml").write_text("lake: lake\n")
    write_topics(folder, TOPIC)
    return folder


@pytest.fixture(scope="session")
def fitted_file(wirewatch, tmp_path_factory):
    """What fitting the topic gives, made once, and the command's outcome."""
    folder = tmp_path_factory.mktemp("fitted")
    (folder / "monitor.yaml").write_text("lake: lake\n")
    write_topics(folder, TOPIC)
    outcome = wirewatch("topics", "fit", "--config", folder / "monitor.yaml")
    return folder / "topics.fitted.json", outcome


@pytest.fixture
def fitted_desk(desk, fitted_file):
    shutil.copy(fitted_file[0], desk)
    return desk


def write_topics(folder: Path, *own: dict) -> None:
    shipped = [{"name": name} for name in ("ceasefire", "territory", "sanctions", "nato")]
    text = yaml.safe_dump({"topics": [*shipped, *own]}, allow_unicode=True)
    (folder / "topics.yaml").write_text(text, encoding="utf-8")


def explain(wirewatch, folder: Path, text: str) -> dict:
    outcome = wirewatch("explain", text, "--json", "--config", folder / "monitor.yaml")
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def refused(wirewatch, *arguments: object) -> str:
    """The one line of a command that ends with code 2."""
    outcome = wirewatch(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.count("\n") == 1
    return outcome.err


def test_fit_prints_figures_and_writes_one_file(fitted_file):
    path, outcome = fitted_file
    assert outcome.code == 0, outcome.err
    row = next(line for line in outcome.out.splitlines() if line.startswith("prisoners"))
    examples, precision, recall, f1, hit = row.split()[1:]
    assert examples == "16"
    assert float(precision) > 0.9
    assert min(float(recall), float(f1)) >= 0.5
    assert float(hit) < 0.1
    assert path.exists()
    assert sorted(p.name for p in path.parent.iterdir()) == [
        "monitor.yaml",
        "topics.fitted.json",
        "topics.yaml",
    ]


def test_fitting_again_gives_the_same_file(fitted_desk, wirewatch):
    path = fitted_desk / "topics.fitted.json"
    before = path.read_bytes()
    assert wirewatch("topics", "fit", "--config", fitted_desk / "monitor.yaml").code == 0
    assert path.read_bytes() == before


def test_the_topic_is_found_and_the_shipped_ones_are_as_before(fitted_desk, wirewatch, tmp_path):
    found = explain(wirewatch, fitted_desk, SWAP)
    assert found["topics"] == ["prisoners"]
    assert "prisoners" not in explain(wirewatch, fitted_desk, BREAD)["topics"]
    assert found["fitted"] == ["prisoners"]
    text = wirewatch("explain", BREAD, "--config", fitted_desk / "monitor.yaml").out
    assert "fitted    prisoners: each by its own head in any case" in text
    write_topics(fitted_desk)
    shipped = explain(wirewatch, fitted_desk, SWAP)["scores"]
    assert shipped == {topic: found["scores"][topic] for topic in shipped}


def test_a_run_uses_it(fitted_desk, wirewatch, rows, tmp_path):
    article = tmp_path / "article.txt"
    article.write_text(f"{SWAP} {SWAP}\n\n{BREAD} {BREAD}\n")
    config = ("--config", fitted_desk / "monitor.yaml")
    outcome = wirewatch("run", article, "--lake", tmp_path / "lake", *config)
    assert outcome.code == 0, outcome.err
    first, second = sorted(rows(tmp_path / "lake", "passages"), key=lambda row: row["position"])
    assert first["topics"] == ["prisoners"]
    assert second["topics"] == []
    assert [score["topic"] for score in first["scores"]][-1] == "prisoners"


def test_a_renamed_topic_needs_no_fitting(fitted_desk, wirewatch):
    write_topics(fitted_desk, {**TOPIC, "name": "échanges de prisonniers"})
    assert explain(wirewatch, fitted_desk, SWAP)["topics"] == ["échanges de prisonniers"]


def test_a_threshold_needs_no_fitting(fitted_desk, wirewatch):
    write_topics(fitted_desk, {**TOPIC, "threshold": 0.999})
    assert explain(wirewatch, fitted_desk, SWAP)["topics"] == []


def test_a_removed_topic_leaves_nothing(fitted_desk, wirewatch):
    write_topics(fitted_desk)
    assert "prisoners" not in explain(wirewatch, fitted_desk, SWAP)["scores"]
    outcome = wirewatch("topics", "fit", "--config", fitted_desk / "monitor.yaml")
    assert (outcome.code, "nothing to fit" in outcome.out) == (0, True)


@pytest.mark.parametrize("command", ["run", "reclassify", "explain", "evaluate"])
def test_a_topic_that_is_not_fitted_is_one_line(desk, wirewatch, tmp_path, command):
    labelled = tmp_path / "labelled.tsv"
    labelled.write_text(f"prisoners\t{SWAP}\n")
    words = {
        "run": ("run", labelled, "--lake", tmp_path / "lake"),
        "reclassify": ("reclassify", "--lake", tmp_path),
        "explain": ("explain", SWAP),
        "evaluate": ("topics", "evaluate", labelled),
    }[command]
    line = refused(wirewatch, *words, "--config", desk / "monitor.yaml")
    expected = "topics: 'prisoners' is not fitted yet; run: wirewatch topics fit"
    assert line == f"wirewatch: {expected}\n"
    assert not (tmp_path / "lake").exists()


def test_a_changed_example_asks_for_fitting(fitted_desk, wirewatch):
    changed = [*TOPIC["positive"][:-1], "Captives were freed on both sides of the river at noon."]
    write_topics(fitted_desk, {**TOPIC, "positive": changed})
    line = refused(wirewatch, "explain", SWAP, "--config", fitted_desk / "monitor.yaml")
    assert "'prisoners' was fitted on other examples; run: wirewatch topics fit" in line


def test_a_changed_model_asks_for_fitting(fitted_desk, wirewatch):
    model = shutil.copytree(DEFAULT_MODEL, fitted_desk / "model")
    content = (model / "tokenizer.json").read_bytes() + b"\n"
    (model / "tokenizer.json").write_bytes(content)
    edit_checksum(model, "tokenizer.json", content)
    (fitted_desk / "monitor.yaml").write_text("model: model\n")
    line = refused(wirewatch, "explain", SWAP, "--config", fitted_desk / "monitor.yaml")
    assert "'prisoners' was fitted on another model; run: wirewatch topics fit" in line


def edit_checksum(model: Path, name: str, content: bytes) -> None:
    import hashlib

    heads = json.loads((model / "heads.json").read_text())
    heads["sha256"][name] = hashlib.sha256(content).hexdigest()
    (model / "heads.json").write_text(json.dumps(heads))


def test_a_damaged_file_of_heads_is_one_line(desk, wirewatch):
    (desk / "topics.fitted.json").write_text("{")
    line = refused(wirewatch, "explain", SWAP, "--config", desk / "monitor.yaml")
    assert "topics.fitted.json: Expecting" in line


MISTAKES = {
    "too few": ({"positive": TOPIC["positive"][:7]}, "positive: 7 examples; 8 or more are needed"),
    "no negatives": ({"negative": []}, "negative: 0 examples; 8 or more are needed"),
    "an empty one": ({"negative": [" ", *TOPIC["negative"]]}, "negative[0]: the example is empty"),
    "twice": (
        {"positive": [*TOPIC["positive"], TOPIC["positive"][0]]},
        "positive[8]: 'The two sides exchanged ninety prison...' is there twice",
    ),
    "both": (
        {"negative": [*TOPIC["negative"], TOPIC["positive"][0]]},
        "negative: 'The two sides exchanged ninety prison...' is positive",
    ),
    "no definition": ({"definition": ""}, "definition: one line is needed"),
}


@pytest.mark.parametrize("change, message", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_in_a_topic_names_topic_and_key(desk, wirewatch, change, message):
    write_topics(desk, {**TOPIC, **change})
    line = refused(wirewatch, "topics", "fit", "--config", desk / "monitor.yaml")
    expected = f"{desk / 'topics.yaml'}: topics[4]: topic 'prisoners': {message}"
    assert line == f"wirewatch: {expected}\n"


def test_an_example_longer_than_the_model_takes(desk, wirewatch):
    write_topics(desk, {**TOPIC, "positive": [*TOPIC["positive"], "prisoner " * 300]})
    line = refused(wirewatch, "topics", "fit", "--config", desk / "monitor.yaml")
    assert "topic 'prisoners': positive[8]: longer than the 256 tokens" in line


@pytest.mark.parametrize("command", [("topics", "fit"), ("explain", SWAP)])
def test_a_name_that_the_model_has_is_refused(desk, wirewatch, command):
    text = yaml.safe_dump({"topics": [{**TOPIC, "name": "nato"}]})
    (desk / "topics.yaml").write_text(text)
    line = refused(wirewatch, *command, "--config", desk / "monitor.yaml")
    assert "'nato'" in line
    assert "own for it" in line


def test_a_topic_without_head_or_examples_says_what_to_do(desk, wirewatch):
    write_topics(desk, {"name": "migration"})
    line = refused(wirewatch, "explain", SWAP, "--config", desk / "monitor.yaml")
    assert "has no topic 'migration'; give it positive and negative examples in" in line
