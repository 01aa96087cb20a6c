"""Gates, their budget, and pruning by them, for every encoder that can be gated."""

import copy
import functools
import math

import pytest
import torch
from torch import nn

from tinyedge.encoders.flops import count_macs, hidden_channel_macs, macs_by_module
from tinyedge.encoders.registry import create_encoder
from tinyedge.encoders.resnet import ResNet18
from tinyedge.errors import ConfigError
from tinyedge.ssl.gate_budget import GateBudget
from tinyedge.ssl.gating import TEMPERATURE, Gate, GatedEncoder, switchable_copy
from tinyedge.ssl.pruning import (
    activation_frequencies,
    channels_above,
    channels_within,
    pruned_encoder,
    silence_channels,
)

ENCODERS = ("tinynext_t", "mobilenetv2_035", "resnet18")
STRIDES = {
    "tinynext_t": (2, 1, 2, 2, 1),
    "mobilenetv2_035": (2, 1, 1, 2, 2, 1, 1, 1),
    "resnet18": (2, 1, 2, 2, 1),
}


def images(count=6, seed=0, size=16):
    return torch.randn(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def make(name):
    """An encoder whose norms look trained, of its own."""
    torch.manual_seed(0)
    return copy.deepcopy(trained_like(name))


@functools.cache
def trained_like(name):
    encoder = create_encoder(name, input_size=16, strides=STRIDES[name])
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.momentum = None
        elif isinstance(module, nn.Conv2d | nn.Linear):
            module.weight.data.normal_(0, 0.5 * module.weight[0].numel() ** -0.5)
    with torch.no_grad():
        encoder.train()(images(32, seed=9))
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 0.1
    return encoder


def fix_masks(gated, seed=0):
    """Let every gate put out the same random mask for all images; return them."""
    generator = torch.Generator().manual_seed(seed)
    masks = []
    for gate in gated.gates:
        mask = torch.rand(gate.channels, generator=generator) < 0.6
        mask[0] = True
        nn.init.zeros_(gate.norm.weight)
        nn.init.ones_(gate.norm.bias)  # the logit is then the sum of a row
        gate.expand.weight.data[:] = torch.where(mask, 1.0, -1.0)[:, None, None, None]
        masks.append(mask)
    return masks


def norm_states(module):
    return {key: value.clone() for key, value in module.state_dict().items() if "running" in key or "tracked" in key}


def changed(before, module):
    return {key for key, value in norm_states(module).items() if not torch.equal(value, before[key])}


@pytest.mark.parametrize(("in_channels", "channels", "reduced"), [(8, 48, 8), (32, 64, 8), (33, 7, 8), (512, 5, 128)])
def test_a_mask_is_binary_forwards_and_soft_backwards(in_channels, channels, reduced):
    torch.manual_seed(1)
    gate = Gate(in_channels, channels)
    assert gate.reduce.out_channels == reduced
    x = torch.randn(5, in_channels, 3, 3)
    noise = torch.logit(torch.rand(5, channels))
    mask = gate(x, noise)
    assert set(mask.unique().tolist()) <= {0.0, 1.0}
    weight = torch.randn(5, channels)
    (mask * weight).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in gate.parameters())
    # The gradient of each logit, by hand.
    pooled = x.mean(dim=(2, 3), keepdim=True)
    with torch.no_grad():
        hidden = torch.relu(gate.norm(gate.reduce(pooled)))
        logits = gate.expand(hidden).flatten(1)
    assert torch.equal(mask.detach(), (logits + noise >= 0).float())
    soft = 1 / (1 + torch.exp(-(logits + noise) / TEMPERATURE))
    slope = weight * soft * (1 - soft) / TEMPERATURE
    expected = torch.einsum("bc,br->cr", slope, hidden.flatten(1))
    torch.testing.assert_close(gate.expand.weight.grad[:, :, 0, 0], expected, atol=1e-5, rtol=1e-4)


def test_extreme_logits_stay_finite():
    gate = Gate(8, 4)
    nn.init.constant_(gate.norm.bias, 1e20)
    mask = gate(torch.randn(3, 8, 2, 2), torch.logit(torch.tensor([[0.0, 1.0, 0.5, 0.2]] * 3), 1e-6))
    mask.sum().backward()
    assert torch.isfinite(mask).all()
    assert torch.isfinite(gate.expand.weight.grad).all()


