"""What classifying a passage costs, and how well it is done, ours beside what others do.

    python -m benchmarks.classify --mix FILE --labelled FILE [--fp32 FILE.onnx] [--hf MODEL]

--mix is a realistic mix of passages for the cost, --labelled passages with topics for macro-F1,
which is worth what the file is: take one that the model was not trained on. Both are .jsonl with
text and, for --labelled, topics; passages in languages the model does not read, and longer ones
than it takes, are left out.

The first row is the whole encoder in fp32 on every passage: --fp32 names its graph, with the
inputs and the output of the model's own; without it, the row is the model's own graph on every
passage. The rows of the Hugging Face text-classification pipeline need torch. --hf names their
model; without it, it is one of the encoder's shape with random weights, which costs the same
but has no F1.

Cost is CPU time, all threads together, of tokenising and scoring; each way runs on one thread.
The ways take turns, and the figure is the best round of each.
"""

import argparse
import dataclasses
import hashlib
import importlib.util
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models import DEFAULT_MODEL
from models.figures import passage_figures
from models.hf_model import HfModel, load_hf_model
from models.info import ENCODER_FILE, FEATURES_FILE, HEADS_FILE, TOKENIZER_FILE, ModelError
from models.topic_model import TopicModel, load_topic_model
from pipelines.labelled import LabelledText, read_labelled

KEYWORDS = {
    "ceasefire": r"cease-?fire|truce|armistice|cessation of hostilities|peace (deal|plan|talks)",
    "territory": r"territor|annex|occup|border|front line|captured|liberated",
    "sanctions": r"sanction|embargo|price cap|asset freeze|export control",
    "nato": r"\bnato\b|north atlantic|alliance",
}


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to classify; ``hits`` is None where it has no labels of ours."""

    name: str
    score: Callable[[Sequence[str]], Any]
    hits: Callable[[Sequence[str]], np.ndarray] | None


def own_way(name: str, model: TopicModel) -> Way:
    """A model of ours."""
    return Way(name, model.score, lambda texts: model.score(texts) >= model.info.thresholds)


def keyword_way(topics: Sequence[str]) -> Way:
    """A list of words for each topic."""
    patterns = [
        re.compile(KEYWORDS.get(topic, re.escape(topic)), re.IGNORECASE) for topic in topics
    ]

    def hits(texts: Sequence[str]) -> np.ndarray:
        return np.array([[bool(p.search(text)) for p in patterns] for text in texts])

    return Way("keyword list", hits, hits)


def whole_model(model: Path, fp32: Path | None, folder: Path) -> TopicModel:
    """The encoder alone, on the graph in ``fp32`` where there is one."""
    graph = fp32 or model / ENCODER_FILE
    heads = json.loads((model / HEADS_FILE).read_text(encoding="utf-8"))
    heads.pop("first_stage", None)
    heads.pop("judge", None)
    heads["sha256"].pop(FEATURES_FILE, None)
    heads["sha256"][ENCODER_FILE] = hashlib.sha256(graph.read_bytes()).hexdigest()
    (folder / HEADS_FILE).write_text(json.dumps(heads), encoding="utf-8")
    shutil.copy(graph, folder / ENCODER_FILE)
    shutil.copy(model / TOKENIZER_FILE, folder)
    return load_topic_model(folder)


def random_classifier(model: Path, labels: int, folder: Path) -> Path:
    """Saves a Hugging Face classifier of the encoder's shape, with random weights."""
    import transformers

    config = transformers.AutoConfig.from_pretrained(model, num_labels=labels)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(model / TOKENIZER_FILE),
        **{f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")},
    )
    tokenizer.save_pretrained(folder)
    return folder


def hf_ways(model: Path, hf: str | None, topics: Sequence[str], folder: Path) -> list[Way]:
    """The text-classification pipeline of transformers, at batches of 1 and of 32."""
    if not (importlib.util.find_spec("torch") and importlib.util.find_spec("transformers")):
        print("no rows of the Hugging Face pipeline: torch is not installed", file=sys.stderr)
        return []
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    location = hf or str(random_classifier(model, len(topics), folder))
    pipeline = transformers.pipeline("text-classification", model=location, device="cpu")
    # The labels of random weights would mean nothing.
    loaded = load_hf_model(location, tuple((topic, "") for topic in topics)) if hf else None
    return [hf_way(pipeline, loaded, batch) for batch in (1, 32)]


