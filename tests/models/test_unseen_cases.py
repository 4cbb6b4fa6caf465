"""Cases by another hand, which had seen neither our training set nor the hard cases.

Half of them are off topic, most of these with a topic's own words in another sense.
"""

import json
from pathlib import Path

import numpy as np

from models import DEFAULT_MODEL
from models.figures import passage_figures
from models.topic_model import load_topic_model
from models.training.folds import SHARE, shingles

CASES = Path(__file__).parents[1] / "data" / "unseen_cases.jsonl"
MODELS = Path(__file__).parents[2] / "models"


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_model_does_as_well_as_its_card_says() -> None:
    model, cases = load_topic_model(DEFAULT_MODEL), read(CASES)
    scores = model.score([case["text"] for case in cases])
    labels = np.array([[topic in case["topics"] for topic in model.topics] for case in cases])
    found = passage_figures(model.topics, labels, scores >= model.info.thresholds, scores)
    assert found.macro_f1 is not None and found.off_topic_hit is not None
    assert found.macro_f1 >= 0.94
    assert found.off_topic_hit <= 0.06
    assert all(one.f1 is not None and one.f1 >= 0.9 for one in found.topics.values())


def test_no_case_resembles_a_passage_of_our_training_set() -> None:
    ours = [shingles(row["text"]) for path in MODELS.glob("*passages.jsonl") for row in read(path)]
    for case in read(CASES):
        grams = shingles(case["text"])
        shared = max(len(grams & other) / min(len(grams), len(other)) for other in ours)
        assert shared < SHARE, case["text"]
