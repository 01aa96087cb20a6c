"""What LiteRT computes where its plan of memory lets operators write over what is still to be read."""

import numpy as np
import pytest
from exports.tiny_graphs import ADD, GraphBuilder, number

from tinyedge.runtimes.litert_session import BUILT_IN, REFERENCE, XNNPACK, LitertSession
from tinyedge.tflite.writer import tflite_bytes


@pytest.mark.parametrize("kernels", [XNNPACK, BUILT_IN, REFERENCE])
def test_a_tensor_that_a_reshape_has_read_can_be_read_again(kernels):
    build = GraphBuilder(1, 4)
    first = build.add("ADD", (build.input, number(1)), (1, 4), **ADD)
    second = build.add("ADD", (first, number(1)), (1, 4), **ADD)  # In place of the first.
    third = build.add("ADD", (build.reshape(second, 1, 4), number(1)), (1, 4), **ADD)
    model = tflite_bytes(build.graph(build.residual(second, third)))
    assert LitertSession(model, kernels).run(np.arange(4, dtype=np.float32)[None]).tolist() == [[5, 7, 9, 11]]
