"""What ONNX Runtime runs of a file whose shapes were made static."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exports.onnx_files import random, write
from onnx import helper

from tinyedge.conversion.onnx_source import read_onnx, runner


@pytest.mark.parametrize("side", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(("taps", "stride"), [(4, 1), (3, 2)])
def test_a_dilated_convolution_that_keeps_its_size_is_padded_by_numbers(tmp_path, side, taps, stride):
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=side, dilations=[3], strides=[stride])
    weights, x = random(5, 6, taps), random(2, 6, 11)
    path = write(tmp_path / "net.onnx", [node], {"x": ("N", 6, 11)}, {"y": ("N", 5, -(-11 // stride))}, {"w": weights})
    total = (-(-11 // stride) - 1) * stride + (taps - 1) * 3 + 1 - 11
    less, more = total // 2, total - total // 2
    padded = F.pad(torch.from_numpy(x), (less, more) if side == "SAME_UPPER" else (more, less))
    expected = F.conv1d(padded, torch.from_numpy(weights), stride=stride, dilation=3).numpy()
    np.testing.assert_allclose(runner(read_onnx(path, {}))([x])[0], expected, atol=1e-5)


def test_a_batch_has_one_name_in_all_inputs(tmp_path):
    node = helper.make_node("Add", ["x", "state"], ["y"])
    path = write(tmp_path / "net.onnx", [node], {"x": ("N", 4), "state": (2, "N", 4)}, {"y": (2, "N", 4)})
    source = read_onnx(path, {})
    assert source.inputs == (("x", (1, 4)), ("state", (1, 2, 1, 4)))
    x, states = random(3, 4), random(3, 2, 1, 4)
    np.testing.assert_allclose(runner(source)([x, states])[0], x[:, None, None] + states, rtol=1e-6)
