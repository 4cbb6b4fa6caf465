"""A judge in a copy of the shipped model: it knows one word a topic."""

import math
import shutil

import numpy as np
import pytest

from models import DEFAULT_MODEL
from models.info import ModelError, read_model_info
from models.topic_model import load_topic_model

OFF_TOPIC = "The home side won three to one after two late goals from the substitute striker."
SURE = "The European Union adopted a new package of sanctions against Russian banks on Monday."
# The encoder puts ceasefire between `low` and `high` here.
UNSURE = "They spoke for two hours in Doha about how the shooting might stop, and about fish."


@pytest.fixture
def alone(judged, edit_heads):
    """The encoder of the judged model without its judge."""
    edit_heads(judged, lambda heads: heads.update(hidden=heads.pop("judge")))
    model = load_topic_model(judged)
    edit_heads(judged, lambda heads: heads.update(judge=heads.pop("hidden")))
    return model


def test_it_decides_what_the_encoder_is_unsure_of_and_nothing_else(judged, alone) -> None:
    texts = [OFF_TOPIC, SURE, UNSURE]
    plain, decision = alone.decide(texts), load_topic_model(judged).decide(texts)
    assert not plain.judged.any() and plain.stopped.tolist() == [True, False, False]
    between = ((plain.scores > 0.1) & (plain.scores < 0.95)).any(axis=1) & ~plain.stopped
    assert decision.judged.tolist() == between.tolist() == [False, False, True]
    np.testing.assert_array_equal(decision.scores[:2], plain.scores[:2])
    np.testing.assert_allclose(decision.scores[2], 1 / (1 + math.exp(3)), rtol=1e-4)


def test_what_the_first_stage_stops_never_reaches_it(judged, edit_heads) -> None:
    edit_heads(judged, lambda heads: heads["judge"].update(low=0.0, high=1.0))
    decision = load_topic_model(judged).decide([OFF_TOPIC, SURE, UNSURE])
    assert decision.stopped.tolist() == [True, False, False]
    assert decision.judged.tolist() == [False, True, True]
    absent, named = 1 / (1 + math.exp(3)), 1 / (1 + math.exp(-1))
    np.testing.assert_allclose(decision.scores[1], [absent, absent, named, absent], rtol=1e-4)


def test_judge_and_encoder_count_by_their_weights(judged, alone, edit_heads) -> None:
    share = {"judge": 2.0, "encoder": 0.5, "bias": -1.0}
    edit_heads(
        judged, lambda heads: [one.update(share) for one in heads["judge"]["topics"].values()]
    )
    before, after = alone.score([UNSURE])[0], load_topic_model(judged).score([UNSURE])[0]
    logits = 2.0 * -3.0 + 0.5 * np.log(before / (1 - before)) - 1.0
    np.testing.assert_allclose(after, 1 / (1 + np.exp(-logits)), rtol=1e-3)


def test_neighbours_change_nothing(judged) -> None:
    model = load_topic_model(judged)
    texts = [OFF_TOPIC, SURE, UNSURE, "A much longer neighbour. " * 40, UNSURE, "Short."]
    together = model.score(texts)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], model.score([text])[0])


def test_the_shipped_judge_is_asked_about_few_passages() -> None:
    model = load_topic_model(DEFAULT_MODEL)
    assert model.decide([OFF_TOPIC, SURE, UNSURE]).judged.tolist() == [False, False, True]


BREAKAGES = {
    "no end": (lambda judge: judge.pop("high"), r"'high' is missing"),
    "upside down": (
        lambda judge: judge.update(low=0.9, high=0.2),
        r"'judge': 0.9 to 0.2 are not probabilities in this order",
    ),
    "a topic without weights": (
        lambda judge: judge["topics"].pop("territory"),
        r"'territory' is missing",
    ),
    "a weight that turns the order": (
        lambda judge: judge["topics"]["nato"].update(encoder=-0.5),
        r"'judge': topic 'nato': weights must be numbers from 0 up",
    ),
}


@pytest.mark.parametrize("change, message", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_bad_settings_are_one_line(judged, edit_heads, change, message) -> None:
    edit_heads(judged, lambda heads: change(heads["judge"]))
    with pytest.raises(ModelError, match=rf"heads\.json: {message}") as caught:
        read_model_info(judged)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_its_words_are_checked(tmp_path, damage) -> None:
    folder = shutil.copytree(DEFAULT_MODEL, tmp_path / "model")
    if damage == "missing":
        (folder / "judge.data").unlink()
    else:
        with (folder / "judge.data").open("r+b") as file:
            file.write(b"\0\1\2\3")
    with pytest.raises(ModelError, match=r"judge\.data: (file is missing|sha256 is)"):
        load_topic_model(folder)
