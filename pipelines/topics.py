"""``wirewatch topics``: evaluate, train or fit what finds the topics."""

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path

from configs.settings import UserError
from pipelines.arguments import Parser
from pipelines.evaluate import evaluate
from pipelines.fit import fit

TRAIN_NEEDS = ("torch", "transformers", "safetensors", "onnx", "onnxscript")


def train(arguments: list[str]) -> int:
    """Trains the shipped model anew; needs the extra [train]."""
    parser = Parser("topics train")
    add = parser.add_argument
    add("labelled", nargs="*", type=Path, help="labelled passages besides our own: .jsonl")
    add("--base", type=Path, required=True, metavar="DIR_OR_WHEEL", help="the base encoder")
    add("--output", type=Path, required=True, metavar="DIR", help="the model's folder")
    add("--unlabelled", type=Path, metavar="FILE", help="texts for the first stage: .jsonl")
    add("--judge", type=Path, metavar="DIR_OR_WHEEL", help="a larger base, for the judge")
    add("--folds", type=whole(2), default=3, help="default: 3")
    add("--epochs", type=whole(1), default=3, help="default: 3")
    add("--seed", type=whole(0), default=0, help="default: 0")
    add("--resume", action="store_true", help="fail where there is nothing to go on from")
    flags = vars(parser.parse_args(arguments))
    if not all(importlib.util.find_spec(name) for name in TRAIN_NEEDS):
        raise UserError("topics train needs the extra [train]: pip install 'wirewatch[train]'")
    for path in (flags["base"], flags["judge"], *flags["labelled"], flags["unlabelled"]):
        if path and not path.exists():
            raise UserError(f"{path}: no such file")

    from models.training.run import Options, TrainingError
    from models.training.run import train as run

    try:
        print(run(Options(**flags | {"labelled": tuple(flags["labelled"])})))
    except (TrainingError, OSError) as error:
        raise UserError(str(error)) from error
    return 0


def whole(least: int) -> Callable[[str], int]:
    """A parser of whole numbers from `least` up."""

    def parse(text: str) -> int:
        number = int(text)
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}")
        return number

    parse.__name__ = "whole number"
    return parse


COMMANDS: dict[str, Callable[[list[str]], int]] = {"evaluate": evaluate, "fit": fit, "train": train}
HELP = {
    "evaluate": "measure the model on labelled passages",
    "fit": "fit the custom topics of topics.yaml",
    "train": "train the shipped model anew (needs the extra [train])",
}


def topics(arguments: list[str]) -> int:
    """Runs one of the subcommands. Raises UserError."""
    usage = "\n".join(f"  wirewatch topics {name:<8} {HELP[name]}" for name in COMMANDS)
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    if arguments and arguments[0] in ("-h", "--help"):
        print(f"usage: wirewatch topics COMMAND ...\n\n{usage}")
        return 0
    problem = f"unknown command {arguments[0]!r}" if arguments else "a command is missing"
    known = ", ".join(COMMANDS)
    raise UserError(f"topics: {problem}; there are {known}; see wirewatch topics --help")
