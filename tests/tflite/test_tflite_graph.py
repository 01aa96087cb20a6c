"""What a graph says of tensors that have to be there."""

import numpy as np
import pytest

from tinyedge.errors import ModelError
from tinyedge.tflite.graph import Operator, Quantisation, Tensor

INT8 = np.dtype(np.int8)
PLAIN = Tensor("plain", (2,), INT8)
SCALED = Tensor(
    "scaled", (2,), INT8, Quantisation(np.ones(1, np.float32), np.zeros(1, np.int32)), np.array([1, 2], np.int8)
)


def test_what_is_there_is_returned():
    operator = Operator("ADD", (PLAIN, SCALED, None), (PLAIN,))
    assert operator.input(1) is operator.optional_input(1) is SCALED
    assert operator.optional_input(2) is operator.optional_input(3) is None
    assert SCALED.q is SCALED.quantisation
    assert SCALED.values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda: PLAIN.q, "'plain' has no scale"),
        (lambda: PLAIN.values, "'plain' is computed"),
        (lambda: Operator("ADD", (PLAIN, None), (PLAIN,), index=7).input(1), r"operator 7 \(ADD\) has no input 1"),
        (lambda: Operator("ADD", (PLAIN,), (PLAIN,), index=7).input(1), r"operator 7 \(ADD\) has no input 1"),
    ],
)
def test_what_is_absent_is_named(read, message):
    with pytest.raises(ModelError, match=message):
        read()