def test_noise_opens_a_gate_as_often_as_the_sigmoid_says():
    gate = Gate(8, 3).eval()
    nn.init.zeros_(gate.norm.weight)
    nn.init.constant_(gate.norm.bias, 1 / 8)
    gate.expand.weight.data[:] = torch.tensor([-1.0, 0.0, 2.0])[:, None, None, None]
    noise = torch.logit(torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0)), 1e-6)
    mask = gate(torch.zeros(20_000, 8, 1, 1), noise)
    torch.testing.assert_close(mask.mean(0), torch.sigmoid(torch.tensor([-1.0, 0.0, 2.0])), atol=0.015, rtol=0)


@pytest.mark.parametrize("name", ENCODERS)
def test_masks_close_hidden_channels_and_nothing_else(name):
    """A forward pass with hooks of the test's own gives the same features."""
    encoder = make(name).eval()
    gated = GatedEncoder(encoder).eval()
    masks = fix_masks(gated)
    with torch.no_grad():
        features, taken = gated.decide(images())
        assert all(torch.equal(t, m.float().expand_as(t)) for t, m in zip(taken, masks, strict=True))
        gated.remove_gates()
        hooks = []
        for layer, mask in zip(encoder.prunable_channels(), masks, strict=True):

            def close(module, inputs, mask=mask):
                return (inputs[0] * mask.float()[:, None, None],)

            hooks.append(encoder.get_submodule(layer.reader).register_forward_pre_hook(close))
        torch.testing.assert_close(features, encoder(images()))
        for hook in hooks:
            hook.remove()
        assert not torch.allclose(features, encoder(images()), atol=1e-2)


@pytest.mark.parametrize("name", ENCODERS)
def test_evaluation_is_deterministic_and_sampling_follows_the_generator(name):
    gated = GatedEncoder(make(name)).eval()
    with torch.no_grad():
        first, second = gated.decide(images()), gated.decide(images())
        assert torch.equal(first.features, second.features)
        assert all(torch.equal(a, b) for a, b in zip(first.masks, second.masks, strict=True))
        assert torch.equal(gated(images()), first.features)
        draws = [gated.sample(images(), torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)]
        assert torch.equal(draws[0].features, draws[1].features)
        assert not torch.equal(draws[0].masks[0], draws[2].masks[0])
        # Nothing of a sample is left behind.
        assert torch.equal(gated.decide(images()).features, first.features)


@pytest.mark.parametrize("name", ENCODERS)
def test_gates_held_open_are_the_encoder_and_learn_nothing(name):
    encoder = make(name).eval()
    with torch.no_grad():
        expected = encoder(images())
    gated = GatedEncoder(encoder).eval()
    features, masks = gated.open(images())
    torch.testing.assert_close(features, expected, rtol=0, atol=0)
    assert all((mask == 1).all() for mask in masks)
    features.sum().backward()
    assert all((parameter.grad == 0).all() for parameter in gated.gates.parameters())


@pytest.mark.parametrize("name", ENCODERS)
def test_open_gates_are_the_encoder(name):
    encoder = make(name).eval()
    with torch.no_grad():
        expected = encoder(images())
        gated = GatedEncoder(encoder).eval()
        for gate in gated.gates:
            nn.init.zeros_(gate.norm.weight)
            nn.init.ones_(gate.norm.bias)
            nn.init.ones_(gate.expand.weight)
        features, masks = gated.decide(images())
    torch.testing.assert_close(features, expected)
    budget = GateBudget(encoder, 0.5, 0.5, 10.0)
    assert budget.macs_share(budget.densities(masks)).item() == pytest.approx(1.0, abs=1e-6)
    assert budget.densities(masks).tolist() == [1.0] * len(gated.layers)
    # Counting the gated network itself says the same: its gates have no hand in it.
    assert budget.full_macs == count_macs(encoder)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_copy_shares_weights_and_separates_norms(name):
    encoder = make(name)
    copied = switchable_copy(encoder)
    ours, theirs = dict(encoder.named_parameters()), dict(copied.named_parameters())
    assert ours.keys() == theirs.keys()
    own = {key for key in ours if ours[key] is not theirs[key]}
    norms = {
        f"{path}.{part}"
        for path, module in encoder.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        for part in ("weight", "bias")
    }
    shared = {key for key in norms if key.startswith(("stem", "embed")) or "shortcut" in key}
    assert shared
    assert own == norms - shared


