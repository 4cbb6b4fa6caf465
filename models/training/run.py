"""A whole training, in steps whose results stay in OUTPUT/checkpoints until all are done."""

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from models.encoder import Encoder, PassageTokenizer
from models.info import (
    ENCODER_FILE,
    FEATURES_FILE,
    FIRST_STAGE_FILE,
    HEADS_FILE,
    TOKENIZER_FILE,
)
from models.logistic import sigmoid
from models.training import first_stage
from models.training.base import WEIGHTS_FILE, Base, open_base, sha256
from models.training.calibrate import Calibration, HeldBack, calibrate
from models.training.card import CARD_FILE, Measured, write_card
from models.training.data import (
    LANGUAGE,
    TOPICS,
    Corpus,
    Passage,
    TrainingError,
    read_corpus,
    targets,
)
from models.training.encoder import Recipe, Training, predict, say, token_ids
from models.training.export import CONFIG_FILE, export_encoder, export_features
from models.training.folds import link_groups, make_folds, unseen

MAX_TOKENS = 256
CHECKPOINTS = "checkpoints"
ARGUMENTS_FILE = "arguments.json"
# A label as a probability, and what the encoder's is raised to where the label is yes.
LEAST, MOST, RAISED = 0.02, 0.98, 0.9
MODEL_FILES = (ENCODER_FILE, FIRST_STAGE_FILE, FEATURES_FILE, TOKENIZER_FILE, CONFIG_FILE)


@dataclass(frozen=True, slots=True)
class Options:
    """The command line of ``wirewatch topics train``."""

    labelled: tuple[Path, ...]
    base: Path
    output: Path
    unlabelled: Path | None = None
    folds: int = 3
    epochs: int = 3
    seed: int = 0
    resume: bool = False


def train(options: Options) -> str:
    """Write the model folder; its card's text. Raises TrainingError."""
    corpus = read_corpus(options.labelled, options.unlabelled)
    work = options.output / CHECKPOINTS
    base = open_base(options.base, work)
    key = open_checkpoints(work, options, corpus, base)
    return Run(options, corpus, base, work, key).finish()


def open_checkpoints(work: Path, options: Options, corpus: Corpus, base: Base) -> str:
    """Begin, or go on if the same arguments began there; a digest of the arguments."""
    arguments = {
        "corpus": corpus.digest(),
        "base": base.sha256,
        "folds": options.folds,
        "recipe": asdict(recipe_of(options)),
        "first stage": asdict(first_stage.Shape()),
    }
    text, path = json.dumps(arguments, indent=1) + "\n", work / ARGUMENTS_FILE
    if path.is_file():
        if path.read_text(encoding="utf-8") != text:
            raise TrainingError(f"{work}: checkpoints of other passages or settings; delete it")
        say(f"going on with the checkpoints in {work}")
    elif options.resume:
        raise TrainingError(f"{work}: nothing to resume there")
    else:
        work.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def recipe_of(options: Options) -> Recipe:
    return Recipe(epochs=options.epochs, seed=options.seed)


