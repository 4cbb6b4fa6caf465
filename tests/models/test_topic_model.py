import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from models import DEFAULT_MODEL
from models.topic_model import (
    ModelError,
    TopicModel,
    load_tokenizer,
    load_topic_model,
    read_model_info,
)

POSITIVES = [
    ("ceasefire", "The two armies agreed to a ceasefire that takes effect at midnight on Friday."),
    (
        "ceasefire",
        "Rebel commanders rejected the proposed truce and vowed to continue the fighting.",
    ),
    ("territory", "Government troops captured the border town and now control both river banks."),
    (
        "territory",
        "The president said his country would never give up occupied land to the invader.",
    ),
    ("sanctions", "The European Union imposed new sanctions on banks and froze oligarchs' assets."),
    (
        "sanctions",
        "Washington lifted its oil embargo after years of economic sanctions on the state.",
    ),
    ("nato", "Finland formally joined NATO, doubling the length of the alliance's eastern border."),
    ("nato", "NATO allies pledged at the summit to raise their defence spending."),
]
OFF_TOPIC = [
    "Bake the bread for forty minutes, then let it cool on a wire rack.",
    "The home side won three to one after two late goals from the substitute striker.",
    "The museum will show two hundred watercolours by local painters until October.",
    "The phone has a brighter screen and a larger battery than last year's version.",
]
TEXTS = [text for _, text in POSITIVES] + OFF_TOPIC


