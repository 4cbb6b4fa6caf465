"""The judge: a larger base, fine-tuned as the encoder is, that takes the encoder's token ids."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.encoder import PassageTokenizer
from models.info import JUDGE_DATA_FILE, JUDGE_FILE
from models.score_graph import ScoreGraph
from models.training.base import Base
from models.training.data import TOPICS, Passage, TrainingError
from models.training.encoder import Ids, Recipe, TopicEncoder, Training, say
from models.training.export import quantise, quantise_blocks, write_fp32

# The lowest layers stay as they are in the base.
RATE, EPOCHS, FROZEN_LAYERS = 4e-5, 3, 4
# Special tokens have names of their own in each vocabulary.
SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class Scores(nn.Module):
    """Token ids of the encoder to a logit a topic."""

    def __init__(self, model: TopicEncoder, words: np.ndarray) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("words", torch.tensor(words))

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Logits [n, topics]."""
        return self.model(self.words[input_ids], attention_mask)


class JudgeTraining:
    """Trains judges on the encoder's token ids, and exports them."""

    def __init__(self, base: Base, encoder: Base, seed: int, max_tokens: int) -> None:
        self.base, self.max_tokens = base, max_tokens
        self.recipe = Recipe(EPOCHS, seed, RATE, frozen_layers=FROZEN_LAYERS, drawn=True)
        self.words = word_map(encoder, base)

    def fit(self, passages: Sequence[Passage], ids: Ids, folder: Path) -> TopicEncoder:
        """Train, or go on from the checkpoint in `folder`."""
        folder.mkdir(exist_ok=True)
        training = Training(self.base.folder, self.recipe, folder, folder.name)
        return training.run(passages, self.own(ids))

    def held_back(self, model: TopicEncoder, ids: Ids, folder: Path) -> np.ndarray:
        """Logits of passages as shipped, float32 [passages, topics]."""
        say(f"{folder.name}: int8")
        self.export(model, folder)
        graph = ScoreGraph(folder / JUDGE_FILE, len(TOPICS), threads=1)
        return graph.scores([np.array(row, np.int64) for row in ids])

    def own(self, ids: Ids) -> Ids:
        """The encoder's token ids as the judge's."""
        return [self.words[row].tolist() for row in ids]

    def export(self, model: TopicEncoder, folder: Path) -> None:
        """Write judge.onnx and judge.data, int8."""
        import onnx

        config = model.trunk.config
        # The second matrices of the feed-forward layers lose most by int8.
        blocks = {(config.intermediate_size, config.hidden_size)}
        kept = {(config.hidden_size, len(TOPICS))}
        scores = Scores(model, self.words)
        with tempfile.TemporaryDirectory() as scratch:
            plain, mixed, whole = (Path(scratch) / name for name in ("fp32", "mixed", "int8"))
            write_fp32(scores, plain, self.max_tokens, "score")
            quantise_blocks(plain, mixed, blocks)
            quantise(mixed, whole, kept)
            made = onnx.load(whole)
        largest = max(len(tensor.raw_data) for tensor in made.graph.initializer)
        (folder / JUDGE_DATA_FILE).unlink(missing_ok=True)
        onnx.save(
            made,
            str(folder / JUDGE_FILE),
            save_as_external_data=True,
            location=JUDGE_DATA_FILE,
            size_threshold=largest,
        )
        # It is written for the owner's eyes only.
        (folder / JUDGE_DATA_FILE).chmod(0o644)


def word_map(encoder: Base, judge: Base) -> np.ndarray:
    """The judge's token id for each of the encoder's, int64 [tokens]. Raises TrainingError."""
    theirs, ours = (PassageTokenizer(base.folder, 0) for base in (judge, encoder))
    known, words = theirs.vocabulary(), ours.vocabulary()
    start, end = theirs.ids("")
    named = {"[CLS]": start, "[SEP]": end}
    missing = [word for word in words if word not in known and word not in SPECIAL]
    if missing:
        raise TrainingError(f"{judge.name}: its vocabulary lacks {missing[0]!r} of the encoder's")
    found = np.zeros(max(words.values()) + 1, np.int64)
    for word, number in words.items():
        found[number] = named.get(word, known.get(word, end))
    return found
