"""What a model folder says of itself: heads.json, read and checked.

heads.json holds name, version, base, licence, languages, max_tokens, `sha256` of the other
files, and one object a topic:

    "topics": {"nato": {"weights": [...], "bias": -1.2, "threshold": 0.4,
                        "platt": {"a": 0.9, "b": 0.1}}}

`platt` is optional: the probability is then sigmoid(a * logit + b) (Platt, 1999), and the
threshold counts on it. `first_stage` and `judge` are optional as well; see models/first_stage.py
and models/judge.py. So is features.onnx: where `sha256` names it, custom topics are fitted on its
embeddings and not on the encoder's, which know little of anything but the model's own topics.
Nothing here loads numpy or onnxruntime.
"""

import functools
import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ENCODER_FILE = "model.onnx"
TOKENIZER_FILE = "tokenizer.json"
HEADS_FILE = "heads.json"
FIRST_STAGE_FILE = "first_stage.onnx"
FEATURES_FILE = "features.onnx"
JUDGE_FILE = "judge.onnx"
JUDGE_DATA_FILE = "judge.data"
# A calibration that changes nothing.
PLAIN = {"a": 1.0, "b": 0.0}


class ModelError(ValueError):
    """A model cannot be used; the one-line message names the file and what is wrong."""

    def __init__(self, path: Path | str, problem: object) -> None:
        super().__init__(" ".join(f"{path}: {problem}".split()))


@dataclass(frozen=True, slots=True)
class TopicHead:
    """One topic's head: sigmoid(embedding . weights + bias), a hit from `threshold` up."""

    topic: str
    weights: tuple[float, ...]
    bias: float
    threshold: float


@dataclass(frozen=True, slots=True)
class StageInfo:
    """The first stage as heads.json states it; `curves` gives a and b in the heads' order."""

    threshold: float
    curves: tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class JudgeInfo:
    """The judge as heads.json states it: it decides what the encoder puts between low and high.

    `shares` gives the weights of judge and encoder, and the bias, in the heads' order.
    """

    low: float
    high: float
    shares: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What heads.json says of a model; `heads` gives the order of the columns of a score.

    `digest` is the SHA-256 of heads.json, which names those of the other files.
    """

    name: str
    version: str
    base: str
    licence: str
    languages: tuple[str, ...]
    max_tokens: int
    heads: tuple[TopicHead, ...]
    sha256: dict[str, str]
    first_stage: StageInfo | None
    judge: JudgeInfo | None
    digest: str

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(head.topic for head in self.heads)

    @property
    def thresholds(self) -> tuple[float, ...]:
        return tuple(head.threshold for head in self.heads)

    @property
    def width(self) -> int:
        return len(self.heads[0].weights)

    @property
    def features_file(self) -> str:
        """The graph on whose embeddings custom topics are fitted."""
        return FEATURES_FILE if FEATURES_FILE in self.sha256 else ENCODER_FILE

    @property
    def files(self) -> tuple[str, ...]:
        """The files it is made of beside heads.json."""
        return _files(self.sha256, self.first_stage is not None, self.judge is not None)

    @property
    def encoder_id(self) -> str:
        """The SHA-256 of features and tokenizer together: what a custom head depends on."""
        both = self.sha256[self.features_file] + self.sha256[TOKENIZER_FILE]
        return hashlib.sha256(both.encode()).hexdigest()


def read_model_info(directory: Path | str, check_files: bool = True) -> ModelInfo:
    """Read and validate heads.json and, unless told not to, the checksums of the other files.

    Loads neither numpy nor onnxruntime. Raises ModelError.
    """
    directory = Path(directory)
    path = directory / HEADS_FILE
    try:
        content = path.read_bytes()
        info = _parse_info(json.loads(content.decode("utf-8")), hashlib.sha256(content).hexdigest())
    except FileNotFoundError:
        raise ModelError(path, "file is missing") from None
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(path, error) from error
    if check_files:
        for name in info.files:
            _check_file(directory / name, info.sha256[name])
    return info


def _check_file(path: Path, expected: str) -> None:
    try:
        state = path.stat()
        actual = _digest(path, state.st_mtime_ns, state.st_size)
    except FileNotFoundError:
        raise ModelError(path, "file is missing") from None
    except OSError as error:
        raise ModelError(path, error) from error
    if actual != expected:
        raise ModelError(path, f"sha256 is {actual}, {HEADS_FILE} says {expected}")


@functools.lru_cache(maxsize=16)
def _digest(path: Path, mtime_ns: int, size: int) -> str:
    """The SHA-256 of a file, read once for as long as it stays as it is."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse_info(data: Any, digest: str) -> ModelInfo:
    """Check the content of heads.json; raises ValueError or TypeError that says what is wrong."""
    topics = field(data, "topics", dict)
    heads = tuple(_parse_head(topic, topics[topic]) for topic in topics)
    if not heads:
        raise ValueError("'topics' is empty")
    if len({len(head.weights) for head in heads}) != 1:
        raise ValueError("topics differ in their number of weights")
    languages = field(data, "languages", list)
    if not all(isinstance(language, str) for language in languages):
        raise TypeError("'languages' is not a list of strings")
    max_tokens = field(data, "max_tokens", int)
    if max_tokens < 3:
        raise ValueError(f"'max_tokens' is {max_tokens}, which leaves no room for text")
    stage, judge = data.get("first_stage"), data.get("judge")
    sha256 = field(data, "sha256", dict)
    for name in _files(sha256, stage is not None, judge is not None):
        field(sha256, name, str)
    name, version, base, licence = (
        field(data, key, str) for key in ("name", "version", "base", "licence")
    )
    return ModelInfo(
        name,
        version,
        base,
        licence,
        tuple(languages),
        max_tokens,
        heads,
        sha256,
        None if stage is None else _parse_stage(stage, heads),
        None if judge is None else _parse_judge(judge, heads),
        digest,
    )