def hf_way(pipeline: Any, loaded: HfModel | None, batch: int) -> Way:
    """One batch size of the pipeline."""

    def score(texts: Sequence[str]) -> Any:
        return pipeline(list(texts), batch_size=batch, top_k=None)

    hits = None if loaded is None else (lambda texts: loaded.score(texts) >= 0.5)
    return Way(f"Hugging Face pipeline, batch {batch}", score, hits)


def read_mix(path: Path, model: TopicModel, limit: int) -> list[str]:
    """At most ``limit`` passages of a mix that the model reads, spread over the file."""
    with path.open(encoding="utf-8") as file:
        rows = [row for row in map(json.loads, file) if row.get("lang", "en") in model.languages]
    step = max(1, len(rows) // limit)
    return [row["text"] for row in rows[::step] if model.fits(row["text"])][:limit]


def cpu_ms(ways: Sequence[Way], texts: Sequence[str], rounds: int) -> list[float]:
    """CPU milliseconds a passage of each way, its best round."""
    best = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            start = time.process_time()
            way.score(texts)
            best[number] = min(best[number], (time.process_time() - start) / len(texts) * 1e3)
    return best


def macro_f1(way: Way, topics: tuple[str, ...], labelled: Sequence[LabelledText]) -> float | None:
    """The macro-F1 of a way over labelled passages."""
    if way.hits is None:
        return None
    hits = way.hits([one.text for one in labelled])
    labels = np.array([[topic in one.topics for topic in topics] for one in labelled])
    return passage_figures(topics, labels, hits, hits.astype(float)).macro_f1


def table_lines(ways: Sequence[Way], costs: Sequence[float], scores: Sequence) -> list[str]:
    """The table; the last column compares with the first row."""
    lines = [f"{'way':<38}  CPU ms a passage  macro-F1  times cheaper"]
    for way, cost, score in zip(ways, costs, scores, strict=True):
        f1 = "-" if score is None else f"{score:.4f}"
        lines.append(f"{way.name:<38}  {cost:16.3f}  {f1:>8}  {costs[0] / cost:13.1f}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mix", type=Path, required=True)
    parser.add_argument("--labelled", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=DEFAULT_MODEL)
    parser.add_argument("--fp32", type=Path)
    parser.add_argument("--hf")
    parser.add_argument("--limit", type=int, default=500, help="passages of the mix; default: 500")
    parser.add_argument("--rounds", type=int, default=2)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        full, random = Path(folder, "full"), Path(folder, "random")
        full.mkdir()
        try:
            model = load_topic_model(flags.model)
            graph = "fp32" if flags.fp32 else "its own"
            ways = [
                own_way(f"the encoder on all, {graph}", whole_model(flags.model, flags.fp32, full)),
                own_way("ours", model),
                *hf_ways(flags.model, flags.hf, model.topics, random),
                keyword_way(model.topics),
            ]
        except ModelError as error:
            sys.exit(f"model: {error}")
        texts = read_mix(flags.mix, model, flags.limit)
        labelled = [
            one
            for one in read_labelled(flags.labelled, model.topics)
            if (one.lang or "en") in model.languages and model.fits(one.text)
        ]
        costs = cpu_ms(ways, texts, flags.rounds)
        decision = model.decide(texts)
        reached, judged = 1 - float(decision.stopped.mean()), float(decision.judged.mean())
        scores = [macro_f1(way, model.topics, labelled) for way in ways]
    print(f"{len(texts):,} passages of the mix, {reached:.1%} reach the encoder, ", end="")
    print(f"{judged:.1%} the judge")
    print(f"{len(labelled):,} labelled passages\n")
    print("\n".join(table_lines(ways, costs, scores)))


if __name__ == "__main__":
    main()
