"""What is the machine's fault, and what is a bug."""

import errno
import os

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError

from pipelines.environment import environment_problem
from transforms.writer import LakeGone, LakeInUse

LAKE = "/srv/lake"


def failure(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (failure(errno.ENOSPC), "/srv/lake: the disk is full"),
        (failure(errno.EROFS, f"{LAKE}/polls/x"), "/srv/lake/polls/x: the disk is read-only"),
        (failure(errno.EACCES, f"{LAKE}/polls"), "/srv/lake: cannot be used: permission denied"),
        (LakeGone(errno.ENOENT, "the lake is not there", LAKE), "/srv/lake: the lake is not there"),
        (LakeInUse("somebody writes"), "somebody writes"),
        (failure(errno.ENOENT, "/srv/lakeside/model"), None),
        (failure(errno.EMFILE), None),
        (KeyError("x"), None),
    ],
)
def test_the_machine_s_faults_are_told_from_ours(error, expected):
    assert environment_problem(error, LAKE) == expected


def test_a_store_is_reached_over_a_network():
    store = "gs://bucket/lake"
    for error in (ConnectionResetError("reset"), BeamIOError("reset")):
        problem = environment_problem(error, store)
        assert problem.startswith("gs://bucket/lake: the store does not answer: reset")
    assert environment_problem(ConnectionResetError("reset"), LAKE) is None


def write(element, is_bug):
    try:
        raise failure(errno.ENOSPC)
    except OSError:
        if is_bug:
            raise KeyError(element) from None
        raise


@pytest.mark.parametrize("is_bug", [False, True])
def test_what_a_step_of_the_pipeline_raises(pipeline, is_bug):
    with pytest.raises(Exception) as caught, pipeline:
        _ = pipeline | beam.Create([1]) | beam.Map(write, is_bug)
    problem = environment_problem(caught.value, LAKE)
    assert problem == (None if is_bug else "/srv/lake: the disk is full")
