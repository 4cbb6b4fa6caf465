"""A model folder with a first stage, and ways to change a folder."""

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