class Run:
    """The steps of one training."""

    def __init__(self, options: Options, corpus: Corpus, base: Base, work: Path, key: str) -> None:
        self.options, self.corpus, self.base, self.work, self.key = options, corpus, base, work, key
        self.max_tokens = min(MAX_TOKENS, base.positions)
        self.tokenizer = PassageTokenizer(base.folder, self.max_tokens)
        groups = link_groups(corpus.tested)
        self.folds = make_folds(corpus.tested, groups, options.folds, seed=0)
        if len(np.unique(self.folds)) < options.folds:
            raise TrainingError(f"fewer than {options.folds} documents: too few for the folds")
        say(
            f"{len(corpus.tested)} passages in {options.folds} folds; in every training "
            f"{len(corpus.written)} of ours and {len(corpus.reader)} labelled by a model; "
            f"{len(corpus.unlabelled)} unlabelled; {torch.get_num_threads()} threads"
        )

    def finish(self) -> str:
        """All steps; the model folder is complete when heads.json is in it."""
        raw, shipped, unlabelled = self.held_back()
        stage_tested, stage_unlabelled = self.first_stage(raw, unlabelled)
        head = self.final()
        data = HeldBack(shipped, stage_tested, targets(self.corpus.tested), self.folds)
        found = calibrate(data)
        output, final = self.options.output, self.work / "final"
        (output / HEADS_FILE).unlink(missing_ok=True)
        for name in MODEL_FILES:
            shutil.copyfile(final / name, output / name)
        self.write_heads(found, head)
        heads = sha256(output / HEADS_FILE)
        measured = Measured(self.corpus, data, found, stage_unlabelled, raw)
        text = write_card(measured, self.options.seed, self.base, self.version(), output, heads)
        (output / CARD_FILE).write_text(text, encoding="utf-8")
        shutil.rmtree(self.work)
        return text

    def held_back(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits of the tested passages by models that saw nothing of their fold: as trained
        and as shipped; and those of the unlabelled ones by fold 0's model."""
        shape = (len(self.corpus.tested), len(TOPICS))
        raw, shipped = np.zeros(shape), np.zeros(shape)
        for fold in range(self.options.folds):
            rows = np.flatnonzero(self.folds == fold)
            path = self.work / f"fold{fold}.npz"
            if not path.is_file():
                self.train_fold(fold, rows, path)
            with np.load(path) as saved:
                raw[rows], shipped[rows] = saved["raw"], saved["shipped"]
        with np.load(self.work / "fold0.npz") as saved:
            return raw, shipped, saved["unlabelled"]

    def train_fold(self, fold: int, rows: np.ndarray, path: Path) -> None:
        """Train without a fold, and save what its model says of it."""
        tested, folder = self.corpus.tested, self.work / f"fold{fold}"
        test = [tested[row] for row in rows]
        kept = [tested[row] for row in np.flatnonzero(self.folds != fold)]
        model = self.fit([*kept, *self.corpus.written, *unseen(self.corpus.reader, test)], folder)
        say(f"{folder.name}: int8")
        export_encoder(model, self.base.folder, folder, self.max_tokens)
        ids = token_ids(self.tokenizer, test)
        encoder = Encoder(folder, self.tokenizer)
        embeddings = encoder.embed_ids([np.array(row, np.int64) for row in ids])
        weights, bias = head_of(model)
        others = self.corpus.unlabelled if fold == 0 else []
        say(f"{folder.name}: {len(others)} unlabelled passages")
        save(
            path,
            raw=predict(model, ids),
            shipped=embeddings @ weights.T + bias,
            unlabelled=predict(model, token_ids(self.tokenizer, others)),
        )
        shutil.rmtree(folder)

    def fit(self, passages: Sequence[Passage], folder: Path) -> Any:
        folder.mkdir(exist_ok=True)
        training = Training(self.base.folder, recipe_of(self.options), folder, folder.name)
        return training.run(passages, token_ids(self.tokenizer, passages))

    def first_stage(self, raw: np.ndarray, unlabelled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Held-back scores of tested and unlabelled passages; writes the stage of all."""
        corpus, path, final = self.corpus, self.work / "stage.npz", self.work / "final"
        every = [*corpus.tested, *corpus.unlabelled]
        if not path.is_file():
            ids = token_ids(self.tokenizer, [*every, *corpus.written])
            soft = self.probabilities(raw, unlabelled)
            folds = make_folds(every, link_groups(every), self.options.folds, seed=0)
            folds = np.concatenate([folds, np.full(len(corpus.written), -1)])
            shape = first_stage.Shape()
            start = first_stage.principal(self.word_embeddings(), shape.width)
            scores = np.zeros(soft.shape)
            for fold in range(self.options.folds):
                say(f"first stage: fold {fold + 1} of {self.options.folds}")
                kept, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                net = first_stage.fit(start, [ids[i] for i in kept], soft[kept], shape)
                scores[test] = first_stage.score(net, [ids[i] for i in test])
            say("first stage: on everything")
            final.mkdir(exist_ok=True)
            net = first_stage.fit(start, ids, soft, shape)
            first_stage.write_graph(net, final / FIRST_STAGE_FILE)
            save(path, scores=scores)
        with np.load(path) as saved:
            scores = saved["scores"]
        return scores[: len(corpus.tested)], scores[len(corpus.tested) : len(every)]

    def probabilities(self, raw: np.ndarray, unlabelled: np.ndarray) -> np.ndarray:
        """What the first stage learns: tested, unlabelled, ours, float32 [n, topics]."""
        corpus, teacher = self.corpus, sigmoid(raw)
        tested = np.where(targets(corpus.tested), np.maximum(RAISED, teacher), teacher)
        others = sigmoid(unlabelled)
        read = {passage.text: passage for passage in corpus.reader}
        for row, passage in enumerate(corpus.unlabelled):
            if passage.text in read:
                others[row] = np.clip(targets([read[passage.text]])[0], LEAST, MOST)
        ours = np.clip(targets(corpus.written), LEAST, MOST)
        return np.concatenate([tested, others, ours]).astype(np.float32)

    def word_embeddings(self) -> Any:
        weights = load_file(self.base.folder / WEIGHTS_FILE)
        return next(w for name, w in weights.items() if name.endswith("word_embeddings.weight"))

    def final(self) -> tuple[np.ndarray, np.ndarray]:
        """Train on everything and export; the heads' weights and biases."""
        corpus, folder = self.corpus, self.work / "final"
        path = folder / "head.npz"
        if not path.is_file():
            model = self.fit([*corpus.tested, *corpus.written, *corpus.reader], folder)
            export_encoder(model, self.base.folder, folder, self.max_tokens)
            export_features(self.base.folder, folder, self.max_tokens)
            weights, bias = head_of(model)
            save(path, weights=weights, bias=bias)
        with np.load(path) as saved:
            return saved["weights"], saved["bias"]

    def version(self) -> str:
        """Of no release: the digest of the arguments."""
        return f"0+{self.key[:12]}"

    def write_heads(self, found: Calibration, head: tuple[np.ndarray, np.ndarray]) -> None:
        """heads.json, last of the model's files; the scaling is folded into the weights."""
        weights, bias = head
        output, topics = self.options.output, {}
        for k, topic in enumerate(TOPICS):
            a, b = found.scaling[k]
            topics[topic] = {
                "threshold": round(float(found.thresholds[k]), 4),
                "bias": float(a * bias[k] + b),
                "weights": [round(float(a * weight), 6) for weight in weights[k]],
            }
        free = zip(TOPICS, found.best_f1, strict=True)
        heads = {
            "name": "wirewatch-topics",
            "version": self.version(),
            "base": self.base.name,
            "licence": self.base.licence,
            "languages": [LANGUAGE],
            "max_tokens": self.max_tokens,
            "topics": topics,
            "thresholds_best_f1": {topic: round(float(cut), 4) for topic, cut in free},
            "first_stage": {"threshold": round(found.stage_threshold, 4)},
            "sha256": {name: sha256(output / name) for name in MODEL_FILES},
        }
        fresh = output / (HEADS_FILE + ".new")
        fresh.write_text(json.dumps(heads) + "\n", encoding="utf-8")
        fresh.replace(output / HEADS_FILE)


def head_of(model: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights [topics, topics * width], nought outside a topic's own embedding; biases."""
    own, bias = model.head.weight.detach().numpy(), model.head.bias.detach().numpy()
    topics, width = own.shape
    weights = np.zeros((topics, topics, width), own.dtype)
    weights[np.arange(topics), np.arange(topics)] = own
    return weights.reshape(topics, -1), bias


def save(path: Path, **arrays: np.ndarray) -> None:
    """An .npz that is there whole or not at all."""
    fresh = path.with_suffix(".new.npz")
    np.savez(fresh, allow_pickle=False, **arrays)
    fresh.replace(path)
