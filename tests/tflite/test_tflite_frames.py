import numpy as np
import pytest

from tinyedge.tflite.frames import (
    count_differing,
    empty_frames,
    frame_shape,
    frame_type,
    frames_from_bytes,
    parts_of,
    random_frames,
)
from tinyedge.tflite.graph import Tensor

IMAGE = Tensor("image", (1, 3, 5, 2), np.dtype(np.int8))
LEVEL = Tensor("level", (4,), np.dtype(np.float32))
FLAG = Tensor("image", (1,), np.dtype(np.bool_))
SCALAR = Tensor("scalar", (), np.dtype(np.int32))


@pytest.mark.parametrize(
    ("tensor", "shape"), [(IMAGE, (3, 5, 2)), (LEVEL, (4,)), (FLAG, ()), (SCALAR, ())], ids=lambda value: str(value)
)
def test_a_leading_batch_of_one_is_no_part_of_a_frame(tensor, shape):
    assert frame_shape(tensor) == shape
    assert empty_frames(7, [tensor]).shape == (7, *shape)


def test_frames_of_several_tensors_are_packed_as_on_the_device():
    frames = random_frames([IMAGE, LEVEL, FLAG], 6, seed=1)
    assert frames.shape == (6,)
    assert frames.dtype.itemsize == 30 + 16 + 1
    image, level, flag = parts_of(frames)
    assert (image.shape, level.shape, flag.shape) == ((6, 3, 5, 2), (6, 4), (6,))
    packed = b"".join(image[i].tobytes() + level[i].tobytes() + flag[i].tobytes() for i in range(6))
    assert frames.tobytes() == packed
    np.testing.assert_array_equal(frames_from_bytes(packed, [IMAGE, LEVEL, FLAG]), frames)


def test_tensors_of_one_name_are_told_apart():
    assert frame_type([IMAGE, LEVEL, FLAG]).names == ("image:0", "level", "image:2")


def test_frames_of_one_tensor_come_back_from_their_bytes():
    frames = random_frames([IMAGE], 3, seed=0)
    np.testing.assert_array_equal(frames_from_bytes(frames.tobytes(), [IMAGE]), frames)
    assert frames_from_bytes(b"", [IMAGE]).shape == (0, 3, 5, 2)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16])
def test_random_integers_reach_both_ends_and_repeat_for_a_seed(kind):
    tensor = Tensor("x", (1, 400_000 if kind is np.int16 else 3_000), np.dtype(kind))
    values = random_frames([tensor], 4, seed=3)
    assert values.dtype == kind
    assert (values.min(), values.max()) == (np.iinfo(kind).min, np.iinfo(kind).max)
    np.testing.assert_array_equal(values, random_frames([tensor], 4, seed=3))
    assert (values != random_frames([tensor], 4, seed=4)).any()


def test_what_differs_is_counted_by_its_bits():
    frames = random_frames([IMAGE, LEVEL], 5, seed=0)
    frames["level"][0] = [np.nan, 0.0, 1.0, np.inf]
    others = frames.copy()
    assert count_differing(frames, others) == 0
    others["level"][0] = [np.nan, -0.0, 1.0, -np.inf]
    others["image"][4, 2, 4, 1] ^= 1
    assert count_differing(frames, others) == 3
    assert count_differing(frames["level"], others["level"]) == 2
