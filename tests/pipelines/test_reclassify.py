"""wirewatch reclassify on copies of a lake: what changes, what does not, and when it stops."""

import json
import os
import shutil
import signal
import subprocess
import sys
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

import pipelines.reclassify
from models import DEFAULT_MODEL
from schemas.tables import PASSAGES
from transforms.compact import compact_lake

CHANGED = {"topics", "scores", "model"}


@pytest.fixture
def copy(lake, tmp_path) -> Path:
    """A copy of the newsroom's lake."""
    return shutil.copytree(lake, tmp_path / "lake")


@pytest.fixture
def strict(tmp_path) -> Path:
    """A configuration with two topics, one of them hard to reach."""
    topics = [{"name": "sanctions"}, {"name": "ceasefire", "threshold": 0.9999}]
    (tmp_path / "topics.yaml").write_text(yaml.safe_dump({"topics": topics}))
    (tmp_path / "monitor.yaml").write_text("lake: lake\n")
    return tmp_path / "monitor.yaml"


def contents(lake: Path) -> dict[str, bytes]:
    found = (path for path in lake.rglob("*") if path.is_file())
    return {str(path.relative_to(lake)): path.read_bytes() for path in found}


def tables(lake: Path) -> dict[str, list[dict]]:
    files = sorted((lake / "passages").rglob("*.parquet"))
    return {str(f.relative_to(lake)): pq.ParquetFile(f).read().to_pylist() for f in files}


def test_a_current_lake_is_left_alone(copy, wirewatch):
    before = contents(copy)
    outcome = wirewatch("reclassify", "--lake", copy)
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("0 files reclassified, ")
    assert contents(copy) == before


def test_only_topics_scores_and_model_change(copy, strict, wirewatch):
    before, others = tables(copy), contents(copy)
    outcome = wirewatch("reclassify", "--lake", copy, "--config", strict, "--json")
    assert outcome.code == 0, outcome.err
    found, after = json.loads(outcome.out), tables(copy)
    assert found["files"] == found["files_replaced"] == len(before) == len(after)
    assert list(after) == list(before)
    for name, rows in after.items():
        for old, new in zip(before[name], rows, strict=True):
            assert {k: v for k, v in new.items() if k not in CHANGED} == {
                k: v for k, v in old.items() if k not in CHANGED
            }
            assert [score["topic"] for score in new["scores"]] == ["sanctions", "ceasefire"]
            assert set(new["topics"]) == set(old["topics"]) & {"sanctions"}
            scores = {score["topic"]: score["score"] for score in old["scores"]}
            assert all(scores[one["topic"]] == one["score"] for one in new["scores"])
            assert new["model"] == found["model"] != old["model"]
    untouched = {name for name in others if not name.startswith("passages/")}
    assert {name: contents(copy)[name] for name in untouched} == {n: others[n] for n in untouched}


def test_a_file_of_an_older_version_gets_the_columns_of_this_one(copy, strict, wirewatch):
    young = ["modified_at", "cluster_id", "cluster_source", "signature"]
    for path in (copy / "passages").rglob("*.parquet"):
        table = pq.ParquetFile(path).read().drop_columns(young)
        version = table.schema.get_field_index("schema_version")
        old = pa.array([2] * table.num_rows, pa.int32())
        pq.write_table(table.set_column(version, "schema_version", old), path)
    assert wirewatch("reclassify", "--lake", copy, "--config", strict).code == 0
    for path in (copy / "passages").rglob("*.parquet"):
        assert pq.read_schema(path).equals(PASSAGES.schema)
    found = [row for rows in tables(copy).values() for row in rows]
    assert {row["schema_version"] for row in found} == {PASSAGES.version}
    assert all(row[name] is None for row in found for name in young)


def test_back_again_gives_the_very_rows(copy, strict, lake, wirewatch):
    assert wirewatch("reclassify", "--lake", copy, "--config", strict).code == 0
    assert wirewatch("reclassify", "--lake", copy).code == 0
    assert tables(copy) == tables(lake)
    schemas = {pq.read_schema(path) for path in (copy / "passages").rglob("*.parquet")}
    schemas |= {pq.read_schema(path) for path in (lake / "passages").rglob("*.parquet")}
    assert len(schemas) == 1
    assert schemas.pop().metadata[b"wirewatch.table"] == b"passages"


