"""The graphs that score each topic, in a model folder: the first stage and the judge."""

import pytest

from models.info import ModelError, read_model_info
from models.topic_model import load_topic_model


@pytest.mark.parametrize("kind, name", [("staged", "first_stage.onnx"), ("judged", "judge.onnx")])
def test_a_bad_graph_is_one_line(kind, name, request, edit_heads) -> None:
    folder = request.getfixturevalue(kind)
    (folder / name).write_bytes(b"not onnx")
    with pytest.raises(ModelError, match=rf"{name}: sha256 is"):
        load_topic_model(folder)
    (folder / name).write_bytes((folder / "model.onnx").read_bytes())
    digest = read_model_info(folder, check_files=False).sha256["model.onnx"]
    edit_heads(folder, lambda heads: heads["sha256"].update({name: digest}))
    with pytest.raises(ModelError, match=rf"{name}: ") as caught:
        load_topic_model(folder)
    assert "\n" not in str(caught.value)
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"{name}: file is missing"):
        read_model_info(folder)
