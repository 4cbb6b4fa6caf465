"""The fine-tuning of a BERT: each topic has an attention of its own over the tokens, and a head.

A mean over all tokens thins out a topic that has one clause of a long passage.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import AutoModel

from models.encoder import PassageTokenizer
from models.training.data import TOPICS, Passage, taught

Ids = list[list[int]]
WARM_UP = 0.1
# What a padding token's logit of attention is lowered by.
LOWEST = -1e4
# Batches whose passages are sorted by length together.
POOL = 24
# With one of these, a processor multiplies bfloat16 faster than fp32; without, at half the speed.
FAST_BF16 = ("amx_bf16", "avx512_bf16")


@dataclass(frozen=True, slots=True)
class Recipe:
    """The settings of a fine-tuning; the defaults are those of the shipped model."""

    epochs: int = 3
    seed: int = 0
    rate: float = 8e-5
    head_rate: float = 1e-3
    batch: int = 16
    positive_weight: float = 2.0
    unsure_weight: float = 0.7
    decay: float = 0.01
    frozen_layers: int = 0
    # Passages that count less: so many of them in an epoch, instead of all with less weight.
    drawn: bool = False


class TopicEncoder(nn.Module):
    """Token ids to an embedding a topic, and each of those to a logit."""

    def __init__(self, base: Path, frozen_layers: int = 0) -> None:
        """Word embeddings and the lowest layers stay as they are in the base."""
        super().__init__()
        self.trunk = AutoModel.from_pretrained(base)
        self.trunk.pooler = None
        for part in (self.trunk.embeddings, *self.trunk.encoder.layer[:frozen_layers]):
            part.requires_grad_(False)
        self.attention = nn.Linear(self.trunk.config.hidden_size, len(TOPICS))
        self.head = nn.Linear(self.trunk.config.hidden_size, len(TOPICS))
        nn.init.zeros_(self.attention.weight)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -2.0)
        self.drop = nn.Dropout(0.1)

    def embed(self, ids: Any, mask: Any) -> Any:
        """The mean over the unmasked tokens by each topic's weights, [n, topics, width]."""
        hidden = self.trunk(input_ids=ids, attention_mask=mask).last_hidden_state
        masked = (1.0 - mask.unsqueeze(-1).to(hidden.dtype)) * LOWEST
        shares = (self.attention(hidden) + masked).softmax(1)
        return shares.transpose(1, 2) @ hidden

    def forward(self, ids: Any, mask: Any) -> Any:
        """Logits [n, topics]."""
        return (self.drop(self.embed(ids, mask)) * self.head.weight).sum(2) + self.head.bias


def token_ids(tokenizer: PassageTokenizer, passages: Sequence[Passage]) -> Ids:
    """Ids of each passage; one that is too long keeps its start and its last token."""
    rows, limit = [tokenizer.ids(passage.text) for passage in passages], tokenizer.max_tokens
    return [row if len(row) <= limit else [*row[: limit - 1], row[-1]] for row in rows]


def pad(rows: Ids, padding: int = 0) -> tuple[Any, Any]:
    """Ids and mask [n, longest]."""
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), padding)
    mask = torch.zeros((len(rows), width), dtype=torch.long)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
        mask[i, : len(row)] = 1
    return ids, mask


def batches(lengths: np.ndarray, size: int, draw: np.random.Generator) -> list[np.ndarray]:
    """All rows once, in batches of like length and in random order."""
    order, found = draw.permutation(len(lengths)), []
    for start in range(0, len(order), size * POOL):
        part = order[start : start + size * POOL]
        part = part[np.argsort(lengths[part], kind="stable")]
        found += [part[i : i + size] for i in range(0, len(part), size)]
    return [found[i] for i in draw.permutation(len(found))]


def drawn(weights: np.ndarray, length: int, draw: np.random.Generator) -> np.ndarray:
    """Rows of an epoch: all that count in full, and of the others as many as they weigh."""
    whole, others = np.flatnonzero(weights == 1), np.flatnonzero(weights != 1)
    return np.concatenate([whole, draw.choice(others, length - len(whole), replace=False)])


