"""Networks of opsets before 11, against ONNX Runtime on the file as it is."""

from pathlib import Path

import numpy as np
import onnx
import onnx.backend.test
import onnxruntime
import pytest
from exports.onnx_files import random, write
from onnx import helper

from tinyedge.conversion.onnx_source import plain_input, read_onnx
from tinyedge.errors import UnsupportedOpError

# Real networks of 2017 to 2019 with random weights, as files of the onnx package: opset 9, weights among the inputs.
LIGHT = Path(onnx.backend.test.__file__).parent / "data" / "light"


def outputs(model, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, inputs)


def same(path, shape):
    """Check that a folded network computes what its file does; returns the folded one."""
    source = read_onnx(path, {})
    x = random(*shape, seed=5)
    found = outputs(source.folded, {plain_input(0): x})
    expected = outputs(onnx.load(path), {source.inputs[0][0]: x})
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * np.abs(other).max())
    return source.folded


@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize(("op", "opset", "scale"), [
    ("Upsample", 7, 2), ("Upsample", 8, 1.5), ("Upsample", 9, 1.5), ("Resize", 10, 2), ("Resize", 10, 0.25),
])  # fmt: skip
def test_maps_are_resized_by_their_own_opsets_coordinates(tmp_path, op, opset, scale, mode):
    side = int(8 * scale)
    scales = np.array([1, 1, scale, scale], np.float32)
    if opset < 9:
        node, constants = helper.make_node(op, ["x"], ["y"], mode=mode, scales=scales.tolist()), {}
    else:
        node, constants = helper.make_node(op, ["x", "scales"], ["y"], mode=mode), {"scales": scales}
    path = write(tmp_path / "net.onnx", [node], {"x": (1, 3, 8, 8)}, {"y": (1, 3, side, side)}, constants, opset)
    same(path, (1, 3, 8, 8))


@pytest.mark.parametrize("name", ["squeezenet", "shufflenet", "inception_v1"])
def test_networks_with_weights_among_their_inputs_are_folded(name):
    path = LIGHT / f"light_{name}.onnx"
    assert len(onnx.load(path).graph.input) > 1
    folded = same(path, (1, 3, 224, 224))
    assert [value.name for value in folded.graph.input] == [plain_input(0)]
    assert "BatchNormalization" not in {node.op_type for node in folded.graph.node}


def test_an_operator_without_a_newer_form_is_refused(tmp_path):
    node = helper.make_node("BatchNormalization", ["x", *"abcd"], ["y"], spatial=0)  # Statistics of each pixel.
    shape = (1, 3, 4, 4)
    constants = {name: np.ones(shape[1:], np.float32) for name in "abcd"}
    path = write(tmp_path / "net.onnx", [node], {"x": shape}, {"y": shape}, constants, 7)
    with pytest.raises(UnsupportedOpError, match=r"is of opset 7, and .* opset 11 \(.*spatial.*\): export it with"):
        read_onnx(path, {})
