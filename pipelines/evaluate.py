"""``wirewatch topics evaluate``: how well the model does on labelled passages."""

import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from configs.settings import UserError
from models.figures import Figures, TopicFigures, passage_figures
from pipelines.arguments import Parser
from pipelines.labelled import LabelledText, read_labelled
from pipelines.policy import open_model, read_policy
from schemas.records import TopicScores
from transforms.classify import TopicPolicy, label_passages
from transforms.identify import identify_language
from transforms.language import passage_language

CHUNK = 64


def evaluate(arguments: list[str]) -> int:
    """Prints figures over a labelled file."""
    parser = Parser("topics evaluate")
    parser.add_argument("file", metavar="FILE", type=Path, help="labelled passages: .jsonl or .tsv")
    parser.add_argument("--model", help="a model in place of the configuration's")
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    parser.add_argument(
        "--predictions", type=Path, metavar="OUT.jsonl", help="write each text's scores there"
    )
    flags = parser.parse_args(arguments)
    policy, config = read_policy(flags.config, flags.model)
    topics = tuple(topic for topic, _ in policy.thresholds)
    passages = read_labelled(flags.file, topics)
    languages = [passage.lang or identify_language(passage.text) for passage in passages]
    results = predict(policy, passages, languages)
    if flags.predictions:
        write_predictions(flags.predictions, passages, languages, results)
    report = make_report(policy, topics, passages, languages, results) | {"config": str(config)}
    print(json.dumps(report, indent=2) if flags.json else "\n".join(report_lines(report)))
    return 0


def predict(
    policy: TopicPolicy, passages: Sequence[LabelledText], languages: Sequence[str | None]
) -> list[TopicScores]:
    """The model's results for the passages, with its progress on standard error."""
    model, results = open_model(policy), []
    pairs = [(passage.text, lang) for passage, lang in zip(passages, languages, strict=True)]
    for start in range(0, len(pairs), CHUNK):
        results += label_passages(model, policy, pairs[start : start + CHUNK], whole=False)
        if sys.stderr.isatty():
            print(f"\r{len(results):,} of {len(pairs):,} passages", end="", file=sys.stderr)
    if sys.stderr.isatty():
        print(file=sys.stderr)
    return results


def make_report(
    policy: TopicPolicy,
    topics: tuple[str, ...],
    passages: Sequence[LabelledText],
    languages: Sequence[str | None],
    results: Sequence[TopicScores],
) -> dict[str, Any]:
    """The figures as ``--json`` prints them.

    Passages in a language the model does not read have no prediction: they are counted as
    unsupported and left out of every figure.
    """
    pairs = zip(passages, languages, strict=True)
    names = np.array([passage_language(p.text, lang) or "unknown" for p, lang in pairs])
    read = np.array([result.topics is not None for result in results])
    labels = np.array([[topic in p.topics for topic in topics] for p in passages])
    hits = np.array([[topic in (r.topics or ()) for topic in topics] for r in results])
    scores = np.array([[dict(r.scores or ()).get(t, 0.0) for t in topics] for r in results])

    def figures(rows: np.ndarray) -> Figures:
        return passage_figures(topics, labels[rows], hits[rows], scores[rows])

    def of_rows(rows: np.ndarray) -> dict[str, Any]:
        own = figures(read & rows)
        counts = {"passages": int(rows.sum()), "unsupported": int((~read & rows).sum())}
        return {**counts, "macro_f1": own.macro_f1, "off_topic_hit": own.off_topic_hit}

    overall = figures(read)
    return {
        "macro_f1": overall.macro_f1,
        "topics": {name: dataclasses.asdict(one) for name, one in overall.topics.items()},
        "off_topic_hit": overall.off_topic_hit,
        "by_lang": {str(name): of_rows(names == name) for name in np.unique(names)},
        "model": policy.label,
        "passages": len(passages),
        "unsupported": int((~read).sum()),
        "thresholds": dict(policy.thresholds),
    }


def report_lines(report: dict[str, Any]) -> list[str]:
    """The figures as lines of plain text."""
    width = max(len(name) for name in (*report["topics"], *report["by_lang"], "macro-F1"))
    lines = [
        f"{report['passages']:,} passages, model {report['model']}, settings {report['config']}",
        *unread_lines(report),
        "",
        f"{'topic':<{width}}  precision  recall     F1  support  calibration error",
    ]
    for name, values in report["topics"].items():
        one = TopicFigures(**values)
        # Neither in the labels nor found: a ratio of nothing to nothing.
        ratios = (None, None) if one.f1 is None else (one.precision, one.recall)
        precision, recall = map(shown, ratios)
        lines.append(
            f"{name:<{width}}  {precision:>9}  {recall:>6}  {shown(one.f1)}  "
            f"{one.support:7,}  {one.ece:17.3f}"
        )
    lines += [
        f"{'macro-F1':<{width}}  {'':9}  {'':6}  {shown(report['macro_f1'])}",
        *unlabelled_lines(report),
        "",
        f"off-topic passages given a topic: {shown(report['off_topic_hit']).strip()}",
        "",
        f"{'language':<{width}}  passages  unsupported  macro-F1  off-topic hit",
    ]
    for name, one in report["by_lang"].items():
        lines.append(
            f"{name:<{width}}  {one['passages']:8,}  {one['unsupported']:11,}  "
            f"{shown(one['macro_f1']):>8}  {shown(one['off_topic_hit']):>13}"
        )
    return lines


def unread_lines(report: dict[str, Any]) -> list[str]:
    """How many passages are in no figure."""
    number = report["unsupported"]
    return [f"{number:,} of them in languages it does not read, left out below"] if number else []


def unlabelled_lines(report: dict[str, Any]) -> list[str]:
    """Which topics were found though no label has them, for these pull macro-F1 down."""
    found = [n for n, one in report["topics"].items() if not one["support"] and one["f1"] == 0]
    if not found:
        return []
    return [f"no label has {', '.join(found)}, found all the same: F1 0 in macro-F1"]


def shown(figure: float | None) -> str:
    """A share with three decimals; a dash where there is none."""
    return "    -" if figure is None else f"{figure:5.3f}"


def write_predictions(
    path: Path,
    passages: Sequence[LabelledText],
    languages: Sequence[str | None],
    results: Sequence[TopicScores],
) -> None:
    """Writes one object a text: text, lang, expected and found topics, scores. Raises UserError."""
    try:
        with path.open("w", encoding="utf-8") as file:
            for passage, lang, result in zip(passages, languages, results, strict=True):
                row = {
                    "text": passage.text,
                    "lang": lang,
                    "expected": passage.topics,
                    "topics": result.topics,
                    "scores": None if result.scores is None else dict(result.scores),
                }
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from error
