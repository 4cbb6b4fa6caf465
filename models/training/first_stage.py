"""The first stage: one convolution over word pieces, taught by the encoder's probabilities.

Its word embeddings start as the principal components of the encoder's, which the fine-tuning
leaves as they are in the base, and ship as int8.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.training.data import TOPICS
from models.training.encoder import Ids, pad

# Passages that are sorted by length together.
SORTED = 2048


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes and training; the defaults are those of the shipped model."""

    width: int = 64
    channels: int = 160
    span: int = 3
    epochs: int = 10
    batch: int = 64
    rate: float = 2e-3
    positive_weight: float = 4.0
    seed: int = 0


def principal(weight: Any, width: int) -> Any:
    """Word embeddings on their first principal components, with a deviation of 0.5."""
    torch.manual_seed(0)
    centred = weight - weight.mean(0)
    width = min(width, *weight.shape)
    _, _, axes = torch.pca_lowrank(centred, q=width, center=False, niter=4)
    low = centred @ axes
    return low / low.std() * 0.5


class Scanner(nn.Module):
    """Embedding, convolution, largest and mean over the tokens, one linear layer."""

    def __init__(self, start: Any, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(start.clone(), freeze=False)
        self.convolution = nn.Conv1d(
            start.shape[1], shape.channels, shape.span, padding=shape.span // 2
        )
        self.out = nn.Linear(2 * shape.channels, len(TOPICS))
        self.drop = nn.Dropout(0.2)
        nn.init.constant_(self.out.bias, -3.0)

    def forward(self, ids: Any, mask: Any) -> Any:
        """Scores [n, topics]."""
        mask = mask.float()
        rows = self.drop(self.embedding(ids)) * mask[..., None]
        hidden = torch.relu(self.convolution(rows.transpose(1, 2))) * mask[:, None]
        mean = hidden.sum(2) / mask.sum(1, keepdim=True)
        return self.out(self.drop(torch.cat([hidden.max(2).values, mean], 1)))


def fit(start: Any, ids: Ids, soft: np.ndarray, shape: Shape) -> Scanner:
    """Train on probabilities [n, topics]."""
    torch.manual_seed(shape.seed)
    draw = np.random.default_rng(shape.seed)
    net, wanted = Scanner(start, shape), torch.tensor(soft, dtype=torch.float32)
    lengths = np.array([len(row) for row in ids])
    optimizer = torch.optim.AdamW(net.parameters(), lr=shape.rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, shape.rate, total_steps=shape.epochs * (len(ids) // shape.batch + 2)
    )
    positive = torch.tensor(shape.positive_weight)
    for _ in range(shape.epochs):
        pools = np.array_split(draw.permutation(len(ids)), max(1, len(ids) // SORTED))
        order = np.concatenate([pool[np.argsort(lengths[pool])] for pool in pools])
        parts = np.array_split(order, len(ids) // shape.batch + 1)
        for part in draw.permutation(len(parts)):
            scores = net(*pad([ids[i] for i in parts[part]]))
            loss = nn.functional.binary_cross_entropy_with_logits(
                scores, wanted[parts[part]], pos_weight=positive
            )
            loss.backward()
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    return net.eval()


@torch.no_grad()
def score(net: Scanner, ids: Ids, batch: int = 128) -> np.ndarray:
    """Scores, float32 [n, topics]."""
    order = np.argsort([len(row) for row in ids], kind="stable")
    found = np.zeros((len(ids), len(TOPICS)), np.float32)
    for start in range(0, len(order), batch):
        part = order[start : start + batch]
        found[part] = net(*pad([ids[i] for i in part])).numpy()
    return found


def write_graph(net: Scanner, path: Path) -> None:
    """first_stage.onnx: input_ids, attention_mask to score; embeddings int8, a scale a row."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    state = {name: value.detach().numpy() for name, value in net.state_dict().items()}
    table = state["embedding.weight"]
    scale = np.abs(table).max(1, keepdims=True) / 127 + 1e-12
    constants = {
        "table": np.round(table / scale).astype(np.int8),
        "scale": scale.astype(np.float32),
        "conv_w": state["convolution.weight"],
        "conv_b": state["convolution.bias"],
        "out_w": state["out.weight"],
        "out_b": state["out.bias"],
        "axis1": np.array([1]),
        "axis2": np.array([2]),
    }
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["rows", len(TOPICS)])
    nodes = _nodes(state["convolution.weight"].shape[2] // 2)
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "first_stage", inputs, [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _nodes(side: int) -> list[Any]:
    """The graph's operations; `side` is the padding of the convolution."""
    from onnx import TensorProto, helper

    node = helper.make_node
    return [
        node("Gather", ["table", "input_ids"], ["rows8"]),
        node("Cast", ["rows8"], ["rowsf"], to=TensorProto.FLOAT),
        node("Gather", ["scale", "input_ids"], ["scales"]),
        node("Mul", ["rowsf", "scales"], ["rows"]),
        node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        node("Unsqueeze", ["mask", "axis2"], ["mask3"]),
        node("Mul", ["rows", "mask3"], ["kept"]),
        node("Transpose", ["kept"], ["turned"], perm=[0, 2, 1]),
        node("Conv", ["turned", "conv_w", "conv_b"], ["conv"], pads=[side, side]),
        node("Relu", ["conv"], ["relu"]),
        node("Unsqueeze", ["mask", "axis1"], ["mask1"]),
        node("Mul", ["relu", "mask1"], ["hidden"]),
        node("ReduceMax", ["hidden", "axis2"], ["most"], keepdims=0),
        node("ReduceSum", ["hidden", "axis2"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "axis1"], ["count"], keepdims=1),
        node("Div", ["sum", "count"], ["mean"]),
        node("Concat", ["most", "mean"], ["pooled"], axis=1),
        node("Gemm", ["pooled", "out_w", "out_b"], ["score"], transB=1),
    ]
