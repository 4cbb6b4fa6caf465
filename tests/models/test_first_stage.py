"""A first stage, in a copy of the shipped model: it knows one word a topic."""

import dataclasses
import math

import numpy as np
import pytest

from models import DEFAULT_MODEL
from models.encoder import Encoder
from models.info import FEATURES_FILE, ModelError, TopicHead, read_model_info
from models.topic_model import load_features, load_topic_model

PASSES = "The two armies agreed to a ceasefire that takes effect at midnight on Friday."
STOPPED = "The home side won three to one after two late goals from the substitute striker."
# The first stage does not know these words, so that it stops what the encoder would find.
MISSED = "Rebel commanders rejected the proposed truce and vowed to continue the fighting."


def test_the_encoder_decides_what_passes(staged) -> None:
    full, model = load_topic_model(DEFAULT_MODEL), load_topic_model(staged)
    decision = model.decide([STOPPED, PASSES, MISSED])
    assert decision.stopped.tolist() == [True, False, True]
    np.testing.assert_array_equal(decision.scores[1], full.score([PASSES])[0])
    np.testing.assert_array_equal(decision.gate[1], np.float32([1, -3, -3, -3]))


def test_a_stopped_passage_gets_the_first_stages_own_probability(staged) -> None:
    scores = load_topic_model(staged).score([STOPPED])
    np.testing.assert_allclose(scores, 1 / (1 + math.exp(3)), rtol=1e-4)


def test_the_first_stage_is_calibrated(staged, edit_heads) -> None:
    curves = {topic: {"a": 2.0, "b": -1.0} for topic in load_topic_model(staged).topics}
    edit_heads(staged, lambda heads: heads["first_stage"].update(platt=curves))
    scores = load_topic_model(staged).score([STOPPED])
    np.testing.assert_allclose(scores, 1 / (1 + math.exp(7)), rtol=1e-4)


def test_neighbours_change_nothing(staged) -> None:
    model = load_topic_model(staged)
    texts = [STOPPED, PASSES, "A much longer neighbour. " * 40, MISSED, "Short."]
    together = model.score(texts)
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(together[row], model.score([text])[0])


def test_it_can_be_passed_by(staged) -> None:
    decision = load_topic_model(staged, first_stage=False).decide([MISSED])
    assert not decision.stopped.any()
    assert decision.gate is None
    expected = load_topic_model(DEFAULT_MODEL).score([MISSED])
    np.testing.assert_array_equal(decision.scores, expected)


def truces(embed: Encoder) -> TopicHead:
    """A custom head that looks for what is near to MISSED."""
    (near,), (far,) = embed.embed([MISSED]), embed.embed([STOPPED])
    weights = 20 * (near - far) / np.sum((near - far) ** 2)
    return TopicHead("truces", tuple(map(float, weights)), float(-weights @ (near + far) / 2), 0.5)


def test_it_stays_in_use_beside_a_custom_topic_which_sees_every_passage(staged) -> None:
    plain = load_topic_model(staged)
    model = load_topic_model(staged, custom=(truces(load_features(staged)),))
    texts = [STOPPED, PASSES, MISSED]
    decision = model.decide(texts)
    assert decision.stopped.tolist() == [True, False, True]
    np.testing.assert_array_equal(decision.scores[:, :4], plain.score(texts))
    assert model.topics[4:] == ("truces",)
    assert (decision.scores[:, 4] >= 0.5).tolist()[::2] == [False, True]
    for row, text in enumerate(texts):
        np.testing.assert_array_equal(decision.scores[row], model.score([text])[0])


def test_without_features_a_custom_topic_needs_the_encoder_for_every_passage(
    staged, edit_heads
) -> None:
    own = read_model_info(staged).encoder_id
    (staged / FEATURES_FILE).unlink()
    with pytest.raises(ModelError, match=r"features\.onnx: file is missing"):
        load_topic_model(staged)
    edit_heads(staged, lambda heads: heads["sha256"].pop(FEATURES_FILE))
    assert read_model_info(staged).encoder_id != own
    model = load_topic_model(staged, custom=(truces(load_features(staged)),))
    decision = model.decide([STOPPED, PASSES, MISSED])
    assert not decision.stopped.any()
    assert (decision.scores[:, 4] >= 0.5).tolist()[::2] == [False, True]


def test_calibration_of_a_head_is_part_of_it(staged, edit_heads) -> None:
    edit_heads(staged, lambda heads: heads.pop("judge"))
    before = load_topic_model(staged).score([PASSES])[0]
    edit_heads(
        staged, lambda heads: heads["topics"]["ceasefire"].update(platt={"a": 0.5, "b": -1.0})
    )
    after = load_topic_model(staged).score([PASSES])[0]
    logit = math.log(before[0] / (1 - before[0]))
    assert after[0] == pytest.approx(1 / (1 + math.exp(1.0 - 0.5 * logit)), abs=1e-5)
    np.testing.assert_array_equal(after[1:], before[1:])


BREAKAGES = {
    "no threshold": (lambda stage: stage.pop("threshold"), r"'threshold' is missing"),
    "not a number": (
        lambda stage: stage.update(threshold=float("nan")),
        r"'first_stage': threshold nan is not a number",
    ),
    "stops hits": (
        lambda stage: stage.update(threshold=5.0),
        r"'first_stage': it would stop passages that it finds 'ceasefire'",
    ),
    "a topic without calibration": (
        lambda stage: stage.update(platt={"ceasefire": {"a": 1.0, "b": 0.0}}),
        r"'territory' is missing",
    ),
    "calibration upside down": (
        lambda stage: stage.update(platt={"ceasefire": {"a": -1.0, "b": 0.0}}),
        r"topic 'ceasefire': calibration a=-1.0, b=0.0: a must be positive",
    ),
}


@pytest.mark.parametrize("change, message", BREAKAGES.values(), ids=BREAKAGES.keys())
def test_bad_settings_are_one_line(staged, edit_heads, change, message) -> None:
    edit_heads(staged, lambda heads: change(heads["first_stage"]))
    with pytest.raises(ModelError, match=rf"heads\.json: {message}") as caught:
        read_model_info(staged)
    assert "\n" not in str(caught.value)


def test_the_digest_follows_every_file(staged, edit_heads) -> None:
    before = read_model_info(staged)
    edit_heads(staged, lambda heads: heads["topics"]["nato"].update(threshold=0.5))
    after = read_model_info(staged)
    assert before.digest != after.digest
    assert before.encoder_id == after.encoder_id
    assert dataclasses.replace(after, heads=before.heads, digest=before.digest) == before
