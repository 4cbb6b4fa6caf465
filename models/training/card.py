"""card.md of a trained model, from what was measured on held-back passages."""

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.figures import Figures, passage_figures
from models.training.base import Base, sha256
from models.training.calibrate import (
    Calibration,
    HeldBack,
    cross_fit,
    figures_of,
    is_judged,
    reliability,
)
from models.training.data import TOPICS, Corpus, Passage, targets

CARD_FILE = "card.md"


@dataclass(frozen=True, slots=True)
class Measured:
    """What the figures come from; `encoder` are the held-back logits before int8.

    stage_unlabelled: held-back scores of the first stage, [unlabelled passages, topics]; judge:
    the judge's base, where there is one.
    """

    corpus: Corpus
    data: HeldBack
    found: Calibration
    stage_unlabelled: np.ndarray
    encoder: np.ndarray
    judge: Base | None = None


def write_card(
    measured: Measured, seed: int, base: Base, version: str, output: Path, heads: str
) -> str:
    """The card's text; the model's files lie in `output`, `heads` is the sum of heads.json."""
    lines = [
        f"# wirewatch-topics {version}",
        "",
        f"Says which of {len(TOPICS)} topics an English news passage is about: "
        f"{', '.join(TOPICS)}. Made by `wirewatch topics train`.",
        "",
        *origin(measured, seed, base),
        *quality(measured),
        *stage(measured),
        "## Files",
        "",
        "| file | SHA-256 |",
        "|---|---|",
    ]
    sums = {p.name: sha256(p) for p in sorted(output.iterdir()) if p.suffix in (".onnx", ".json")}
    lines += [
        f"| `{name}` | `{digest}` |" for name, digest in (sums | {"heads.json": heads}).items()
    ]
    return "\n".join(lines) + "\n"


def origin(measured: Measured, seed: int, base: Base) -> list[str]:
    corpus, folds = measured.corpus, len(np.unique(measured.data.folds))
    unsure = sum(passage.unsure for passage in corpus.tested)
    twice = sum(passage.second is not None for passage in corpus.tested)
    # Without labelled files the passages of our own are the tested ones.
    whose = "labelled passages" if corpus.written else "passages of our own, not of real articles"
    judge = []
    if larger := measured.judge:
        judge = [f"- Judge: {larger.name}; licence: {larger.licence}; SHA-256 `{larger.sha256}`."]
    return [
        "## Origin",
        "",
        f"- Base weights: {base.name}; licence: {base.licence}; SHA-256 `{base.sha256}`.",
        *judge,
        f"- {len(corpus.tested)} {whose}, {unsure} marked unsure, held back in turn.",
        f"- {twice} of them read a second time, by a language model: trainings aim at the mean of "
        "both readings; the figures are against the first alone.",
        f"- {len(corpus.written)} passages of our own besides, in every training.",
        f"- {len(corpus.reader)} passages labelled by a language model, not by a person, by "
        "SHA-256 of their text.",
        f"- {len(corpus.unlabelled)} unlabelled passages, for the first stage only.",
        f"- Seed {seed}, one training a fold and one on everything, {folds} folds.",
        "",
    ]


def quality(measured: Measured) -> Iterator[str]:
    """Figures by topic, fold and outlet; the reliability table."""
    data = measured.data
    scores, hits = cross_fit(data, measured.found.stage_threshold)
    every = np.ones(len(data.labels), bool)
    figures = figures_of(data, scores, hits, every)
    yield from (
        "## Figures",
        "",
        "Out of fold, with int8 and the first stage: whole documents and near-identical texts",
        "are in one fold; scaling and thresholds of a fold come from the others.",
        "",
        "| topic | precision | recall | F1 | passages | calibration error |",
        "|---|---|---|---|---|---|",
    )
    for topic, one in figures.topics.items():
        yield (
            f"| {topic} | {one.precision:.3f} | {one.recall:.3f} | {number(one.f1)} "
            f"| {one.support} | {one.ece:.3f} |"
        )
    yield from ("", *spread(data, scores, hits, figures), *without_judge(measured))
    yield from (*second_reader(measured.corpus), "")
    yield from outlet_lines(measured.corpus, data, scores, hits)
    yield from ("", "| stated from | number | mean stated | found |", "|---|---|---|---|")
    for low, count, mean, share in reliability(scores, data.labels):
        yield f"| {low:.1f} | {count} | {mean:.3f} | {share:.3f} |"
    yield from (
        "",
        "The scaling that ships comes from the fold models: the shipped one has no held-back",
        "passages. The spread over seeds was not measured.",
        "",
    )


