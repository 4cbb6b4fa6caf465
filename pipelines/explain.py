"""``wirewatch explain``: why the model gives a text the topics it gives."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from configs.settings import UserError
from models.interface import PassageModel
from pipelines.arguments import Parser
from pipelines.policy import open_model, read_policy
from transforms.classify import TopicPolicy, reads, text_windows
from transforms.identify import identify_language


def explain(arguments: list[str]) -> int:
    """Prints a text's scores, the thresholds, and which stage decided."""
    parser = Parser("explain")
    parser.add_argument("text", metavar="TEXT")
    parser.add_argument("--model", help="a model in place of the configuration's")
    parser.add_argument("--config", type=Path, help="default: configs/monitor.yaml")
    parser.add_argument("--json", action="store_true", help="print it as JSON")
    flags = parser.parse_args(arguments)
    if not flags.text.strip():
        raise UserError("explain: the text is empty")
    policy, config = read_policy(flags.config, flags.model)
    found = explanation(open_model(policy), policy, flags.text) | {"config": str(config)}
    print(json.dumps(found, indent=2) if flags.json else "\n".join(explanation_lines(found)))
    return 0


def explanation(model: PassageModel, policy: TopicPolicy, text: str) -> dict[str, Any]:
    """What the model makes of a text, as ``--json`` prints it.

    A text in a language that the model does not read gets no scores, as in the lake.
    """
    lang = identify_language(text)
    thresholds = dict(policy.thresholds)
    found: dict[str, Any] = {"model": policy.label, "lang": lang, "read": reads(model, lang)}
    if not found["read"]:
        return {**found, "languages": model.languages, "topics": None, "scores": None}
    windows = text_windows(text, model.fits)
    decision = model.decide(windows)
    best = dict(zip(model.topics, decision.scores.max(axis=0).tolist(), strict=True))
    # A long text is decided by the last stage that one of its windows reached.
    stage = "first stage" if decision.stopped.all() else "encoder"
    stage = "judge" if decision.judged.any() else stage
    gate = None if decision.gate is None else float(np.max(decision.gate))
    return {
        **found,
        "stage": stage,
        "fitted": [head.topic for head in policy.model.custom],
        "first_stage_score": gate,
        "first_stage_threshold": decision.least,
        "windows": len(windows),
        "topics": [topic for topic, least in thresholds.items() if best[topic] >= least],
        "scores": {topic: best[topic] for topic in thresholds},
        "thresholds": thresholds,
    }


def explanation_lines(found: dict[str, Any]) -> list[str]:
    """An explanation as lines of plain text."""
    lines = [
        f"model     {found['model']}",
        f"settings  {found['config']}",
        f"language  {found['lang'] or 'too short to tell'}",
    ]
    if not found["read"]:
        known = ", ".join(found["languages"])
        return [*lines, f"topics    null: the model reads {known} only"]
    gate, least = found["first_stage_score"], found["first_stage_threshold"]
    why = "there is no first stage, or it is not in use"
    if gate is not None:
        stage = "it" if found["stage"] == "first stage" else "the first stage"
        why = f"{stage} scored {gate:.2f}; from {least:.2f} the encoder decides"
    if found["stage"] == "judge":
        scored = "" if gate is None else f"; the first stage scored {gate:.2f}"
        why = f"a larger encoder, for the encoder was unsure{scored}"
    lines.append(f"decided   by the {found['stage']} ({why})")
    if found["fitted"]:
        lines.append(f"fitted    {', '.join(found['fitted'])}: each by its own head in any case")
    if found["windows"] > 1:
        lines.append(f"windows   {found['windows']}: longer than the model takes; the best counts")
    width = max(map(len, found["scores"]))
    lines += ["", f"{'topic':<{width}}  score  threshold"]
    for topic, score in found["scores"].items():
        hit = "  hit" if topic in found["topics"] else ""
        lines.append(f"{topic:<{width}}  {score:5.3f}  {found['thresholds'][topic]:9.3f}{hit}")
    return lines
