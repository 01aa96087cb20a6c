"""The nearest class mean in C against the same formula in Python's integers, and against floating point."""

import ctypes
import subprocess

import numpy as np
import pytest

from tinyedge.c_sources import firmware_root
from tinyedge.learning.nearest_mean import DISTANCE_ONE, NearestMean

MOST_EXAMPLES = 255


class Classes(ctypes.Structure):
    """te_classes of firmware/app/te_classes.h."""

    _fields_ = (
        ("classes", ctypes.c_uint32),
        ("values", ctypes.c_uint32),
        ("zero_point", ctypes.c_int32),
        ("counts", ctypes.POINTER(ctypes.c_uint16)),
        ("accumulators", ctypes.POINTER(ctypes.c_int16)),
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    app = firmware_root() / "app"
    file = tmp_path_factory.mktemp("classes") / "te_classes.so"
    # Undefined behaviour ends the process.
    sanitize = ("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error")
    subprocess.run(
        ["gcc", "-std=c99", "-O2", "-fPIC", "-shared", *sanitize, app / "te_classes.c", "-o", file], check=True
    )
    return ctypes.CDLL(str(file))


class Device:
    """The C and its arrays."""

    def __init__(self, library, classes: int, values: int, zero_point: int) -> None:
        self.library = library
        self.counts = (ctypes.c_uint16 * classes)()
        self.accumulators = (ctypes.c_int16 * (classes * values))()
        self.state = Classes(classes, values, zero_point, self.counts, self.accumulators)

    def enroll(self, which: int, embedding: np.ndarray) -> bool:
        add = self.library.te_classes_add
        add.restype = ctypes.c_bool
        return add(ctypes.byref(self.state), which, embedding.tobytes())

    def forget(self, which: int) -> None:
        self.library.te_classes_forget(ctypes.byref(self.state), which)

    def classify(self, embedding: np.ndarray) -> tuple[int, int]:
        distance = ctypes.c_uint32()
        which = self.library.te_classes_nearest(ctypes.byref(self.state), embedding.tobytes(), ctypes.byref(distance))
        return which, distance.value


def both(library, classes: int, values: int, zero_point: int, shots: list[np.ndarray]) -> tuple[Device, NearestMean]:
    device, host = Device(library, classes, values, zero_point), NearestMean(classes, zero_point)
    for which, examples in enumerate(shots):
        for example in examples:
            assert device.enroll(which, example)
            host.enroll(which, example)
    return device, host


@pytest.mark.parametrize(
    ("classes", "values", "zero_point", "most"),
    [(10, 192, -5, 12), (3, 1280, -128, 5), (1, 1, 0, 1), (2, 3, 127, 255), (7, 33, 64, 40), (5, 16384, 1, 2)],
)
def test_class_and_distance_are_those_of_the_formula(library, classes, values, zero_point, most):
    generator = np.random.default_rng(values)
    shots = [generator.integers(-128, 128, (generator.integers(1, most + 1), values), np.int8) for _ in range(classes)]
    device, host = both(library, classes, values, zero_point, shots)
    for _ in range(20):
        query = generator.integers(-128, 128, values, np.int8)
        which, distance = device.classify(query)
        assert (which, distance) == host.classify(query)
        centred = query.astype(float) - zero_point
        means = np.stack([examples.mean(0, dtype=float) - zero_point for examples in shots])
        norms = np.linalg.norm(centred) * np.linalg.norm(means, axis=1)
        cosines = np.divide(means @ centred, norms, out=np.zeros(classes), where=norms > 0)
        assert distance / DISTANCE_ONE == pytest.approx(1 - cosines.max(), abs=2e-7)


@pytest.mark.parametrize("zero_point", [-128, 0, 127])
@pytest.mark.parametrize("values", [1, 16384])
def test_the_largest_accumulators_do_not_overflow(library, values, zero_point):
    extremes = [np.full((MOST_EXAMPLES, values), value, np.int8) for value in (-128, 127)]
    device, host = both(library, 2, values, zero_point, extremes)
    for value in (-128, -127, 0, 126, 127):
        query = np.full(values, value, np.int8)
        assert device.classify(query) == host.classify(query)
        assert 0 <= device.classify(query)[1] <= 2 * DISTANCE_ONE


def test_a_class_takes_255_examples(library):
    device = Device(library, 1, 4, 0)
    example = np.array([-128, 127, 1, 0], np.int8)
    assert all(device.enroll(0, example) for _ in range(MOST_EXAMPLES))
    assert list(device.accumulators) == [-128 * 255, 127 * 255, 255, 0]
    assert not device.enroll(0, example)
    assert (device.counts[0], device.accumulators[0]) == (255, -128 * 255)
    device.forget(0)
    assert (list(device.counts), list(device.accumulators)) == ([0], [0] * 4)


def test_of_equally_near_classes_the_lower_is_named(library):
    example = np.array([[3, -7, 100]], np.int8)
    device, _ = both(library, 4, 3, 0, [np.empty((0, 3), np.int8), example[:, ::-1].copy(), example, example])
    assert device.classify(example[0]) == (2, 0)
    device.forget(2)
    assert device.classify(example[0]) == (3, 0)


def test_a_vector_without_direction_is_at_a_right_angle(library):
    zero = np.array([5, 5], np.int8)
    device, host = both(library, 2, 2, 5, [zero[np.newaxis], np.array([[4, 6]], np.int8)])
    assert device.classify(zero) == host.classify(zero) == (0, DISTANCE_ONE)
    away = np.array([6, 4], np.int8)
    assert device.classify(away) == host.classify(away) == (0, DISTANCE_ONE)
    device.forget(0)
    assert device.classify(away)[1] == pytest.approx(2 * DISTANCE_ONE, abs=2)


def test_without_examples_no_class_is_near(library):
    assert Device(library, 3, 2, 0).classify(np.zeros(2, np.int8))[0] == -1


def test_the_order_of_the_examples_does_not_matter(library):
    generator = np.random.default_rng(1)
    shots = [generator.integers(-128, 128, (9, 31), np.int8) for _ in range(3)]
    forwards, _ = both(library, 3, 31, 7, shots)
    backwards, _ = both(library, 3, 31, 7, [examples[::-1] for examples in shots])
    query = generator.integers(-128, 128, 31, np.int8)
    assert list(forwards.accumulators) == list(backwards.accumulators)
    assert forwards.classify(query) == backwards.classify(query)