def outlet_lines(
    corpus: Corpus, data: HeldBack, scores: np.ndarray, hits: np.ndarray
) -> Iterator[str]:
    """Macro-F1 and off-topic hits of each outlet group."""
    yield "| outlet group | passages | macro-F1 | off-topic given a topic |"
    yield "|---|---|---|---|"
    for name, rows in outlets(corpus):
        one = figures_of(data, scores, hits, rows)
        macro, off_topic = number(one.macro_f1), number(one.off_topic_hit)
        yield f"| {name} | {one.passages} | {macro} | {off_topic} |"


def spread(data: HeldBack, scores: np.ndarray, hits: np.ndarray, figures: Figures) -> Sequence[str]:
    """Macro-F1 with its spread over the folds, and off-topic hits."""
    folds = [figures_of(data, scores, hits, data.folds == fold) for fold in np.unique(data.folds)]
    macro = [fold.macro_f1 for fold in folds if fold.macro_f1 is not None]
    deviation = np.std(macro, ddof=1) if len(macro) > 1 else 0.0
    return (
        f"- macro-F1 {number(figures.macro_f1)}; over the folds {np.mean(macro or [0]):.3f}, "
        f"standard deviation {deviation:.3f}",
        f"- off-topic passages given a topic: {number(figures.off_topic_hit)}",
    )


def without_judge(measured: Measured) -> Iterator[str]:
    """How many passages the judge decided, and the figures without it."""
    data, least = measured.data, measured.found.stage_threshold
    if data.judge is not None:
        asked = is_judged(data, measured.found.scaling.encoder, least)
        plain = dataclasses.replace(data, judge=None)
        figures = figures_of(plain, *cross_fit(plain, least), np.ones(len(asked), bool))
        yield (
            f"- the judge decided {share(asked)} of them; without it: macro-F1 "
            f"{number(figures.macro_f1)}, off-topic {number(figures.off_topic_hit)}"
        )


def second_reader(corpus: Corpus) -> Iterator[str]:
    """What the second reading would reach against the labels: more than that cannot be asked."""
    for what, unsure in (("sure", False), ("unsure", True)):
        read = [p for p in corpus.tested if p.second is not None and p.unsure is unsure]
        if read:
            found = targets([Passage(p.text, p.second or ()) for p in read])
            figures = passage_figures(TOPICS, targets(read), found, found.astype(float))
            yield (
                f"- the second reading against the labels, where the reader was {what} "
                f"({len(read)} passages): macro-F1 {number(figures.macro_f1)}"
            )


def stage(measured: Measured) -> Iterator[str]:
    """Pass rate and recall of the first stage by topic and outlet group."""
    corpus, data, least = measured.corpus, measured.data, measured.found.stage_threshold
    passed = data.stage.max(1) >= least
    right = (measured.encoder > 0) & data.labels
    any_right: np.ndarray = np.any(right, axis=1)
    any_label: np.ndarray = np.any(data.labels, axis=1)
    yield from (
        "## First stage",
        "",
        f"Threshold {least:.4f}; held back by fold, taught by fold models some of which saw the",
        "passage's document. True hits are topics that label and encoder agree on.",
        "",
        "| | passes, unlabelled | passes, labelled | true hits kept | labelled topics kept |",
        "|---|---|---|---|---|",
    )
    unlabelled = measured.stage_unlabelled.max(1) >= least
    every = np.ones(len(passed), bool)
    yield stage_row("all", unlabelled, passed, any_right, any_label, every)
    for column, topic in enumerate(TOPICS):
        yield stage_row(topic, None, passed, right[:, column], data.labels[:, column], every)
    groups = np.array([passage.outlet for passage in corpus.unlabelled])
    for name, rows in outlets(corpus):
        mine = unlabelled[groups == name] if len(groups) else None
        yield stage_row(f"outlet {name}", mine, passed, any_right, any_label, rows)
    yield ""


def stage_row(
    name: str,
    unlabelled: np.ndarray | None,
    passed: np.ndarray,
    right: np.ndarray,
    labelled: np.ndarray,
    rows: np.ndarray,
) -> str:
    of_unlabelled = "-" if unlabelled is None else share(unlabelled)
    cells = (share(passed[mask & rows]) for mask in (np.ones_like(rows), right, labelled))
    return f"| {name} | {of_unlabelled} | {' | '.join(cells)} |"


def outlets(corpus: Corpus) -> list[tuple[str, np.ndarray]]:
    """The outlet groups of the tested passages, each with its rows."""
    names = np.array([passage.outlet for passage in corpus.tested])
    return [(str(name), names == name) for name in np.unique(names) if name]


def share(passed: np.ndarray) -> str:
    return f"{passed.mean():.3f} ({passed.sum()} of {len(passed)})" if len(passed) else "-"


def number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
