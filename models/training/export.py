"""A trained encoder to the files of a model folder: ONNX int8, tokenizer, configuration."""

import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoModel

from models.info import ENCODER_FILE, FEATURES_FILE, TOKENIZER_FILE
from models.training.data import TOPICS
from models.training.encoder import TopicEncoder

CONFIG_FILE = "config.json"


class Pooled(nn.Module):
    """The trunk and the topics' attention, without the heads."""

    def __init__(self, model: TopicEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Embeddings [n, topics * width], topic by topic."""
        return self.model.embed(input_ids, attention_mask).flatten(1)


class Mean(nn.Module):
    """The base as it was published, with the mean over the tokens."""

    def __init__(self, base: Path) -> None:
        super().__init__()
        self.trunk = AutoModel.from_pretrained(base)
        self.trunk.pooler = None

    def forward(self, input_ids: Any, attention_mask: Any) -> Any:
        """Embeddings [n, width]."""
        found = self.trunk(input_ids=input_ids, attention_mask=attention_mask)
        kept = attention_mask.unsqueeze(-1).float()
        return (found.last_hidden_state * kept).sum(1) / kept.sum(1)


def export_encoder(model: TopicEncoder, base: Path, folder: Path, max_tokens: int) -> None:
    """Write model.onnx, tokenizer.json and config.json."""
    config = model.trunk.config
    # The second matrices of the feed-forward layers lose most by int8; the attention is small.
    kept = {(config.intermediate_size, config.hidden_size), (config.hidden_size, len(TOPICS))}
    write_graph(Pooled(model), folder / ENCODER_FILE, max_tokens, kept)
    tokenizer = Tokenizer.from_file(str(base / TOKENIZER_FILE))
    # Published tokenizers pad and cut to a length of their own.
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(folder / TOKENIZER_FILE))
    shutil.copyfile(base / CONFIG_FILE, folder / CONFIG_FILE)


def export_features(base: Path, folder: Path, max_tokens: int) -> None:
    """Write features.onnx, on whose embeddings the heads of custom topics are fitted."""
    write_graph(Mean(base), folder / FEATURES_FILE, max_tokens, set())


def write_graph(module: nn.Module, path: Path, max_tokens: int, kept: set[tuple[int, int]]) -> None:
    """A graph from input_ids and attention_mask to an embedding; see `quantise`."""
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "fp32.onnx"
        write_fp32(module, plain, max_tokens)
        quantise(plain, path, kept)


def write_fp32(module: nn.Module, path: Path, max_tokens: int, output: str = "embedding") -> None:
    """The graph with fp32 weights: input_ids, attention_mask to embedding, or to `output`."""
    ids = torch.ones((3, min(17, max_tokens)), dtype=torch.long)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    sizes = {
        0: torch.export.Dim("rows", min=1, max=1024),
        1: torch.export.Dim("tokens", min=2, max=max_tokens),
    }
    program = torch.onnx.export(
        module.eval(),
        (ids, mask),
        input_names=["input_ids", "attention_mask"],
        output_names=[output],
        dynamic_shapes={"input_ids": sizes, "attention_mask": sizes},
        dynamo=True,
        opset_version=18,
        verbose=False,
    )
    program.optimize()
    program.save(str(path), external_data=False)


def quantise_blocks(source: Path, target: Path, shapes: set[tuple[int, int]]) -> None:
    """int8 with a scale for each 128 weights of a column, only for the matrices of `shapes`.

    Both factors keep a scale for each block, so that one large value spoils no whole product:
    nearer to fp32 than `quantise`, and two to three times as slow.
    """
    import onnx

    # The library would set the level to INFO for everybody.
    logging.basicConfig(level=logging.WARNING)
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    plain = onnx.load(source)
    chosen = set(products(plain.graph, shapes))
    others = [node.name for node in plain.graph.node if node.name not in chosen]
    work = MatMulNBitsQuantizer(
        plain,
        bits=8,
        block_size=128,
        is_symmetric=True,
        # The factor that is not a weight in int8 as well.
        accuracy_level=4,
        nodes_to_exclude=others,
    )
    work.process()
    work.model.save_model_to_file(str(target), False)


def products(graph: Any, shapes: set[tuple[int, int]]) -> list[str]:
    """Names of the nodes that multiply by a matrix of one of the shapes."""
    known = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and any(known.get(name) in shapes for name in node.input)
    ]


def quantise(source: Path, target: Path, kept: set[tuple[int, int]]) -> None:
    """Dynamic int8 per channel, but for the matrices of the shapes in `kept`.

    Seven bits, so that processors without VNNI do not saturate.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    skipped = products(onnx.load(source).graph, kept)
    quantize_dynamic(
        str(source),
        str(target),
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["MatMul", "Gemm", "Gather"],
        nodes_to_exclude=skipped,
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "MatMulConstBOnly": True},
    )
    # The exporter notes the stack behind each node, with paths of the machine it ran on.
    made = onnx.load(target)
    for part in (made, made.graph, *made.graph.node, *made.graph.value_info):
        del part.metadata_props[:]
        part.doc_string = ""
    onnx.save(made, str(target))
