"""The package as a worker installs it, and what its modules import."""

import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
PACKAGES = ("configs", "models", "pipelines", "schemas", "seeds", "transforms")
DATA = (
    "configs/monitor.yaml",
    "configs/topics.yaml",
    "models/passages.jsonl",
    "models/oblique_passages.jsonl",
    "models/sense_passages.jsonl",
    "models/reader_labels.jsonl",
    "seeds/feeds.opml",
    "schemas/README.md",
)


@pytest.fixture(scope="module")
def source_package(tmp_path_factory):
    """The archive that Beam's --setup_file makes, from a copy of the checkout."""
    copy = tmp_path_factory.mktemp("checkout")
    for package in PACKAGES:
        ignore = shutil.ignore_patterns("__pycache__", "lake")
        shutil.copytree(REPOSITORY / package, copy / package, ignore=ignore)
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    command = (sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", copy / "dist")
    subprocess.run(command, cwd=copy, check=True, capture_output=True)
    (archive,) = (copy / "dist").glob("*.tar.gz")
    return archive


@pytest.fixture(scope="module")
def installed(source_package, tmp_path_factory):
    """The archive installed into a folder of its own."""
    site = tmp_path_factory.mktemp("site")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index")
    options = ("--no-build-isolation", "--disable-pip-version-check", "--target", site)
    subprocess.run([*pip, *options, source_package], check=True, capture_output=True)
    return site


def test_the_archive_holds_modules_model_and_data(source_package):
    with tarfile.open(source_package) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    expected = {"setup.py", "LICENSE", *DATA}
    for package in PACKAGES:
        files = (REPOSITORY / package).rglob("*.py")
        expected |= {str(path.relative_to(REPOSITORY)) for path in files}
    for folder in ("models/topics", "seeds/articles"):
        files = (REPOSITORY / folder).iterdir()
        expected |= {str(path.relative_to(REPOSITORY)) for path in files}
    assert names >= expected


def test_an_installed_package_has_what_a_worker_needs(installed):
    model = installed / "models" / "topics"
    heads = json.loads((model / "heads.json").read_text())
    assert all((model / name).is_file() for name in heads["sha256"])
    assert all((installed / name).is_file() for name in DATA)
    # The configuration that ships names its seeds from its own folder.
    assert (installed / "configs" / ".." / "seeds" / "articles").is_dir()


def test_the_installed_command_runs(installed, child_environment, tmp_path, write_story, rows):
    (tmp_path / "story.txt").write_text(write_story(0))
    done = subprocess.run(
        [sys.executable, installed / "bin" / "wirewatch", "run", "story.txt", "--lake", "lake"],
        cwd=tmp_path,
        env={**child_environment, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 new article ")
    found = rows(tmp_path / "lake", "passages")
    assert {row["source"] for row in found} == {"story.txt"}
    assert any(row["topics"] for row in found)


@pytest.mark.parametrize(
    "statement, heavy",
    [
        ("import models.topic_model, pipelines.cli", "apache_beam numpy onnxruntime duckdb"),
        ("import schemas.records, configs.settings", "apache_beam numpy onnxruntime pyarrow"),
        ("import pipelines.query", "apache_beam onnxruntime trafilatura"),
        ("import pipelines.monitor", "onnxruntime trafilatura py3langid duckdb"),
    ],
)
def test_heavy_libraries_are_imported_only_where_used(statement, heavy, child_environment):
    # Beam imports torch for itself where there is one; here that fails, and so would we.
    hidden = "import sys; sys.modules['torch'] = None"
    script = f"{hidden}; {statement}; print(*(name for name in sys.modules if name != 'torch'))"
    command = (sys.executable, "-c", script)
    done = subprocess.run(command, env=child_environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert statement.split()[-1] in loaded
    assert loaded.isdisjoint({*heavy.split(), "transformers"})


def test_a_query_starts_without_beam(child_environment, tmp_path):
    script = (
        "import sys; from pipelines.cli import main; "
        "main(['query', 'select 1 as one', '--lake', '.']); "
        "print(*({'apache_beam', 'onnxruntime', 'trafilatura'} & set(sys.modules)), 'end')"
    )
    command = (sys.executable, "-c", script)
    done = subprocess.run(
        command, cwd=tmp_path, env=child_environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "end"