class Training:
    """One fine-tuning in a folder of its own, which holds its latest checkpoint."""

    def __init__(self, base: Path, recipe: Recipe, folder: Path, name: str) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.name = recipe, name
        self.model = TopicEncoder(base, recipe.frozen_layers)
        self.checkpoint = folder / "epoch.pt"
        trunk = [w for w in self.model.trunk.parameters() if w.requires_grad]
        groups = [
            {"params": trunk, "lr": recipe.rate, "weight_decay": recipe.decay},
            {
                "params": [*self.model.attention.parameters(), *self.model.head.parameters()],
                "lr": recipe.head_rate,
                "weight_decay": recipe.decay,
            },
        ]
        self.optimizer = torch.optim.AdamW(groups)

    def run(self, passages: Sequence[Passage], ids: Ids) -> TopicEncoder:
        """Train, or go on from the checkpoint."""
        recipe, weight = self.recipe, np.array([p.weight for p in passages])
        length = round(weight.sum()) if recipe.drawn else len(ids)
        steps = recipe.epochs * -(-length // recipe.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda s: min((s + 1) / (WARM_UP * steps), (steps - s) / ((1 - WARM_UP) * steps)),
        )
        labels = torch.tensor(taught(passages))
        unsure = np.where([p.unsure for p in passages], recipe.unsure_weight, 1.0)
        counted = unsure if recipe.drawn else unsure * weight
        weights = torch.tensor(counted, dtype=torch.float32)
        lengths = np.array([len(row) for row in ids])
        done, draw = self._resume(schedule), np.random.default_rng(recipe.seed)
        for epoch in range(recipe.epochs):
            rows = drawn(weight, length, draw) if recipe.drawn else np.arange(length)
            order = [rows[part] for part in batches(lengths[rows], recipe.batch, draw)]
            if epoch < done:
                continue
            began = time.monotonic()
            loss = self._epoch(order, ids, labels, weights, schedule)
            took = time.monotonic() - began
            say(f"{self.name}: epoch {epoch + 1} of {recipe.epochs}, loss {loss:.4f}, {took:.0f} s")
            self._save(epoch + 1, schedule)
        return self.model.eval()

    def _epoch(
        self, order: list[np.ndarray], ids: Ids, labels: Any, weights: Any, schedule: Any
    ) -> float:
        self.model.train()
        total = 0.0
        positive = torch.tensor(self.recipe.positive_weight)
        for step, rows in enumerate(order, 1):
            padding = self.model.trunk.config.pad_token_id
            with mixed_precision():
                logits = self.model(*pad([ids[i] for i in rows], padding))
            raw = nn.functional.binary_cross_entropy_with_logits(
                logits.float(),
                labels[rows],
                reduction="none",
                pos_weight=positive,
            )
            share = weights[rows][:, None].expand_as(raw)
            loss = (raw * share).sum() / share.sum()
            loss.backward()
            nn.utils.clip_grad_norm_([w for w in self.model.parameters() if w.requires_grad], 1.0)
            self.optimizer.step()
            schedule.step()
            self.optimizer.zero_grad(set_to_none=True)
            total += loss.item()
            if step % 50 == 0:
                say(f"{self.name}: step {step} of {len(order)}, loss {total / step:.4f}")
        return total / len(order)

    def _resume(self, schedule: Any) -> int:
        """Load the checkpoint, if there is one; the number of epochs behind it."""
        if not self.checkpoint.is_file():
            return 0
        state = torch.load(self.checkpoint, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        say(f"{self.name}: going on after epoch {state['epochs']}")
        return int(state["epochs"])

    def _save(self, epochs: int, schedule: Any) -> None:
        state = {
            "epochs": epochs,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": schedule.state_dict(),
            "random": torch.get_rng_state(),
        }
        self.checkpoint.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.checkpoint.with_suffix(".new")
        torch.save(state, fresh)
        fresh.replace(self.checkpoint)


def mixed_precision() -> Any:
    """Multiplies matrices in bfloat16 where that is faster; weights and sums stay fp32."""
    has = torch.cpu.get_capabilities()
    return torch.autocast("cpu", torch.bfloat16, enabled=any(has.get(name) for name in FAST_BF16))


@torch.no_grad()
def predict(model: TopicEncoder, ids: Ids, batch: int = 16) -> np.ndarray:
    """Logits, float32 [n, topics]."""
    order = np.argsort([len(row) for row in ids], kind="stable")
    found = np.zeros((len(ids), len(TOPICS)), np.float32)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        rows = pad([ids[i] for i in part], model.trunk.config.pad_token_id)
        found[part] = model(*rows).numpy()
    return found


def say(message: str) -> None:
    """A line of progress."""
    print(message, file=sys.stderr, flush=True)
