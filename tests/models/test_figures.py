"""Figures on cases small enough to count by hand."""

import numpy as np
import pytest

from models.figures import calibration_error, passage_figures

TOPICS = ("a", "b")


def figures(labels, hits, scores=None):
    labels, hits = np.array(labels, bool), np.array(hits, bool)
    return passage_figures(TOPICS, labels, hits, hits * 1.0 if scores is None else scores)


def test_precision_recall_and_f1_are_counts():
    found = figures([[1, 0], [1, 0], [1, 0], [0, 0]], [[1, 0], [1, 0], [0, 0], [1, 0]])
    a = found.topics["a"]
    assert (a.precision, a.recall, a.support) == (pytest.approx(2 / 3), pytest.approx(2 / 3), 3)
    assert a.f1 == pytest.approx(2 / 3)


def test_a_topic_that_nobody_names_is_left_out_of_the_mean():
    found = figures([[1, 0], [0, 0]], [[1, 0], [0, 0]])
    assert found.topics["b"].f1 is None
    assert found.macro_f1 == 1.0
    assert figures([[1, 0], [0, 0]], [[1, 1], [0, 0]]).macro_f1 == 0.5


def test_off_topic_hits_count_passages_not_topics():
    found = figures([[0, 0], [0, 0], [0, 1]], [[1, 1], [0, 0], [1, 1]])
    assert found.off_topic_hit == 0.5
    assert figures([[1, 0]], [[1, 0]]).off_topic_hit is None


def test_nothing_at_all_has_no_figures():
    empty = np.zeros((0, 2))
    found = passage_figures(TOPICS, empty.astype(bool), empty.astype(bool), empty)
    assert (found.macro_f1, found.off_topic_hit, found.passages) == (None, None, 0)


@pytest.mark.parametrize(
    "labels, scores, expected",
    [
        pytest.param([1, 0], [1.0, 0.0], 0.0, id="certain-and-right"),
        pytest.param([0, 1], [1.0, 0.0], 1.0, id="certain-and-wrong"),
        pytest.param([1, 0, 0, 0], [0.25] * 4, 0.0, id="right-on-average"),
        pytest.param([1, 1, 0, 0], [0.8] * 4, 0.3, id="one-bin"),
        # Half the passages are off by 0.3, half by 0.1.
        pytest.param([1, 0, 0, 0], [0.8, 0.8, 0.1, 0.1], 0.2, id="two-bins"),
        pytest.param([], [], 0.0, id="none"),
    ],
)
def test_calibration_error_is_the_weighted_distance(labels, scores, expected):
    error = calibration_error(np.array(labels, bool), np.array(scores, float))
    assert error == pytest.approx(expected)
