import copy
import math

import pytest
import torch

from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl import multi_pretext
from tinyedge.ssl.base import Batch
from tinyedge.ssl.multi_pretext import _oppose
from tinyedge.ssl.registry import create_method, method_names, method_options

METHODS = ("s0-literal", "s0", "s0-plus")


def prepared(name, encoder, options=None):
    """A method that has seen its images; a code of few numbers, where masked tokens restore codes."""
    few = {"code_atoms": 16, "code_coordinates": 8} if name == "s0" else {}
    method = create_method(name, encoder, few | (options or {}))
    generator = torch.Generator().manual_seed(2)
    images = torch.randint(0, 256, (20, 3, encoder.input_size, encoder.input_size), generator=generator)
    method.prepare(images.to(torch.uint8), (0.5,) * 3, (0.29,) * 3)
    return method


def step(method, images=None, seed=0, progress=0.5):
    views = images if images is not None else torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    batch = Batch((views, views.flip(3))[: len(method.views)], torch.arange(len(views)), None)
    return method(batch, torch.Generator().manual_seed(seed), progress)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("encoder", ["toy_encoder", "coarse_encoder"])
def test_every_parameter_learns_and_metrics_carry_no_gradient(name, encoder, request):
    method = prepared(name, request.getfixturevalue(encoder))
    result = step(method)
    result.loss.backward()
    unused = [key for key, value in method.named_parameters() if value.requires_grad and value.grad is None]
    assert unused == []
    assert not any(value.requires_grad for value in result.metrics.values())


@pytest.mark.parametrize("name", METHODS)
def test_untrained_losses_are_near_chance(name, toy_encoder):
    metrics = step(prepared(name, toy_encoder)).metrics
    assert 0.9 < metrics["loss_reconstruction"] < 2.5
    assert float(metrics["loss_rotation"]) == pytest.approx(math.log(3), rel=0.15)
    assert float(metrics["loss_disentangle"]) == pytest.approx(math.log(3), rel=0.15)


@pytest.mark.parametrize("name", METHODS)
def test_the_total_is_the_weighted_sum(name, toy_encoder):
    method = prepared(name, toy_encoder)
    for seed in range(3):
        method.after_step(step(method, seed=seed).metrics)
    weights = method.state_metrics()
    assert weights["lambda_1"] != 1
    m = {key: float(value) for key, value in step(method).metrics.items()}
    options = method.options
    expected = float(weights["lambda_1"]) * m["loss_reconstruction"] + float(weights["lambda_2"]) * m["loss_rotation"]
    expected += options.disentangle_weight * m["loss_disentangle"]
    expected *= options.pretext_weight
    if name == "s0-plus":
        vicreg = 25 * m["loss_invariance"] + 25 * m["loss_variance"] + m["loss_covariance"]
        expected += options.vicreg_weight * vicreg
    assert m["loss"] == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("sharpness", "reversal"), [(3.0, 0.7), (-3.0, 0.0)])
def test_the_reversal_opposes_an_adversary_that_is_right_and_rests_at_chance(sharpness, reversal):
    classes = torch.randint(0, 3, (4, 6))
    chosen = torch.rand(4, 6) < 0.5
    decoded = torch.nn.functional.one_hot(classes, 3).float() + 0.1 * torch.randn(4, 6, 3)
    adversary = torch.nn.Linear(3, 3)
    adversary.weight.data = sharpness * torch.eye(3)

    def gradients(loss, inputs):
        return torch.autograd.grad(loss, [inputs, adversary.weight])

    plain, opposed = decoded.clone().requires_grad_(), decoded.clone().requires_grad_()
    losses = torch.nn.functional.cross_entropy(adversary(plain)[chosen], classes[chosen])
    loss, accuracy = _oppose(adversary, opposed, classes, chosen, scale=0.7)
    torch.testing.assert_close(loss, losses)
    assert float(accuracy) == (sharpness > 0)
    expected, own = gradients(losses, plain)
    reversed_, adversary_own = gradients(loss, opposed)
    torch.testing.assert_close(reversed_, -reversal * expected)
    torch.testing.assert_close(adversary_own, own)


def test_encoder_state_has_no_discarded_keys_and_output_needs_no_decoder(toy_encoder):
    alone = copy.deepcopy(toy_encoder)
    method = create_method("s0-plus", toy_encoder)
    assert set(method.encoder.state_dict()) == set(alone.state_dict())
    images = torch.randn(4, 3, 16, 16)
    before = method.encoder.eval()(images)
    del method.decoder
    assert torch.equal(method.encoder(images), before)
    assert torch.equal(alone.eval()(images), before)


def test_building_a_method_leaves_the_encoder_as_it_was(toy_encoder):
    before = copy.deepcopy(toy_encoder.state_dict())
    create_method("s0", toy_encoder)
    assert toy_encoder.training
    assert all(torch.equal(value, before[key]) for key, value in toy_encoder.state_dict().items())


def test_features_are_the_pooled_tokens(toy_encoder):
    images = torch.randn(4, 3, 16, 16)
    encoder = toy_encoder.eval()
    torch.testing.assert_close(encoder(images), encoder.forward_tokens(images).mean(1))


def test_one_generator_state_gives_one_result(toy_encoder):
    method = create_method("s0-plus", toy_encoder)
    assert torch.equal(step(method, seed=3).loss, step(method, seed=3).loss)
    assert not torch.equal(step(method, seed=3).loss, step(method, seed=4).loss)


def test_masked_pixels_do_not_reach_the_encoder_but_are_its_targets(toy_encoder):
    method = create_method("s0-plus", toy_encoder, {"mask_block": 1})
    images = torch.randn(8, 3, 16, 16)
    seen = []
    toy_encoder.embed.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    step(method, images)
    cells = seen[0].reshape(8, 3, 8, 2, 8, 2).abs().sum((1, 3, 5))
    assert (cells == 0).sum() == 8 * 32
    assert torch.equal(seen[1], images.flip(3))


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        ({"rotation_with_clean": True}, "loss_rotation"),
        ({"symmetric_adversary": True}, "loss_mask_disentangle"),
    ],
)
def test_alternatives_are_four_way(toy_encoder, options, metric):
    method = prepared("s0", toy_encoder, options)
    result = step(method)
    assert float(result.metrics[metric]) == pytest.approx(math.log(4), rel=0.2)
    result.loss.backward()
    assert all(value.grad is not None for value in method.parameters() if value.requires_grad)


@pytest.mark.parametrize("clean", [False, True])
def test_the_reconstruction_is_over_masked_tokens_or_over_all(toy_encoder, clean, monkeypatch):
    method = prepared("s0", toy_encoder, {"reconstruct_clean": clean})
    plans = []
    draw = multi_pretext.draw_corruption
    monkeypatch.setattr(multi_pretext, "draw_corruption", lambda *a, **k: plans.append(draw(*a, **k)) or plans[-1])
    restored = []
    method.reconstruct.register_forward_hook(lambda module, inputs, output: restored.append(output.detach()))
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    found = float(step(method, images).metrics["loss_reconstruction"])
    errors = (restored[0] - method.codes(images)).square().mean(-1)
    expected = errors.mean() if clean else errors[plans[0].masked].mean()
    assert found == pytest.approx(float(expected), rel=1e-5)