@pytest.mark.parametrize("name", ENCODERS)
def test_each_pass_leaves_the_other_networks_statistics_alone(name):
    encoder = make(name).train()
    gated = GatedEncoder(switchable_copy(encoder)).train()
    copied = gated.network.state_dict()
    own = {key for key, value in encoder.state_dict().items() if value.data_ptr() != copied[key].data_ptr()}
    dense_before, gated_before = norm_states(encoder), norm_states(gated.network)
    encoder(images(seed=1))
    assert changed(gated_before, gated.network) & own == set()
    assert changed(dense_before, encoder) == set(dense_before)
    dense_before, gated_before = norm_states(encoder), norm_states(gated.network)
    gated.sample(images(seed=2), torch.Generator().manual_seed(0))
    assert changed(dense_before, encoder) & own == set()
    assert changed(gated_before, gated.network) == set(gated_before)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_deep_copy_has_gates_of_its_own(name):
    gated = GatedEncoder(make(name)).eval()
    before = gated.decide(images()).masks
    copied = copy.deepcopy(gated)
    fix_masks(copied)
    assert all(torch.equal(a, b) for a, b in zip(gated.decide(images()).masks, before, strict=True))
    assert len(copied.decide(images()).masks[0].unique(dim=0)) == 1
    copied.remove_gates()
    assert gated.decide(images()).masks[0].shape == before[0].shape


@pytest.mark.parametrize("name", ENCODERS)
def test_constant_gates_prune_to_an_equal_network(name):
    gated = GatedEncoder(switchable_copy(make(name))).eval()
    kept = [mask.nonzero().flatten() for mask in fix_masks(gated)]
    pruned = pruned_encoder(gated, kept)
    assert pruned.hidden == tuple(len(indices) for indices in kept)
    with torch.no_grad():
        expected = gated.decide(images()).features
        torch.testing.assert_close(pruned(images()), expected, atol=1e-5, rtol=1e-5)
        silence_channels(gated, kept)
        gated.remove_gates()
        torch.testing.assert_close(gated.network(images()), expected, atol=1e-5, rtol=1e-5)


def test_the_pruned_encoder_takes_the_gated_statistics():
    encoder = make("tinynext_t")
    gated = GatedEncoder(switchable_copy(encoder))
    for _ in range(3):
        gated.sample(images(seed=3), torch.Generator().manual_seed(0))
    kept = [torch.arange(layer.channels) for layer in gated.layers]
    state, dense = pruned_encoder(gated, kept).state_dict(), encoder.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in gated.network.state_dict().items())
    assert not torch.equal(state["stage1.0.project.1.running_mean"], dense["stage1.0.project.1.running_mean"])


def test_frequencies_are_the_share_of_images_and_leave_no_trace():
    gated = GatedEncoder(switchable_copy(make("mobilenetv2_035"))).eval()
    before = {key: value.clone() for key, value in gated.state_dict().items()}
    batches = [images(7, seed=1), images(5, seed=2)]
    frequencies = activation_frequencies(gated, batches)
    assert all(torch.equal(value, before[key]) for key, value in gated.state_dict().items())
    assert not gated.training
    judge = copy.deepcopy(gated).train()
    with torch.no_grad():
        opened = [judge.decide(batch).masks[3] for batch in batches]
    expected = torch.tensor([sum(float(m[row, c]) for m in opened for row in range(len(m))) / 12 for c in range(96)])
    torch.testing.assert_close(frequencies[3], expected)
    assert torch.equal(activation_frequencies(gated, batches)[5], frequencies[5])


@pytest.mark.parametrize(("open_channels", "kept"), [(0, 8), (1, 8), (8, 8), (9, 16), (20, 24), (30, 30)])
def test_channels_are_kept_by_the_eight(open_channels, kept):
    frequency = torch.full((30,), 0.2) + torch.arange(30) * 1e-3
    chosen = torch.randperm(30, generator=torch.Generator().manual_seed(0))[:open_channels]
    frequency[chosen] = 0.9
    (indices,) = channels_above([frequency], 0.5)
    assert len(indices) == kept
    assert indices.tolist() == sorted(set(indices.tolist()))
    assert set(chosen.tolist()) <= set(indices.tolist())
    left_out = [i for i in range(30) if i not in indices.tolist()]
    assert all(frequency[i] <= frequency[indices].min() for i in left_out)


