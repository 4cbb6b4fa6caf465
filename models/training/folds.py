"""Folds that share no document and no near-identical text."""

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from models.training.data import Passage, targets

SHINGLE = 5
SHARE = 0.4
# A shingle in more passages than this is a stock phrase; comparing them all would be quadratic.
COMPARED = 50


def shingles(text: str) -> set[str]:
    """Runs of five words, in lower case and without punctuation."""
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + SHINGLE]) for i in range(max(1, len(words) - SHINGLE + 1))}


def link_groups(passages: Sequence[Passage]) -> np.ndarray:
    """A number a passage, int [passages]: equal for passages that must not be parted.

    Those are the passages of one document, and any two where SHARE of the shorter one's
    shingles stand in the other.
    """
    parent = list(range(len(passages)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    holders: dict[str, list[int]] = defaultdict(list)
    grams = [shingles(passage.text) for passage in passages]
    for i, passage in enumerate(passages):
        if passage.document:
            parent[root(i)] = root(first.setdefault(passage.document, i))
        shared: dict[int, int] = defaultdict(int)
        for gram in grams[i]:
            for j in holders[gram][:COMPARED]:
                shared[j] += 1
            holders[gram].append(i)
        for j, number in shared.items():
            if number >= SHARE * min(len(grams[i]), len(grams[j])):
                parent[root(i)] = root(j)
    return np.array([root(i) for i in range(len(passages))], int)


def make_folds(
    passages: Sequence[Passage], groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """The fold of each passage, int [passages]: whole groups, topics spread evenly."""
    loads = np.concatenate([targets(passages), np.ones((len(passages), 1))], axis=1)
    members: dict[int, list[int]] = defaultdict(list)
    for i, group in enumerate(groups.tolist()):
        members[group].append(i)
    order = list(members)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda group: -len(members[group]))
    total, load = np.maximum(1, loads.sum(0)), np.zeros((folds, loads.shape[1]))
    fold_of = np.zeros(len(passages), int)
    for group in order:
        added = loads[members[group]].sum(0)
        cost = (((load + added) / total) ** 2 - (load / total) ** 2).sum(1)
        fold = int(np.argmin(cost))
        load[fold] += added
        fold_of[members[group]] = fold
    return fold_of


def unseen(reader: Sequence[Passage], held_back: Sequence[Passage]) -> list[Passage]:
    """The reader's passages that share neither document nor text with what is held back."""
    groups = link_groups([*held_back, *reader])
    taken = set(groups[: len(held_back)].tolist())
    rest = groups[len(held_back) :].tolist()
    return [passage for passage, group in zip(reader, rest, strict=True) if group not in taken]
