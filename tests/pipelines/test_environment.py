"""What is the machine's fault, and what is a bug."""

import errno
import os
import tempfile
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.io.filesystem import BeamIOError

from pipelines.environment import environment_problem
from transforms.storage import put_bytes
from transforms.writer import LakeGone, LakeInUse

LAKE = "/srv/lake"
NOBODY = 65534


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


@pytest.fixture
def closed():
    """Closes a folder or file to every user, this one too, until the test has ended."""
    is_root, changed = os.geteuid() == 0, []
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)

        def close(path: Path, mode: int) -> None:
            changed.append((path, path.stat().st_mode))
            path.chmod(mode)
            if is_root:  # The superuser may write anywhere.
                os.seteuid(NOBODY)

        yield Path(place), close
        if is_root:
            os.seteuid(0)
        for path, mode in changed:
            path.chmod(mode)


@pytest.mark.parametrize(
    ("name", "mode", "what"),
    [
        ("polls/date=2024-05-01", 0o555, "written"),
        ("polls", 0o555, "written"),
        (".unfinished", 0o555, "written"),
        ("polls", 0o444, "used"),
    ],
)
def test_the_folder_that_may_not_be_used_is_named(closed, name, mode, what):
    place, close = closed
    lake = str(place / "lake")
    put_bytes(lake, f"{lake}/polls/date=2024-05-01/a.parquet", b"a")
    folder = Path(lake, name)
    (Path(lake) / ".unfinished").chmod(0o777)
    (Path(lake) / ".unfinished" / "lock").chmod(0o666)
    close(folder, mode)
    day = "2024-05-02" if name == "polls" else "2024-05-01"
    with pytest.raises(PermissionError) as caught:
        put_bytes(lake, f"{lake}/polls/date={day}/b.parquet", b"b")
    expected = f"{folder}: cannot be {what}: permission denied"
    assert environment_problem(caught.value, lake) == expected


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