def test_since_takes_the_days_from_then_on(copy, strict, wirewatch):
    days = sorted({path.name for path in (copy / "passages").iterdir()})
    since = days[len(days) // 2].removeprefix("date=")
    before = tables(copy)
    outcome = wirewatch("reclassify", "--lake", copy, "--config", strict, "--since", since)
    assert outcome.code == 0, outcome.err
    for name, rows in tables(copy).items():
        is_later = name.split("date=")[1][:10] >= since
        assert (rows != before[name]) == is_later


def test_the_next_run_knows_every_article_still(copy, strict, config, wirewatch):
    assert wirewatch("reclassify", "--lake", copy, "--config", strict).code == 0
    before = tables(copy)
    outcome = wirewatch("run", "--config", config, "--lake", copy, "--json")
    assert json.loads(outcome.out)["articles"] == 0
    assert tables(copy) == before


def test_days_that_are_compacted_meanwhile_are_done_as_well(copy, strict, wirewatch, monkeypatch):
    """The files that it listed go before it reads them, and others stand for them."""
    run_plan, done = pipelines.reclassify.run_plan, []

    def compact_then_run(*arguments):
        if not done:
            done.append(compact_lake(str(copy), date.max).days)
        return run_plan(*arguments)

    monkeypatch.setattr(pipelines.reclassify, "run_plan", compact_then_run)
    before = sorted(row["passage_id"] for rows in tables(copy).values() for row in rows)
    found = json.loads(wirewatch("reclassify", "--lake", copy, "--config", strict, "--json").out)
    after = [row for rows in tables(copy).values() for row in rows]
    assert done[0] > 0
    assert sorted(row["passage_id"] for row in after) == before
    assert {row["model"] for row in after} == {found["model"]}
    assert (found["files"], found["files_replaced"]) == (len(tables(copy)),) * 2


def test_interrupted_it_goes_on_where_it_was(copy, strict, wirewatch, child_environment):
    """Killed after the first file, whole files only are there, and the next run does the rest."""
    before = tables(copy)
    code = "import sys; from pipelines.cli import main; sys.exit(main(sys.argv[1:]))"
    words = ["reclassify", "--lake", str(copy), "--config", str(strict)]
    inodes = {name: (copy / name).stat().st_ino for name in before}
    child = subprocess.Popen(
        [sys.executable, "-c", code, *words], env=child_environment, stderr=subprocess.DEVNULL
    )
    while child.poll() is None and all((copy / n).stat().st_ino == i for n, i in inodes.items()):
        os.sched_yield()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert list(tables(copy)) == list(before)
    found = json.loads(wirewatch(*words, "--json").out)
    assert found["files"] == len(before)
    models = {row["model"] for rows in tables(copy).values() for row in rows}
    assert models == {found["model"]}
    assert json.loads(wirewatch(*words, "--json").out)["files_replaced"] == 0


def test_a_passage_longer_than_a_new_model_takes_is_scored_by_windows(
    copy, tmp_path, wirewatch, rows
):
    model = shutil.copytree(DEFAULT_MODEL, tmp_path / "narrow")
    heads = json.loads((model / "heads.json").read_text())
    (model / "heads.json").write_text(json.dumps({**heads, "max_tokens": 24}))
    (tmp_path / "monitor.yaml").write_text("model: narrow\n")
    outcome = wirewatch("reclassify", "--lake", copy, "--config", tmp_path / "monitor.yaml")
    assert outcome.code == 0, outcome.err
    found = rows(copy, "passages")
    assert all(row["scores"] is not None for row in found)
    assert any("ceasefire" in row["topics"] for row in found)


def test_passages_in_another_language_are_null_and_counted(tmp_path, strict, wirewatch, rows):
    text = "Die beiden Armeen haben sich auf eine Waffenruhe geeinigt, die am Freitag beginnt. " * 2
    (tmp_path / "a.txt").write_text(text)
    assert wirewatch("run", tmp_path / "a.txt", "--lake", tmp_path / "de").code == 0
    words = ("reclassify", "--lake", tmp_path / "de", "--config", strict, "--json")
    assert json.loads(wirewatch(*words).out)["passages_unsupported"] == 1
    (row,) = rows(tmp_path / "de", "passages")
    assert (row["topics"], row["scores"]) == (None, None)


@pytest.mark.parametrize(
    "words, message",
    [
        (("--lake", "gone"), "gone: no such lake"),
        (("--since", "yesterday"), "argument --since: 'yesterday' is not a day: YYYY-MM-DD"),
        (("--config", "gone.yaml"), "gone.yaml: cannot be read: No such file or directory"),
    ],
)
def test_mistakes_are_said(wirewatch, words, message):
    outcome = wirewatch("reclassify", *words)
    assert outcome.code == 2
    assert message in outcome.err


def test_a_bad_model_is_one_line_and_changes_nothing(copy, tmp_path, wirewatch):
    model = shutil.copytree(DEFAULT_MODEL, tmp_path / "model")
    (model / "model.onnx").write_bytes(b"not onnx")
    (tmp_path / "monitor.yaml").write_text("model: model\n")
    before = contents(copy)
    outcome = wirewatch("reclassify", "--lake", copy, "--config", tmp_path / "monitor.yaml")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "model.onnx: sha256 is" in outcome.err
    assert contents(copy) == before
