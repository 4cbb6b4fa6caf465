"""From configuration to policy: bad models, the first stage, the label of the rows."""

import hashlib
import json
import shutil
from pathlib import Path

import pytest

from models import DEFAULT_MODEL
from pipelines.policy import open_model, read_policy

STAGE = Path(__file__).parents[1] / "data" / "first_stage.onnx"
# The first stage does not know the words that make this a ceasefire.
MISSED = "Rebel commanders rejected the proposed truce and vowed to continue the fighting."
FOUND = "The European Union adopted a new package of sanctions against Russian banks on Monday."
# The encoder gives these words a chance, and no more.
UNSURE = "They spoke for two hours in Doha about how the shooting might stop, and about fish."


def replace(model: Path, name: str, content: bytes, **heads: object) -> None:
    """Puts a file into a model folder, its checksum right."""
    (model / name).write_bytes(content)
    data = json.loads((model / "heads.json").read_text())
    data["sha256"][name] = hashlib.sha256(content).hexdigest()
    (model / "heads.json").write_text(json.dumps({**data, **heads}))


@pytest.fixture
def desk(tmp_path) -> Path:
    """A configuration whose model has a first stage, beside it."""
    model = shutil.copytree(DEFAULT_MODEL, tmp_path / "staged")
    replace(model, STAGE.name, STAGE.read_bytes(), first_stage={"threshold": -1.0})
    (tmp_path / "monitor.yaml").write_text("model: staged\n")
    return tmp_path / "monitor.yaml"


def explain(wirewatch, desk: Path, text: str) -> dict:
    outcome = wirewatch("explain", text, "--json", "--config", desk)
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


def test_explain_says_which_stage_decided(desk, wirewatch):
    found, missed = explain(wirewatch, desk, FOUND), explain(wirewatch, desk, MISSED)
    assert (found["stage"], found["first_stage_score"]) == ("encoder", 1.0)
    assert (missed["stage"], missed["first_stage_score"]) == ("first stage", -3.0)
    assert missed["first_stage_threshold"] == -1.0
    assert (found["topics"], missed["topics"]) == (["sanctions"], [])
    outcome = wirewatch("explain", MISSED, "--config", desk)
    assert (
        "decided   by the first stage (it scored -3.00; from -1.00 the encoder decides)"
        in outcome.out
    )


def test_explain_says_that_the_judge_decided(wirewatch):
    outcome = wirewatch("explain", UNSURE)
    found = json.loads(wirewatch("explain", UNSURE, "--json").out)
    why = f"for the encoder was unsure; the first stage scored {found['first_stage_score']:.2f}"
    assert f"decided   by the judge (a larger encoder, {why})" in outcome.out
    assert found["stage"] == "judge"


@pytest.mark.parametrize(
    "threshold, stage",
    [(None, "first stage"), (0.9, "first stage"), (0.1, "encoder")],
)
def test_a_lower_threshold_passes_the_first_stage_by(desk, wirewatch, threshold, stage):
    topics = [{"name": "ceasefire", **({"threshold": threshold} if threshold else {})}]
    (desk.parent / "topics.yaml").write_text(json.dumps({"topics": topics}))
    assert explain(wirewatch, desk, MISSED)["stage"] == stage


def test_the_label_follows_whatever_decides(desk):
    labels = {read_policy(desk)[0].label, read_policy(None, str(DEFAULT_MODEL))[0].label}
    for threshold in (0.1, 0.5):
        topics = [{"name": "nato"}, {"name": "ceasefire", "threshold": threshold}]
        (desk.parent / "topics.yaml").write_text(json.dumps({"topics": topics}))
        labels.add(read_policy(desk)[0].label)
    assert len(labels) == 4
    assert all(label.startswith("wirewatch-topics ") for label in labels)
    assert read_policy(desk)[0].label in labels


def test_a_run_writes_what_the_first_stage_decides(desk, wirewatch, rows, tmp_path):
    article = tmp_path / "article.txt"
    article.write_text(f"{FOUND} {FOUND}\n\n{MISSED} {MISSED}\n")
    outcome = wirewatch("run", article, "--lake", tmp_path / "lake", "--config", desk)
    assert outcome.code == 0, outcome.err
    first, second = sorted(rows(tmp_path / "lake", "passages"), key=lambda row: row["position"])
    assert (first["topics"], second["topics"]) == (["sanctions"], [])
    assert all(one["score"] == pytest.approx(0.0474, abs=1e-4) for one in second["scores"])
    model = open_model(read_policy(desk)[0])
    assert model.score([second["text"]])[0, 0] == second["scores"][0]["score"]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "first_stage.onnx", "judge.onnx"])
def test_a_corrupt_file_is_one_line_before_anything_is_asked_for(desk, newsroom, wirewatch, name):
    replace(desk.parent / "staged", name, b"nothing of the kind")
    before, lake = len(newsroom.requests), desk.parent / "lake"
    outcome = wirewatch("run", newsroom.url("/rss.xml"), "--lake", lake, "--config", desk)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"wirewatch: model: {desk.parent / 'staged' / name}: ")
    assert outcome.err.count("\n") == 1
    assert len(newsroom.requests) == before
    assert not lake.exists()
