"""Files of a training that are there whole or not at all."""

from pathlib import Path

import numpy as np


def save(path: Path, **arrays: np.ndarray) -> None:
    """An .npz file."""
    fresh = path.with_suffix(".new.npz")
    np.savez(fresh, allow_pickle=False, **arrays)
    fresh.replace(path)
