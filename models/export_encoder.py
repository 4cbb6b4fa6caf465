"""Turns an fp32 ONNX export of all-MiniLM-L6-v2 into the small encoder that ships.

The export gives hidden states per token; the shipped graph gives one embedding per text and is
int8. Needs `onnx`, which running the model does not.
"""

import json
import tempfile
from pathlib import Path

from models.topic_model import ENCODER_FILE, TOKENIZER_FILE

WIDTH = 384
POSITIONS = ".model.embeddings.position_embeddings.weight"
SEGMENTS = ".model.embeddings.token_type_embeddings.weight"
CONFIG = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": WIDTH,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "intermediate_size": 1536,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "vocab_size": 30522,
    "pad_token_id": 0,
}


def export_encoder(base: Path, output: Path) -> None:
    """Write model.onnx, tokenizer.json and config.json; the base's tokenizer is at or above it."""
    import onnx

    graph = onnx.load(base)
    _drop_segments(graph.graph)
    _pool(graph.graph)
    _quantise(graph, output / ENCODER_FILE)
    folders = (base.parent, base.parent.parent)
    tokenizer = next(f / TOKENIZER_FILE for f in folders if (f / TOKENIZER_FILE).is_file())
    settings = json.loads(tokenizer.read_text(encoding="utf-8"))
    # Published MiniLM tokenizers pad and cut to 128 tokens.
    settings |= {"padding": None, "truncation": None}
    text = json.dumps(settings, ensure_ascii=False, separators=(",", ":"))
    (output / TOKENIZER_FILE).write_text(text, encoding="utf-8")
    (output / "config.json").write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")


def _drop_segments(graph) -> None:
    """Fold the embedding of segment 0, the only one used, into the positions; drop its input."""
    from onnx import numpy_helper

    tables = {table.name: table for table in graph.initializer}
    positions = numpy_helper.to_array(tables[POSITIONS])
    first_segment = numpy_helper.to_array(tables[SEGMENTS])[0]
    tables[POSITIONS].CopyFrom(numpy_helper.from_array(positions + first_segment, POSITIONS))
    graph.initializer.remove(tables[SEGMENTS])

    lookup = next(node for node in graph.node if "token_type_ids" in node.input)
    addition = next(node for node in graph.node if lookup.output[0] in node.input)
    kept = next(name for name in addition.input if name != lookup.output[0])
    for node in graph.node:
        for position, name in enumerate(node.input):
            if name == addition.output[0]:
                node.input[position] = kept
    for node in (lookup, addition):
        graph.node.remove(node)


def _pool(graph) -> None:
    """Put the mean over the unmasked tokens, scaled to length 1, at the end of the graph."""
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    graph.node.extend(
        [
            helper.make_node("Cast", ["attention_mask"], ["pool_mask"], to=TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["pool_mask", "pool_last"], ["pool_weights"]),
            helper.make_node("Mul", ["last_hidden_state", "pool_weights"], ["pool_kept"]),
            # The mean is a sum divided by a number, which scaling to length 1 takes out again.
            helper.make_node("ReduceSum", ["pool_kept", "pool_tokens"], ["pool_sum"], keepdims=0),
            helper.make_node("LpNormalization", ["pool_sum"], ["embedding"], axis=-1, p=2),
        ]
    )
    for name, axis in (("pool_last", 2), ("pool_tokens", 1)):
        graph.initializer.append(numpy_helper.from_array(np.array([axis]), name))
    del graph.input[:], graph.output[:], graph.value_info[:]
    for name in ("input_ids", "attention_mask"):
        value = helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        graph.input.append(value)
    value = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ("batch", WIDTH))
    graph.output.append(value)


def _quantise(graph, path: Path) -> None:
    """Save with int8 weights per channel; 7 bits, so processors without VNNI do not saturate."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "fp32.onnx"
        onnx.save(graph, source)
        quantize_dynamic(
            source,
            path,
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            # ONNX cannot infer the type behind ONNX Runtime's own attention operator.
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )
