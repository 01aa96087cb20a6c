"""What holds for each method in the registry, on a real encoder."""

import copy

import pytest
import torch

from tinyedge.data.dataset import ImageSplit
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult
from tinyedge.ssl.registry import create_method, method_entry, method_names
from tinyedge.training.processes import Rank
from tinyedge.training.teacher import EncoderTeacher

METHODS = [name for name in method_names() if name != "random"]
GATED = ("vicreg-dual", "vicreg-gating")
STRIDES = (2, 2, 2, 1, 1)  # As coarse as grids of tokens allow.
OPTIONS = {
    "emp-ssl": {"patches": 4, "projector_hidden": 64},
    "byol": {"projector_hidden": 64},
    "seed": {"head_width": 64},
    **{name: {"projector_width": 64} for name in ("s0-plus", "vicreg", *GATED, "best")},
}
# TinyNeXt in bfloat16, which the processor has to imitate, is that of every method: those of gates need an encoder that
# has some, and this one corrupts tokens within.
IN_BFLOAT16 = (*GATED, "s0-plus")


def make(name, encoder=None, channels=3):
    torch.manual_seed(0)
    shape = {"input_size": 16, "strides": STRIDES, "channels": channels}
    teacher = None
    if method_entry(name).needs_teacher:
        teacher = EncoderTeacher(create_encoder("tinynext_t", **shape))
    encoder = encoder or create_encoder("tinynext_t", **shape)
    method = create_method(name, encoder, OPTIONS.get(name, {}), teacher)
    method.training_split(ImageSplit(torch.zeros(6, channels, 16, 16, dtype=torch.uint8), torch.arange(6) % 3), 0)
    return method.train()


def step(method, count=8, channels=3):
    generator = torch.Generator().manual_seed(1)
    views = tuple(torch.randn(count, channels, 16, 16, generator=generator) for _ in method.views)
    labels = torch.arange(count) % 3 if method.uses_labels else None
    return method(Batch(views, torch.arange(count), labels), generator, 0.5)


@pytest.mark.parametrize("name", METHODS)
def test_bfloat16_gives_the_loss_of_float32_nearly(name, toy_encoder):
    method = make(name, None if name in IN_BFLOAT16 else toy_encoder)
    expected = step(copy.deepcopy(method)).loss.item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = step(method)
    result.loss.backward()
    assert result.loss.dtype == torch.float32
    # Gates decide by a sign, and a gate that turns over changes the loss by a step.
    assert result.loss.item() == pytest.approx(expected, rel=0.2 if name in GATED else 0.05)
    gradients = [value.grad for value in method.parameters() if value.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("name", METHODS)
def test_greyscale_images_are_learned_from(name):
    method = make(name, channels=1)
    result = step(method, channels=1)
    result.loss.backward()
    assert result.loss.isfinite()
    images = torch.zeros(4, 1, 16, 16)
    for encoder in (method.encoder, *method.branches().values()):
        assert encoder.channels == 1
        assert encoder.eval()(images).shape == (4, encoder.feature_dim)


class Witness(PretrainingMethod):
    """Keeps the types of what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[torch.dtype] = []

    def forward(self, batch, generator, progress):
        self.seen = [view.dtype for view in batch.views]
        return StepResult(self.weight, {})


def test_mixed_precision_leaves_the_pixels_as_they_are():
    rank = Rank(0, 1, torch.device("cpu"), mixed_precision=True)
    witness = Witness()
    with rank.autocast():
        rank.place(witness)(Batch((torch.zeros(2, 3, 8, 8),) * 2, torch.arange(2), None), torch.Generator(), 0.0)
    assert witness.seen == [torch.float32, torch.float32]


@pytest.mark.parametrize("name", ["s0-literal", "s0", "s0-plus", "vicreg", "best"])
def test_the_encoder_is_compiled_on_every_way_through_it(name, toy_encoder):
    method = make(name, toy_encoder)
    twin = copy.deepcopy(method)
    passes = []

    def backend(graph, inputs):
        def run(*values):
            passes.append(1)
            return graph(*values)

        return run

    torch.compiler.reset()
    method.compile(backend=backend)
    eager = []
    twin.encoder.embed.register_forward_hook(lambda *_: eager.append(1))
    torch.testing.assert_close(step(method).loss, step(twin).loss, rtol=1e-5, atol=1e-6)
    assert len(passes) == len(eager) >= 1


def test_a_copy_of_a_compiled_encoder_computes_with_its_own_weights(toy_encoder):
    encoder = toy_encoder.eval()
    encoder.compile(backend="eager")
    twin = copy.deepcopy(encoder)
    for value in twin.parameters():
        torch.nn.init.zeros_(value)
    with torch.no_grad():
        assert encoder(torch.ones(2, 3, 16, 16)).abs().sum() > 0
        assert not twin(torch.ones(2, 3, 16, 16)).any()


@pytest.mark.parametrize("name", GATED)
def test_gates_are_not_compiled(name):
    with pytest.raises(ConfigError, match="leave out compile"):
        make(name).compile()
