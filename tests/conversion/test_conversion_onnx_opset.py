"""Networks of opsets before 11, against ONNX Runtime on the file as it is."""

from contextlib import nullcontext
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
    ("Upsample", 7, 2), ("Upsample", 8, 1.5), ("Upsample", 9, 1.5),
    ("Resize", 10, 2), ("Resize", 10, 0.25), ("Resize", 10, 0.75),
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


@pytest.mark.parametrize(("op", "opset", "scale"), [("Upsample", 9, 2), ("Resize", 10, 0.75)])
def test_maps_are_resized_by_their_own_opsets_coordinates_in_branches_too(tmp_path, op, opset, scale):
    shape = (1, 2, int(4 * scale), int(4 * scale))
    branches = [
        helper.make_graph(
            [helper.make_node(op, ["x", "scales"], [mode], mode=mode)],
            mode,
            [],
            [helper.make_tensor_value_info(mode, onnx.TensorProto.FLOAT, shape)],
        )
        for mode in ("linear", "nearest")
    ]
    nodes = [  # The shape of the input chooses.
        helper.make_node("Shape", ["x"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "one"], ["channels"]),
        helper.make_node("Equal", ["channels", "wanted"], ["chosen"]),
        helper.make_node("If", ["chosen"], ["y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    for wanted in (2, 3):
        constants = {
            "one": np.int64(1),
            "wanted": np.int64(wanted),
            "scales": np.array([1, 1, scale, scale], np.float32),
        }
        path = write(tmp_path / f"net{wanted}.onnx", nodes, {"x": (1, 2, 4, 4)}, {"y": shape}, constants, opset)
        same(path, (1, 2, 4, 4))


def test_pixels_of_no_newer_resize_are_refused(tmp_path):
    for mode, outcome in (
        ("nearest", pytest.raises(UnsupportedOpError, match=r"'y' \(Resize\) .* resize twice")),
        ("linear", nullcontext()),
    ):
        node, scales = helper.make_node("Resize", ["x", "s"], ["y"], mode=mode), np.array([1, 1, 2, 0.75], np.float32)
        path = write(tmp_path / f"{mode}.onnx", [node], {"x": (1, 3, 8, 8)}, {"y": (1, 3, 16, 6)}, {"s": scales}, 10)
        with outcome:
            same(path, (1, 3, 8, 8))


def test_a_dropouts_mask_that_nothing_reads_needs_no_shape(tmp_path):
    nodes = [helper.make_node("Dropout", ["x"], ["kept", "mask"]), helper.make_node("Relu", ["kept"], ["y"])]
    same(write(tmp_path / "net.onnx", nodes, {"x": (1, 8)}, {"y": (1, 8)}, {}, 7), (1, 8))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
def test_padding_keeps_its_value_or_has_none(tmp_path, mode):
    node = helper.make_node("Pad", ["x"], ["y"], mode=mode, pads=[0, 0, 1, 1, 0, 0, 2, -1], value=0.5)
    path = write(tmp_path / "net.onnx", [node], {"x": (1, 2, 4, 4)}, {"y": (1, 2, 7, 4)}, {}, 9)
    same(path, (1, 2, 4, 4))


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
