"""``wirewatch topics``: evaluate, train or fit what finds the topics."""

import argparse
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path

from configs.settings import UserError
from pipelines.evaluate import evaluate
from pipelines.fit import fit

TRAIN_NEEDS = ("onnx", "sklearn")


def train(arguments: list[str]) -> int:
    """Rebuilds the shipped model; needs the extra [train]."""
    parser = argparse.ArgumentParser(prog="wirewatch topics train", allow_abbrev=False)
    parser.add_argument("labelled", type=Path, help="labelled passages: .jsonl")
    parser.add_argument("--base", type=Path, required=True, help="the base encoder: .onnx or .whl")
    parser.add_argument("--output", type=Path, required=True, help="the model's folder")
    flags = parser.parse_args(arguments)
    if not all(importlib.util.find_spec(name) for name in TRAIN_NEEDS):
        raise UserError("topics train needs the extra [train]: pip install 'wirewatch[train]'")
    for path in (flags.base, flags.labelled):
        if not path.is_file():
            raise UserError(f"{path}: no such file")

    from models.train_heads import train as train_heads

    print(train_heads(flags.base, flags.labelled, flags.output))
    return 0


COMMANDS: dict[str, Callable[[list[str]], int]] = {"evaluate": evaluate, "fit": fit, "train": train}
HELP = {
    "evaluate": "measure the model on labelled passages",
    "fit": "fit the custom topics of topics.yaml",
    "train": "rebuild the shipped model (needs the extra [train])",
}


def topics(arguments: list[str]) -> int:
    """Runs one of the subcommands."""
    usage = "\n".join(f"  wirewatch topics {name:<8} {HELP[name]}" for name in COMMANDS)
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: wirewatch topics COMMAND ...\n\n{usage}")
        return 0
    problem = f"unknown command {arguments[0]!r}" if arguments else "which command?"
    print(f"wirewatch topics: {problem}\n{usage}", file=sys.stderr)
    return 2