def test_shift_per_token_has_no_adversary(toy_encoder):
    method = create_method("s0", toy_encoder, {"shift_per_token": True, "disentangle_weight": 0})
    assert "loss_disentangle" not in step(method).metrics
    with pytest.raises(ConfigError, match="disentangle_weight"):
        create_method("s0", toy_encoder, {"shift_per_token": True})


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("s0", {"corupt_at": "stage4"}, "did you mean corrupt_at"),
        ("s0", {"corrupt_at": "stage2"}, "did you mean stage"),
        ("s0", {"weighting": "none"}, "weighting none"),
        ("s0", {"reconstruct": "pixel"}, "unknown reconstruct pixel; did you mean pixels"),
        ("s0", {"decoder_width": 100}, "decoder_width 100"),
        ("s0", {"ema_beta": "fast"}, "ema_beta is 'fast'"),
        ("s0", {"ema_beta": 1.0}, "ema_beta is 1.0"),
        ("s0", {"decoder_heads": 0}, "decoder_heads is 0"),
        ("s0", {"roll_unit": 0}, "roll_unit 0"),
        ("s0", {"roll_unit": 12}, "roll_unit 12 gives shifts of 12 channels"),
        ("s0", {"roll_unit": 6}, "roll_unit 6"),  # 1 and 3 are the same shift
        ("s0", {"disentangle_weight": -1}, "disentangle_weight is -1"),
        ("s0-plus", {"vicreg_variance": float("nan")}, "vicreg_variance is nan"),
        ("s0", {"symmetric_adversary": True, "disentangle_weight": 0}, "symmetric_adversary"),
        ("s0-pls", {}, "did you mean s0-plus"),
        ("random", {"ema_beta": 1}, "random: ema_beta is an option of s0-literal, s0, s0-plus; `tinyedge train"),
        (
            "s0",
            {"ema_bata": 1},
            "s0: unknown option ema_bata; did you mean ema_beta.; `tinyedge train --method s0 --help-m",
        ),
    ],
)
def test_wrong_options_are_named(toy_encoder, name, options, message):
    with pytest.raises(ConfigError, match=message):
        create_method(name, toy_encoder, options)


def test_a_feature_of_several_stages_has_no_tokens():
    encoder = create_encoder("tinynext_t", input_size=32, feature_stages=(1, 2, 3, 4))
    with pytest.raises(
        ConfigError, match="the tokens of stage 4, and the feature is of stages 1,2,3,4; give --feature-stages 4"
    ):
        create_method("s0-plus", encoder)


def test_too_coarse_a_grid_is_refused():
    encoder = create_encoder("tinynext_t", input_size=16, strides=(2, 2, 2, 2, 2))
    with pytest.raises(ConfigError, match="1 x 1 tokens"):
        create_method("s0", encoder)


def test_variants_differ_as_specified():
    literal, plain, plus = (method_options(name) for name in METHODS)
    assert (literal["reconstruct"], plain["reconstruct"], plus["reconstruct"]) == ("pixels", "codes", "pixels")
    assert (literal["corrupt_at"], plain["corrupt_at"], plus["corrupt_at"]) == ("stage4", "stage3", "input+stage3")
    assert literal["vicreg_weight"] == plain["vicreg_weight"] == 0 < plus["vicreg_weight"]
    assert literal["roll_unit"] == 1
    assert set(METHODS) | {"random"} <= set(method_names())


@pytest.mark.parametrize("name", METHODS)
def test_small_grids_of_the_real_encoder(name):
    encoder = create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2))
    method = prepared(name, encoder)
    assert method.grid == (2 if name == "s0-literal" else 4)
    result = step(method, torch.randn(4, 3, 32, 32))
    assert torch.isfinite(result.loss)


# Those of the others fall in whole trainings, in test_ssl_joint_runs.py.
@pytest.mark.parametrize("name", ["s0-plus", *(pytest.param(name, marks=pytest.mark.thorough) for name in METHODS[:2])])
def test_losses_fall_on_synthetic_images(name, toy_encoder):
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(16, 3, 4, 4, generator=generator)
    images = torch.nn.functional.interpolate(coarse, size=(16, 16), mode="bicubic") * 4 - 2
    # At its own weight VICReg is most of the loss, and 40 steps hardly begin it.
    options = {"vicreg_weight": 0.2, "projector_width": 256} if name == "s0-plus" else {}
    method = create_method(name, toy_encoder, {"decoder_width": 64, **options})
    optimizer = torch.optim.AdamW(method.parameters(), lr=2e-3)
    losses = []
    for seed in range(40):
        result = step(method, images, seed=seed, progress=0.1)
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        method.after_step(result.metrics)
        losses.append(result.loss.item())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
