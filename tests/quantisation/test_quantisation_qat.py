"""The quantisation-aware finish on a small network whose calibration is poor."""

import numpy as np
import pytest
import torch
from exports.tiny_graphs import CONV

from tinyedge.data.augment import Augment, AugmentConfig
from tinyedge.errors import TrainingError
from tinyedge.quantisation.float_executor import FloatExecutor
from tinyedge.quantisation.integer_executor import IntegerExecutor
from tinyedge.quantisation.noise import reference_of
from tinyedge.quantisation.observers import choose_ranges
from tinyedge.quantisation.qat import finish, image_views, integer_sqnr, student_outputs
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.tflite.graph import Graph, Operator, Tensor
from tinyedge.tflite.writer import tflite_bytes

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)
MEAN, STD = (0.5, 0.4, 0.6), (0.25, 0.2, 0.3)
HALVING = {**CONV, "stride_h": 2, "stride_w": 2, "fused_activation_function": "RELU"}


def constant(rng: np.random.Generator, *shape: int) -> Tensor:
    fan_in = max(1, int(np.prod(shape[1:])))
    return Tensor("w", shape, F32, data=(rng.normal(size=shape) * fan_in**-0.5).astype(np.float32))


def float_graph() -> Graph:
    """Three convolutions, mean, matrix: 12 pixels to 5 outputs."""
    rng = np.random.default_rng(0)
    image = Tensor("image", (1, 12, 12, 3), F32)
    operators, source, channels = [], image, 3
    for size, filters in ((6, 8), (3, 12), (2, 16)):
        out = Tensor("map", (1, size, size, filters), F32)
        weight, bias = constant(rng, filters, 3, 3, channels), constant(rng, filters)
        operators.append(Operator("CONV_2D", (source, weight, bias), (out,), HALVING))
        source, channels = out, filters
    axes = np.array([1, 2], np.int32)
    pooled, logits = Tensor("pooled", (1, 16), F32), Tensor("logits", (1, 5), F32)
    mean = Operator("MEAN", (source, Tensor("axes", (2,), I32, data=axes)), (pooled,), {"keep_dims": False})
    options = {"fused_activation_function": "NONE", "keep_num_dims": False}
    dense = Operator("FULLY_CONNECTED", (pooled, constant(rng, 5, 16), constant(rng, 5)), (logits,), options)
    return Graph("small", [*operators, mean, dense], (image,), (logits,))


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Random images of some smoothness, (640, 3, 12, 12) uint8."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(640, 3, 4, 4, generator=generator)
    return (torch.nn.functional.interpolate(coarse, size=12, mode="bilinear") * 255).to(torch.uint8)


def normalised(images: torch.Tensor) -> torch.Tensor:
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return ((images.float() / 255 - mean) / std).permute(0, 2, 3, 1).contiguous()


def views(images, augment):
    return lambda chosen, generator: (augment(images[chosen], generator).permute(0, 2, 3, 1).contiguous(),)


def finished(images, *, scale=1.0, seed=0, epochs=3.0, progress=None):
    graph = float_graph()
    teacher = FloatExecutor(graph)
    unseen = normalised(images[512:])
    means = reference_of(teacher, (normalised(images[:64]),))
    choice = choose_ranges(teacher, means.inputs, means, reference_of(teacher, (unseen,)))
    # Ranges several times too wide cost two bits and more: there is something to train.
    ranges = {tensor: (low * scale, high * scale) for tensor, (low, high) in choice.ranges.items()}
    augment = Augment(AugmentConfig(jitter_probability=0.0, greyscale_probability=0.0), MEAN, STD)
    quantised = quantise(graph, ranges)
    found = finish(
        quantised, teacher, views(images, augment), 512, (unseen,), epochs=epochs, seed=seed, progress=progress
    )
    return quantised, teacher, unseen, found


def test_it_lowers_the_noise_on_images_that_it_was_not_trained_on(images):
    quantised, teacher, unseen, found = finished(images, scale=6.0, epochs=25.0)
    before, after = found.sqnr_db
    assert before == pytest.approx(integer_sqnr(IntegerExecutor(quantised), teacher, (unseen,)), abs=1e-6)
    assert after == pytest.approx(integer_sqnr(IntegerExecutor(found.graph), teacher, (unseen,)), abs=1e-6)
    assert after > before + 1.0


def test_the_kernels_compute_what_was_trained_bit_for_bit(images, tmp_path):
    _, _, unseen, found = finished(images, scale=6.0)
    model = tmp_path / "model.tflite"
    model.write_bytes(tflite_bytes(found.graph))
    source, output = (tensors[0].quantisation for tensors in (found.graph.inputs, found.graph.outputs))
    codes = np.clip(np.floor(unseen.numpy() / np.float32(source.scale) + 0.5) + source.zero_point, -128, 127)
    kernels = (AotRuntime(model).run(codes.astype(np.int8)).astype(np.float32) - output.zero_point) * output.scale
    with torch.no_grad():
        (trained,) = student_outputs(IntegerExecutor(found.graph), (unseen,))
    assert np.allclose(trained.numpy(), kernels, rtol=1e-6, atol=0)


def test_scales_and_zero_points_stay(images):
    quantised, _, _, found = finished(images, scale=6.0)
    for before, after in zip(quantised.operators, found.graph.operators, strict=True):
        tensors = zip((*before.inputs, *before.outputs), (*after.inputs, *after.outputs), strict=True)
        for old, new in tensors:
            assert (old.quantisation is None and new.quantisation is None) or old.quantisation.equals(new.quantisation)


def test_the_same_seed_gives_the_same_bytes(images):
    files = [tflite_bytes(finished(images, scale=6.0, seed=seed, epochs=1.0)[3].graph) for seed in (0, 0, 1)]
    assert files[0] == files[1] != files[2]


def test_what_training_made_worse_is_not_kept(images, monkeypatch):
    monkeypatch.setattr("tinyedge.quantisation.qat._PEAK_RATE", 50.0)
    quantised, _, _, found = finished(images)
    assert found.sqnr_db[1] < found.sqnr_db[0]
    assert found.graph is quantised


def test_a_part_of_an_epoch_is_that_many_steps(images):
    steps = []
    finished(images, scale=6.0, epochs=0.5, progress=lambda done, total, sqnr_db: steps.append((done, total, sqnr_db)))
    assert [step[:2] for step in steps] == [(4, 4)]
    assert 0 < steps[0][2] < 60


def test_a_loss_that_is_not_a_number_is_an_error(images):
    graph = float_graph()
    teacher = FloatExecutor(graph)
    unseen = normalised(images[512:])
    means = reference_of(teacher, (normalised(images[:64]),))
    choice = choose_ranges(teacher, means.inputs, means, reference_of(teacher, (unseen,)))
    augment = Augment(AugmentConfig(), MEAN, (0.0, 0.0, 0.0))
    with pytest.raises(TrainingError, match="--qat"):
        finish(quantise(graph, choice.ranges), teacher, views(images, augment), 512, (unseen,), epochs=1.0, seed=0)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_are_normalised_images_with_the_channels_last(channels):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, channels, 9, 9), generator=generator, dtype=torch.uint8)
    mean, std = (0.4, 0.5, 0.6)[:channels], (0.2, 0.3, 0.4)[:channels]
    (views,) = image_views(images, "photos", mean, std)(torch.arange(4), generator)
    assert views.shape == (4, 9, 9, channels)
    lowest, highest = ((limit - torch.tensor(mean)) / torch.tensor(std) for limit in (0.0, 1.0))
    assert ((views >= lowest - 1e-5) & (views <= highest + 1e-5)).all()