@pytest.mark.parametrize("share", [0.9, 0.6, 0.45])
def test_channels_within_a_budget_are_as_many_as_it_pays_for(share):
    encoder = make("tinynext_t")
    generator = torch.Generator().manual_seed(0)
    frequencies = [torch.rand(layer.channels, generator=generator) for layer in encoder.prunable_channels()]
    spent = macs_by_module(encoder)
    costs, full = hidden_channel_macs(encoder, spent), spent[""]
    fixed = full - sum(cost * len(frequency) for cost, frequency in zip(costs, frequencies, strict=True))

    def macs(kept):
        hidden = tuple(len(indices) for indices in kept)
        return count_macs(create_encoder("tinynext_t", input_size=16, strides=STRIDES["tinynext_t"], hidden=hidden))

    kept = channels_within(frequencies, costs, share * full - fixed)
    assert macs(kept) <= share * full
    lowest = min(float(f[i].min()) for f, i in zip(frequencies, kept, strict=True))
    assert macs(channels_above(frequencies, lowest - 0.05)) > share * full
    fewest = channels_within(frequencies, costs, 1.0)
    assert [len(indices) for indices in fewest] == [8] * len(frequencies)


@pytest.mark.parametrize("density", [0.1, 0.5, 1.0])
def test_the_budget_equals_the_papers_formula_in_loops(density):
    """Per block and image 9 s C_in H W + 9 s C_out H W and the shortcut, the stem once: ResNet-18 with padding 2."""
    encoder = ResNet18("resnet18", 32, (1, 1, 2, 2, 2), stem_padding=2)
    generator = torch.Generator().manual_seed(0)
    masks = tuple(
        (torch.rand(5, layer.channels, generator=generator) < density).float() for layer in encoder.prunable_channels()
    )
    total = 0.0
    for image in range(5):
        total += 27 * 64 * 34 * 34
        in_width = 64
        for block, (width, side) in enumerate(
            [(64, 34), (64, 34), (128, 17), (128, 17), (256, 9), (256, 9), (512, 5), (512, 5)]
        ):
            opened = float(masks[block][image].sum())
            total += 9 * opened * in_width * side * side + 9 * opened * width * side * side
            if in_width != width:
                total += in_width * width * side * side
            in_width = width
    share = total / 5 / 703_560_448
    budget = GateBudget(encoder, 0.3, 0.3, 10.0)
    left = budget.macs_share(budget.densities(masks))
    assert left.item() == pytest.approx(share, rel=1e-5)
    assert budget.budget_loss(left).item() == pytest.approx((share - 0.3) ** 2, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("progress", [0.0, 0.03, 0.4, 1.0])
@pytest.mark.parametrize("target", [0.5, math.sqrt(0.3)])
def test_the_bounds_equal_a_loop(progress, target):
    encoder = make("tinynext_t")
    generator = torch.Generator().manual_seed(0)
    rates = torch.rand(len(encoder.prunable_channels()), generator=generator)
    masks = tuple(
        (torch.rand(4, layer.channels, generator=generator) < rate).float()
        for layer, rate in zip(encoder.prunable_channels(), rates, strict=True)
    )
    p = math.exp(-10 * progress)
    if progress == 0:
        assert p == 1
    expected = 0.0
    for mask in masks:
        rho = sum(float(row.sum()) for row in mask) / mask.numel()
        expected += max(p * target - rho, 0) ** 2 + max(rho - (1 - p + p * target), 0) ** 2
        if progress == 0:
            assert max(p * target - rho, 0) ** 2 + max(rho - (1 - p + p * target), 0) ** 2 == pytest.approx(
                (rho - target) ** 2
            )
    budget = GateBudget(encoder, 0.5, target, 10.0)
    bound = budget.bound_loss(budget.densities(masks), progress).item()
    assert bound == pytest.approx(expected / len(masks), rel=1e-4, abs=1e-9)


def test_a_target_below_what_is_not_gated_is_refused():
    encoder = create_encoder("tinynext_t", input_size=16, strides=STRIDES["tinynext_t"])
    with pytest.raises(ConfigError, match=r"target_density is 0.1.*above 0\.\d+"):
        GateBudget(encoder, 0.1, 0.1, 10.0)


def test_an_encoder_without_hidden_layers_is_refused(toy_encoder):
    with pytest.raises(ConfigError, match="toy has no hidden channels to gate; choose --encoder tinynext_t"):
        GatedEncoder(toy_encoder)
