"""Model folders with a first stage or a judge of one word a topic, and ways to change a folder."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from models import DEFAULT_MODEL

STAGE = Path(__file__).parents[1] / "data" / "first_stage.onnx"


def edit_json(folder: Path, change: Callable[[dict], object]) -> None:
    path = folder / "heads.json"
    heads = json.loads(path.read_text(encoding="utf-8"))
    change(heads)
    path.write_text(json.dumps(heads), encoding="utf-8")


def add_stage(folder: Path, **settings: object) -> None:
    """Puts the first stage of one word a topic into a model folder."""
    shutil.copy(STAGE, folder)
    digest = hashlib.sha256(STAGE.read_bytes()).hexdigest()

    def change(heads: dict) -> None:
        heads["first_stage"] = {"threshold": -1.0, **settings}
        heads["sha256"][STAGE.name] = digest

    edit_json(folder, change)


def add_judge(folder: Path) -> None:
    """Puts a judge of one word a topic into a model folder, in the place of its own."""
    shutil.copy(STAGE, folder / "judge.onnx")
    (folder / "judge.data").unlink()
    digest = hashlib.sha256(STAGE.read_bytes()).hexdigest()

    def change(heads: dict) -> None:
        shares = {topic: {"judge": 1.0, "encoder": 0.0, "bias": 0.0} for topic in heads["topics"]}
        heads["judge"] = {"low": 0.1, "high": 0.95, "topics": shares}
        heads["sha256"]["judge.onnx"] = digest
        del heads["sha256"]["judge.data"]

    edit_json(folder, change)


@pytest.fixture(scope="session")
def edit_heads() -> Callable[[Path, Callable[[dict], object]], None]:
    """Changes heads.json of a model folder."""
    return edit_json


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A copy of the shipped model with the first stage of one word a topic."""
    folder = shutil.copytree(DEFAULT_MODEL, tmp_path / "staged")
    add_stage(folder)
    return folder


@pytest.fixture
def judged(tmp_path: Path) -> Path:
    """A copy of the shipped model with the judge of one word a topic."""
    folder = shutil.copytree(DEFAULT_MODEL, tmp_path / "judged")
    add_judge(folder)
    return folder
