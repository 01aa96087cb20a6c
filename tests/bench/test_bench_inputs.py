import numpy as np
import pytest

from tinyedge.bench.inputs import first_per_class_round, random_inputs, read_inputs
from tinyedge.compiler.graph import Tensor
from tinyedge.errors import ConfigError

TENSOR = Tensor("input", (1, 3, 5, 2), np.dtype(np.int8))


def test_random_inputs_reach_both_ends_and_repeat_for_a_seed():
    values = random_inputs(TENSOR, 100, seed=3)
    assert values.shape == (100, 3, 5, 2)
    assert values.dtype == np.int8
    assert (values.min(), values.max()) == (-128, 127)
    np.testing.assert_array_equal(values, random_inputs(TENSOR, 100, seed=3))
    assert (values != random_inputs(TENSOR, 100, seed=4)).any()


def test_a_file_comes_back_as_it_was_written(tmp_path):
    values = random_inputs(TENSOR, 2, seed=0)
    np.save(tmp_path / "x.npy", values)
    np.testing.assert_array_equal(read_inputs(tmp_path / "x.npy", TENSOR), values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros((2, 3, 5, 2), np.float32), "float32"),
        (np.zeros((2, 3, 5, 3), np.int8), r"\(n, 3, 5, 2\)"),
        (np.zeros((3, 5, 2), np.int8), r"\(3, 5, 2\)"),
        (np.zeros((0, 3, 5, 2), np.int8), "shape"),
        (np.int8(3), r"shape \(\)"),
    ],
)
def test_what_the_model_cannot_take_is_refused(tmp_path, values, message):
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(ConfigError, match=message):
        read_inputs(tmp_path / "x.npy", TENSOR)


def test_a_file_that_is_no_array_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="no such file"):
        read_inputs(tmp_path / "x.npy", TENSOR)
    np.savez(tmp_path / "archive.npz", np.zeros((2, 3, 5, 2), np.int8))
    archive = (tmp_path / "archive.npz").read_bytes()
    for content in (b"\x93NUMPY", b"", archive, archive[:30]):
        (tmp_path / "x.npy").write_bytes(content)
        with pytest.raises(ConfigError, match=r"not a \.npy file"):
            read_inputs(tmp_path / "x.npy", TENSOR)


def test_a_small_sample_goes_round_the_classes():
    labels = np.array([0, 0, 0, 0, 2, 2, 1, 1])
    chosen = first_per_class_round(labels, 4)
    np.testing.assert_array_equal(labels[chosen], [0, 1, 2, 0])
    np.testing.assert_array_equal(np.sort(first_per_class_round(labels, 99)), np.arange(8))
