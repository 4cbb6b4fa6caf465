"""Makes tests/data/first_stage.onnx: a first stage that knows one word a topic. Needs onnx.

python -m tests.models.first_stage_graph
"""

from pathlib import Path

WORDS = ("ceasefire", "territory", "sanctions", "nato")
GRAPH = Path(__file__).parents[1] / "data" / "first_stage.onnx"
# The score of a topic whose word is not in the passage, and what each mention adds.
ABSENT, MENTION = -3.0, 4.0


def make_graph(ids: list[int], path: Path) -> None:
    """Score of a topic: ABSENT, and MENTION more for each of its token in the passage."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constants = {
        "words": np.array([[ids]], np.int64),
        "last": np.array([2]),
        "tokens": np.array([1]),
        "mention": np.array(MENTION, np.float32),
        "absent": np.array(ABSENT, np.float32),
    }
    nodes = [
        helper.make_node("Unsqueeze", ["input_ids", "last"], ["column"]),
        helper.make_node("Equal", ["column", "words"], ["same"]),
        helper.make_node("Cast", ["same"], ["ones"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["ones", "tokens"], ["count"], keepdims=0),
        helper.make_node("Mul", ["count", "mention"], ["raised"]),
        helper.make_node("Add", ["raised", "absent"], ["score"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("score", TensorProto.FLOAT, ["n", len(ids)])
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "first_stage", inputs, [output], weights)
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), path)


if __name__ == "__main__":
    from models import DEFAULT_MODEL
    from models.topic_model import load_tokenizer

    tokenizer = load_tokenizer(DEFAULT_MODEL)
    make_graph([tokenizer.ids(word)[1] for word in WORDS], GRAPH)
