"""What holds for every method that learns by comparing views, architectures or labels."""

import copy

import pytest
import torch

from tinyedge.data.dataset import ImageSplit
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.registry import create_method, method_entry, method_names

pytestmark = pytest.mark.usefixtures("small_cnn")
METHODS = [
    ("simclr", {}),
    ("vicreg", {"projector_width": 64}),
    ("byol", {"projector_hidden": 64}),
    ("emp-ssl", {"patches": 3, "projector_hidden": 64}),
    ("cass", {"partner": "small_cnn"}),
    ("cass", {"partner": "mobilenetv2_035", "views": 2, "guard": "decorrelate"}),
    ("supervised", {}),
]
CLASSES = 3


def build(name, options, encoder, seed=0):
    torch.manual_seed(seed)
    method = create_method(name, encoder, options)
    images = torch.zeros(30, 3, 16, 16, dtype=torch.uint8)
    method.training_split(ImageSplit(images, torch.arange(30) % CLASSES), seed)
    return method.train()


def batch_for(method, seed=1, count=12):
    """Images of three kinds, a little different in each view."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (count,), generator=generator)
    kinds = torch.randn(CLASSES, 3, 16, 16, generator=torch.Generator().manual_seed(7))
    images = kinds[labels] + 0.5 * torch.randn(count, 3, 16, 16, generator=generator)
    views = tuple(images + torch.randn(images.shape, generator=generator) for _ in method.views)
    return Batch(views, torch.arange(count), labels if method.uses_labels else None)


def train_steps(method, optimizer, steps, first=0, same_batch=False):
    losses = []
    for step in range(first, first + steps):
        result = method(
            batch_for(method, seed=0 if same_batch else step), torch.Generator().manual_seed(step), step / 100
        )
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        method.after_step(result.metrics)
        losses.append(result.loss.item())
    return losses


def adamw(method):
    return torch.optim.AdamW([value for value in method.parameters() if value.requires_grad], lr=1e-3)


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_every_trainable_parameter_learns_and_metrics_carry_no_gradient(name, options, toy_encoder):
    method = build(name, options, toy_encoder)
    result = method(batch_for(method), torch.Generator().manual_seed(0), 0.5)
    result.loss.backward()
    without = [key for key, value in method.named_parameters() if value.requires_grad and value.grad is None]
    assert without == []
    assert all(value.grad is None for value in method.parameters() if not value.requires_grad)
    # The embedding's last bias cancels where only differences count; nothing in the encoder may be without effect but
    # the biases that a batch norm takes out again.
    weights = {key: value.grad for key, value in method.encoder.named_parameters() if value.ndim > 1}
    assert [key for key, value in weights.items() if not value.abs().sum() > 0] == []
    assert not any(value.requires_grad for value in result.metrics.values())
    assert result.loss.dtype == torch.float32
    assert torch.equal(result.metrics["loss"], result.loss.detach())


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_the_loss_is_finite_and_falls(name, options, toy_encoder):
    method = build(name, options, toy_encoder)
    losses = train_steps(method, adamw(method), 12, same_batch=True)
    assert torch.tensor(losses).isfinite().all()
    assert losses[-1] < losses[0] - 0.02 * abs(losses[0])


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_a_restored_state_goes_on_to_the_same_numbers(name, options, toy_encoder):
    method = build(name, options, copy.deepcopy(toy_encoder))
    optimizer = adamw(method)
    train_steps(method, optimizer, 2)
    state, optimizer_state = copy.deepcopy(method.state_dict()), copy.deepcopy(optimizer.state_dict())
    expected = train_steps(method, optimizer, 2, first=2)
    again = build(name, options, copy.deepcopy(toy_encoder), seed=5)
    again.load_state_dict(state)
    optimizer = adamw(again)
    optimizer.load_state_dict(optimizer_state)
    assert train_steps(again, optimizer, 2, first=2) == expected


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_one_generator_state_gives_one_result(name, options, toy_encoder):
    method = build(name, options, toy_encoder)
    batch = batch_for(method)
    losses = [method(batch, torch.Generator().manual_seed(3), 0.5).loss.item() for _ in range(2)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_the_encoder_alone_is_kept(name, options, toy_encoder):
    keys, before = set(toy_encoder.state_dict()), copy.deepcopy(toy_encoder).eval()
    method = build(name, options, toy_encoder)
    assert method.encoder is toy_encoder
    assert set(method.encoder.state_dict()) == keys
    images = torch.randn(4, 3, 16, 16)
    assert torch.equal(toy_encoder.eval()(images), before(images))


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_losses_are_finite_under_bfloat16_autocast(name, options, toy_encoder):
    method = build(name, options, toy_encoder)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = method(batch_for(method), torch.Generator().manual_seed(0), 0.5)
    assert result.loss.dtype == torch.float32
    assert result.loss.isfinite()


@pytest.mark.parametrize(("name", "options"), METHODS)
def test_methods_are_registered_with_sane_defaults(name, options):
    assert name in method_names()
    entry = method_entry(name)
    assert 5e-4 <= entry.lr_per_256 <= 5e-3
    assert entry.augment == {"emp-ssl": "patch", "supervised": "supervised"}.get(name, "strong")


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("simclr", {"temperature": 0}),
        ("simclr", {"embedding_dim": 0}),
        ("vicreg", {"projector_layers": 1}),
        ("vicreg", {"variance_weight": -1.0}),
        ("byol", {"momentum": 1.5}),
        ("byol", {"projector_hidden": 0}),
        ("emp-ssl", {"patches": 1}),
        ("emp-ssl", {"rate_eps": 0}),
        ("cass", {"guard": "batchnorm"}),
        ("cass", {"views": 3}),
        ("cass", {"partner": "vit"}),
        ("cass", {"covariance_weight": -1}),
        ("supervised", {"label_fraction": 0}),
        ("supervised", {"label_subset_seed": -1}),
        ("supervised", {"label_smoothing": 1}),
        ("supervised", {"cutmix_probability": 2}),
        ("simclr", {"temprature": 0.2}),
    ],
)
def test_an_option_that_is_not_valid_is_named(name, options, toy_encoder):
    key = next(iter(options))
    with pytest.raises(ConfigError, match="encoder" if key == "partner" else key):
        create_method(name, toy_encoder, options)