@pytest.fixture(scope="module")
def model() -> TopicModel:
    return load_topic_model(DEFAULT_MODEL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(DEFAULT_MODEL, tmp_path / "model")


def edit_heads(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "heads.json"
    heads = json.loads(path.read_text(encoding="utf-8"))
    change(heads)
    path.write_text(json.dumps(heads), encoding="utf-8")


def replace_file(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and make its checksum right, so that only its content is wrong."""
    (folder / name).write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    edit_heads(folder, lambda heads: heads["sha256"].update({name: digest}))


def test_info_lists_the_topics_in_order() -> None:
    info = read_model_info(DEFAULT_MODEL)
    assert info.topics == ("ceasefire", "territory", "sanctions", "nato")
    assert info.languages == ("en",)
    assert (info.max_tokens, info.width) == (256, 4 * 384)


@pytest.mark.parametrize(("topic", "text"), POSITIVES)
def test_clear_positive(model: TopicModel, topic: str, text: str) -> None:
    column = model.info.topics.index(topic)
    assert model.score([text])[0, column] >= model.info.thresholds[column]


@pytest.mark.parametrize("text", OFF_TOPIC)
def test_clear_off_topic(model: TopicModel, text: str) -> None:
    assert (model.score([text])[0] < model.info.thresholds).all()


def test_scores_are_float32_probabilities(model: TopicModel) -> None:
    scores = model.score(TEXTS)
    assert scores.shape == (len(TEXTS), 4)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_no_texts(model: TopicModel) -> None:
    assert model.score([]).shape == (0, 4)


def test_scores_follow_the_order_of_the_texts(model: TopicModel) -> None:
    np.testing.assert_array_equal(model.score(TEXTS[::-1]), model.score(TEXTS)[::-1])


def test_neighbours_do_not_change_a_score(model: TopicModel) -> None:
    text = TEXTS[0]
    alone = model.score([text])[0]
    among_longer = model.score(["A much longer neighbour. " * 40, text, "Short."])[1]
    np.testing.assert_allclose(among_longer, alone, atol=1e-3)


def test_text_at_the_limit_fits_and_one_word_more_raises(model: TopicModel) -> None:
    longest = "peace " * (model.info.max_tokens - 2)  # two special tokens
    assert model.fits(longest)
    assert model.score([longest]).shape == (1, 4)
    assert not model.fits(longest + "talks")
    with pytest.raises(ValueError, match="text 1 has 257 tokens, the model takes 256"):
        model.score(["short", longest + "talks"])


def test_tokenizer_alone_agrees_with_the_model(model: TopicModel) -> None:
    tokenizer = load_tokenizer(DEFAULT_MODEL)
    for text in [*TEXTS, "", "peace " * 254, "peace " * 255]:
        assert tokenizer.fits(text) == model.fits(text)


def test_control_tokens_in_a_text_are_text() -> None:
    ids = load_tokenizer(DEFAULT_MODEL).ids
    assert len(ids("[SEP]")) == 2 + len(["[", "sep", "]"])


def test_empty_text_gets_no_topic(model: TopicModel) -> None:
    assert (model.score([""])[0] < model.info.thresholds).all()


def break_width(heads: dict) -> None:
    for head in heads["topics"].values():
        head["weights"].pop()


BREAKAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no heads": (lambda f: (f / "heads.json").unlink(), r"heads\.json: file is missing"),
    "no encoder": (lambda f: (f / "model.onnx").unlink(), r"model\.onnx: file is missing"),
    "no tokenizer": (
        lambda f: (f / "tokenizer.json").unlink(),
        r"tokenizer\.json: file is missing",
    ),
    "changed file": (
        lambda f: (f / "tokenizer.json").write_text("{}"),
        r"tokenizer\.json: sha256 is \w+, heads\.json says \w+",
    ),
    "heads not JSON": (lambda f: (f / "heads.json").write_text("{"), r"heads\.json: Expecting"),
    "heads not UTF-8": (lambda f: (f / "heads.json").write_bytes(b"\xff"), r"heads\.json: .*utf-8"),
    "heads not an object": (
        lambda f: (f / "heads.json").write_text("[]"),
        r"heads\.json: expected",
    ),
    "no topics": (
        lambda f: edit_heads(f, lambda heads: heads["topics"].clear()),
        r"heads\.json: 'topics' is empty",
    ),
    "no version": (
        lambda f: edit_heads(f, lambda heads: heads.pop("version")),
        r"heads\.json: 'version' is missing",
    ),
    "no checksum": (
        lambda f: edit_heads(f, lambda heads: heads["sha256"].pop("model.onnx")),
        r"heads\.json: 'model\.onnx' is missing",
    ),
    "threshold over 1": (
        lambda f: edit_heads(f, lambda heads: heads["topics"]["nato"].update(threshold=1.5)),
        r"heads\.json: topic 'nato': threshold 1\.5",
    ),
    "weight not finite": (
        lambda f: edit_heads(
            f, lambda heads: heads["topics"]["nato"]["weights"].append(float("nan"))
        ),
        r"heads\.json: topic 'nato': weights and bias must be finite",
    ),
    "weights uneven": (
        lambda f: edit_heads(f, lambda heads: heads["topics"]["nato"]["weights"].pop()),
        r"heads\.json: topics differ in their number of weights",
    ),
    "weights of another width": (
        lambda f: edit_heads(f, break_width),
        r"heads\.json: heads have 1535 weights, the embedding has 1536",
    ),
    "corrupt encoder": (lambda f: replace_file(f, "model.onnx", b"not onnx"), r"model\.onnx: "),
    "corrupt tokenizer": (lambda f: replace_file(f, "tokenizer.json", b"{}"), r"tokenizer\.json: "),
}


@pytest.mark.parametrize(("breakage", "message"), BREAKAGES.values(), ids=BREAKAGES.keys())
def test_unusable_folder_is_one_line(
    folder: Path, breakage: Callable[[Path], object], message: str
) -> None:
    breakage(folder)
    with pytest.raises(ModelError, match=message) as caught:
        load_topic_model(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_absent_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"heads\.json: file is missing"):
        read_model_info(tmp_path / "absent")


def test_info_can_be_read_without_checking_the_files(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    assert read_model_info(folder, check_files=False).name == "wirewatch-topics"
    with pytest.raises(ModelError, match=r"model\.onnx: file is missing"):
        read_model_info(folder)


@pytest.mark.parametrize(
    ("function", "loaded"), [("read_model_info", []), ("load_tokenizer", ["tokenizers"])]
)
def test_runtime_is_loaded_only_to_score(function: str, loaded: list[str]) -> None:
    script = (
        "import sys; from models import DEFAULT_MODEL; import models.topic_model as t;"
        f"t.{function}(DEFAULT_MODEL);"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(loaded)


def test_scoring_leaves_nothing_in_the_home_folder(tmp_path: Path) -> None:
    script = (
        "from models import DEFAULT_MODEL; import models.topic_model as t;"
        "print(t.load_topic_model(DEFAULT_MODEL).score(['A truce was agreed.']).shape)"
    )
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment = {k: v for k, v in os.environ.items() if k != "ORT_DISABLE_TELEMETRY"} | home
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.strip() == "(1, 4)"
    assert list(tmp_path.rglob("*")) == []
