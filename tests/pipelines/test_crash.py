"""Runs that are interrupted or killed half way, and what is in the lake then."""

import json
import os
import signal
import subprocess
import sys

import duckdb
import pandas
import polars
import pyarrow.dataset
import pytest

# Far beyond what anything here takes: a hang is to fail, not to wait for ever.
PATIENCE = 60
# The kernel ends a process that writes past its limit; Python by itself ignores that signal.
# The limit is set when the first file of the lake, the last argument, is opened for writing.
FILE_LIMIT = 2000
DIES_WHILE_WRITING = f"""
import resource, signal, sys
from pipelines.cli import main
def limit(event, arguments):
    in_lake = event == "open" and str(arguments[0]).startswith(sys.argv[-1] + "/")
    if in_lake and "w" in str(arguments[1]):
        resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_LIMIT}, {FILE_LIMIT}))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
sys.addaudithook(limit)
main(["run", *sys.argv[1:]])
"""


@pytest.fixture
def start(small_newsroom, child_environment, tmp_path):
    """Starts a run over the newsroom in a process, until a page has been held back."""
    children = []

    def start_run() -> subprocess.Popen:
        command = (sys.executable, "-m", "pipelines.monitor", small_newsroom.url("/rss.xml"))
        child = subprocess.Popen(
            [*command, "--lake", tmp_path / "lake"],
            cwd=tmp_path,
            env=child_environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # As in a terminal; a parent that ignores the signal would pass that on.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        children.append(child)
        assert small_newsroom.arrived.wait(PATIENCE)
        return child

    yield start_run
    for child in children:
        child.kill()
        child.communicate()


@pytest.fixture
def seeded(wirewatch, tmp_path, write_story):
    """A lake with one article in it, made by a run that ended well."""
    (tmp_path / "seed.txt").write_text(write_story(5))
    lake = tmp_path / "lake"
    assert wirewatch("run", tmp_path / "seed.txt", "--lake", lake).code == 0
    return lake


def identities(found: list[dict]) -> list[tuple]:
    return sorted((row["article_id"], row["passage_id"], row["text"]) for row in found)


def counts(wirewatch, lake) -> set[int]:
    """The number of passages as each reader gives it."""
    folder = lake / "passages"
    ours = wirewatch("query", "select count(*) n from passages", "--lake", lake, "--format", "json")
    return {
        json.loads(ours.out)[0]["n"],
        duckdb.sql(f"from read_parquet('{folder}/*/*.parquet')").count("*").fetchall()[0][0],
        pyarrow.dataset.dataset(folder, partitioning="hive").count_rows(),
        polars.scan_parquet(folder, hive_partitioning=True).collect().height,
        len(pandas.read_parquet(folder)),
    }


def test_an_interrupted_run_leaves_a_lake_that_reads(seeded, start, wirewatch, rows):
    before = identities(rows(seeded, "passages"))
    child = start()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=PATIENCE)
    assert child.returncode == 130
    assert out == ""
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "wirewatch: interrupted; the lake holds what was finished"
    found = rows(seeded, "passages")
    assert set(before) <= set(identities(found))
    assert counts(wirewatch, seeded) == {len(found)}


@pytest.mark.parametrize(
    "death", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda death: death.name
)
def test_a_rerun_after_a_crash_ends_where_a_whole_run_does(
    death, seeded, start, small_newsroom, wirewatch, rows, tmp_path
):
    child = start()
    child.send_signal(death)
    child.communicate(timeout=PATIENCE)
    assert child.returncode in (-death, 128 + death)
    small_newsroom.released.set()
    feed = small_newsroom.url("/rss.xml")
    assert wirewatch("run", feed, "--lake", seeded, "--strict").code == 0
    sources = (tmp_path / "seed.txt", feed)
    assert wirewatch("run", *sources, "--lake", tmp_path / "whole", "--strict").code == 0
    found = identities(rows(seeded, "passages"))
    assert len({article for article, _, _ in found}) == 4
    assert found == identities(rows(tmp_path / "whole", "passages"))
    assert counts(wirewatch, seeded) == {len(found)}


def test_a_writer_killed_half_way_through_a_file(
    seeded, child_environment, wirewatch, rows, tmp_path, write_story
):
    before = identities(rows(seeded, "passages"))
    (tmp_path / "more.txt").write_text(write_story(6))
    done = subprocess.run(
        [sys.executable, "-c", DIES_WHILE_WRITING, tmp_path / "more.txt", "--lake", seeded],
        env=child_environment,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert done.returncode == -signal.SIGXFSZ
    (half,) = (path for path in seeded.rglob("*") if path.suffix == ".tmp")
    assert half.stat().st_size == FILE_LIMIT
    assert identities(rows(seeded, "passages")) == before
    assert counts(wirewatch, seeded) == {len(before)}
    assert wirewatch("run", tmp_path / "more.txt", "--lake", seeded, "--strict").code == 0
    found = rows(seeded, "passages")
    assert len({row["article_id"] for row in found}) == 2
    assert counts(wirewatch, seeded) == {len(found)}


def test_output_into_a_closed_pipe_is_no_error(seeded, child_environment):
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "w") as closed:
        script = "import sys; from pipelines.cli import main; sys.exit(main(sys.argv[1:]))"
        command = (sys.executable, "-c", script, "query", "from range(100000)", "--format", "csv")
        done = subprocess.run(
            [*command, "--lake", seeded],
            env=child_environment,
            stdout=closed,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
        )
    assert (done.returncode, done.stderr) == (0, "")