def _files(sha256: dict[str, str], has_stage: bool, has_judge: bool) -> tuple[str, ...]:
    """The files that a model needs, and those of the optional ones that it names."""
    needed = [ENCODER_FILE, TOKENIZER_FILE]
    needed += [FIRST_STAGE_FILE] if has_stage else []
    needed += [JUDGE_FILE] if has_judge else []
    optional = [FEATURES_FILE, *([JUDGE_DATA_FILE] if has_judge else [])]
    return (*needed, *(name for name in optional if name in sha256))


def _parse_head(topic: str, data: Any) -> TopicHead:
    weights = field(data, "weights", list)
    bias, threshold = (field(data, key, float) for key in ("bias", "threshold"))
    if not weights or not all(isinstance(n, float) and math.isfinite(n) for n in (*weights, bias)):
        raise ValueError(f"topic {topic!r}: weights and bias must be finite numbers")
    if not 0 < threshold < 1:
        raise ValueError(f"topic {topic!r}: threshold {threshold} is not between 0 and 1")
    a, b = _platt(topic, data.get("platt", PLAIN))
    return TopicHead(topic, tuple(a * weight for weight in weights), a * bias + b, threshold)


def _platt(topic: str, data: Any) -> tuple[float, float]:
    """Slope and intercept of a calibration; the slope is positive, lest it turn the order."""
    a, b = (field(data, key, float) for key in ("a", "b"))
    if not (a > 0 and math.isfinite(a) and math.isfinite(b)):
        raise ValueError(f"topic {topic!r}: calibration a={a}, b={b}: a must be positive")
    return a, b


def _parse_stage(data: Any, heads: tuple[TopicHead, ...]) -> StageInfo:
    threshold = field(data, "threshold", float)
    if not math.isfinite(threshold):
        raise ValueError(f"'first_stage': threshold {threshold} is not a number")
    platt = data.get("platt", {head.topic: PLAIN for head in heads})
    curves = tuple(_platt(head.topic, field(platt, head.topic, dict)) for head in heads)
    for head, (a, b) in zip(heads, curves, strict=True):
        if a * threshold + b > math.log(head.threshold / (1 - head.threshold)):
            raise ValueError(f"'first_stage': it would stop passages that it finds {head.topic!r}")
    return StageInfo(threshold, curves)


def _parse_judge(data: Any, heads: tuple[TopicHead, ...]) -> JudgeInfo:
    low, high = (field(data, key, float) for key in ("low", "high"))
    if not 0 <= low < high <= 1:
        raise ValueError(f"'judge': {low} to {high} are not probabilities in this order")
    topics = field(data, "topics", dict)
    return JudgeInfo(low, high, tuple(_parse_share(head.topic, topics) for head in heads))


def _parse_share(topic: str, topics: dict[str, Any]) -> tuple[float, float, float]:
    """Neither weight may be negative, lest more of a topic count as less."""
    keys = ("judge", "encoder", "bias")
    judge, encoder, bias = (field(field(topics, topic, dict), key, float) for key in keys)
    if not all(map(math.isfinite, (judge, encoder, bias))) or min(judge, encoder) < 0:
        raise ValueError(f"'judge': topic {topic!r}: weights must be numbers from 0 up")
    return judge, encoder, bias


def field(data: Any, key: str, kind: type) -> Any:
    """A value of a JSON object; raises TypeError where it is missing or of another type."""
    if not isinstance(data, dict):
        raise TypeError(f"expected an object with {key!r}")
    if not isinstance(data.get(key), kind):
        raise TypeError(f"{key!r} is missing or not of type {kind.__name__}")
    return data[key]
