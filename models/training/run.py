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
    JUDGE_DATA_FILE,
    JUDGE_FILE,
    TOKENIZER_FILE,
)
from models.logistic import sigmoid
from models.training import first_stage
from models.training.base import WEIGHTS_FILE, Base, open_base, sha256
from models.training.calibrate import HeldBack, calibrate
from models.training.card import CARD_FILE, Measured, write_card
from models.training.data import (
    TOPICS,
    Corpus,
    Passage,
    TrainingError,
    read_corpus,
    targets,
)
from models.training.encoder import Recipe, Training, predict, say, token_ids
from models.training.export import CONFIG_FILE, export_encoder, export_features
from models.training.files import save
from models.training.folds import link_groups, make_folds, unseen
from models.training.heads import head_of, write_heads
from models.training.judge import JudgeTraining

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
    judge: Path | None = None
    folds: int = 3
    epochs: int = 3
    seed: int = 0
    resume: bool = False


def train(options: Options) -> str:
    """Write the model folder; its card's text. Raises TrainingError."""
    corpus = read_corpus(options.labelled, options.unlabelled)
    work = options.output / CHECKPOINTS
    base = open_base(options.base, work)
    judge = None
    if options.judge:
        larger = open_base(options.judge, work / "judge")
        judge = JudgeTraining(larger, base, options.seed, min(MAX_TOKENS, base.positions))
    key = open_checkpoints(work, options, corpus, base, judge)
    return Run(options, corpus, base, judge, work, key).finish()


def open_checkpoints(
    work: Path, options: Options, corpus: Corpus, base: Base, judge: JudgeTraining | None
) -> str:
    """Begin, or go on if the same arguments began there; a digest of the arguments."""
    arguments = {
        "corpus": corpus.digest(),
        "base": base.sha256,
        "folds": options.folds,
        "recipe": asdict(recipe_of(options)),
        "first stage": asdict(first_stage.Shape()),
    }
    if judge:
        arguments["judge"] = {"base": judge.base.sha256, "recipe": asdict(judge.recipe)}
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

    def __init__(
        self,
        options: Options,
        corpus: Corpus,
        base: Base,
        judge: JudgeTraining | None,
        work: Path,
        key: str,
    ) -> None:
        self.options, self.corpus, self.base, self.work, self.key = options, corpus, base, work, key
        self.judge = judge
        self.files = (*MODEL_FILES, *((JUDGE_FILE, JUDGE_DATA_FILE) if judge else ()))
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
        held = self.held_back()
        stage_tested, stage_unlabelled = self.first_stage(held["raw"], held["unlabelled"])
        head = self.final()
        labels, judge = targets(self.corpus.tested), held.get("judge")
        data = HeldBack(held["shipped"], stage_tested, labels, self.folds, judge)
        found = calibrate(data)
        output, final = self.options.output, self.work / "final"
        (output / HEADS_FILE).unlink(missing_ok=True)
        for name in self.files:
            shutil.copyfile(final / name, output / name)
        sums = {name: sha256(output / name) for name in self.files}
        write_heads(output, found, head, self.base, self.version(), self.max_tokens, sums)
        heads = sha256(output / HEADS_FILE)
        larger = self.judge.base if self.judge else None
        measured = Measured(self.corpus, data, found, stage_unlabelled, held["raw"], larger)
        text = write_card(measured, self.options.seed, self.base, self.version(), output, heads)
        (output / CARD_FILE).write_text(text, encoding="utf-8")
        shutil.rmtree(self.work)
        return text

    def held_back(self) -> dict[str, np.ndarray]:
        """Logits of the tested passages by models that saw nothing of their fold: `raw`, as
        trained, and `shipped`, of the encoder, `judge` of the judge as shipped; and those of the
        `unlabelled` ones by fold 0's encoder."""
        found: dict[str, np.ndarray] = {}
        for fold in range(self.options.folds):
            rows = np.flatnonzero(self.folds == fold)
            path = self.work / f"fold{fold}.npz"
            if not path.is_file():
                self.train_fold(fold, rows, path)
            with np.load(path) as saved:
                for name in set(saved) - {"unlabelled"}:
                    shape = (len(self.corpus.tested), len(TOPICS))
                    found.setdefault(name, np.zeros(shape))[rows] = saved[name]
                if fold == 0:
                    found["unlabelled"] = saved["unlabelled"]
        return found

    def train_fold(self, fold: int, rows: np.ndarray, path: Path) -> None:
        """Train without a fold, and save what its model says of it."""
        tested, folder = self.corpus.tested, self.work / f"fold{fold}"
        test = [tested[row] for row in rows]
        kept = [tested[row] for row in np.flatnonzero(self.folds != fold)]
        passages = [*kept, *self.corpus.written, *unseen(self.corpus.reader, test)]
        ids, found = token_ids(self.tokenizer, test), {}
        model = self.fit(passages, folder)
        if self.judge:
            judge_folder = self.work / f"judge{fold}"
            judge = self.judge.fit(passages, token_ids(self.tokenizer, passages), judge_folder)
            found["judge"] = self.judge.held_back(judge, ids, judge_folder)
            shutil.rmtree(judge_folder)
        say(f"{folder.name}: int8")
        export_encoder(model, self.base.folder, folder, self.max_tokens)
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
            **found,
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
            passages = [*corpus.tested, *corpus.written, *corpus.reader]
            model = self.fit(passages, folder)
            if self.judge:
                ids = token_ids(self.tokenizer, passages)
                judge = self.judge.fit(passages, ids, self.work / "judge")
                self.judge.export(judge, folder)
            export_encoder(model, self.base.folder, folder, self.max_tokens)
            export_features(self.base.folder, folder, self.max_tokens)
            weights, bias = head_of(model)
            save(path, weights=weights, bias=bias)
        with np.load(path) as saved:
            return saved["weights"], saved["bias"]

    def version(self) -> str:
        """Of no release: the digest of the arguments."""
        return f"0+{self.key[:12]}"
