import pytest
import torch

from tinyedge.encoders.registry import count_parameters, create_encoder, deployable_encoders
from tinyedge.errors import TrainingError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.byol import direction_loss
from tinyedge.ssl.registry import create_method
from tinyedge.ssl.vicreg import covariance_loss


def build(encoder, **options):
    torch.manual_seed(0)
    return create_method("cass", encoder, options).train()


def step(method, count=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    views = tuple(torch.randn(count, 3, 16, 16, generator=generator) for _ in method.views)
    return method(Batch(views, torch.arange(count), None), torch.Generator().manual_seed(0), 0.0)


def test_direction_loss_is_0_for_equal_and_4_for_opposite_directions():
    z = torch.randn(7, 5)
    assert float(direction_loss(z, 3 * z)) == pytest.approx(0, abs=1e-5)
    assert float(direction_loss(z, -0.2 * z)) == pytest.approx(4, abs=1e-5)
    across = torch.tensor([[1.0, 0, 0], [0, 2, 0]]), torch.tensor([[0.0, 5, 0], [0, 0, 1]])
    assert float(direction_loss(*across)) == pytest.approx(2)
    other = torch.randn(7, 5)
    a, b = (x / x.norm(dim=1, keepdim=True) for x in (z, other))
    torch.testing.assert_close(direction_loss(z, other), (a - b).square().sum(dim=1).mean())


@pytest.mark.parametrize("views", [1, 2])
def test_both_arms_see_the_same_tensor(views, toy_encoder):
    method = build(toy_encoder, views=views)
    seen = []
    for arm in (method.encoder, method.partner):
        arm.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    step(method)
    assert seen[0] is seen[1]
    assert len(seen[0]) == 16 * views


def test_two_views_compare_each_arm_with_the_other_arm_and_the_other_view(toy_encoder):
    method = build(toy_encoder, views=2, guard="none")
    generator = torch.Generator().manual_seed(3)
    views = torch.randn(2, 6, 3, 16, 16, generator=generator)
    loss = method(Batch(tuple(views), torch.arange(6), None), generator, 0.0).loss
    both = torch.cat([views[0], views[1]])
    own = method.project(method.encoder(both)).chunk(2)
    other = method.project_partner(method.partner(both)).chunk(2)
    total = 0.0
    for z, w in ((own[0], other[1]), (own[1], other[0])):
        for a, b in zip(z, w, strict=True):
            total += 2 - 2 * (a @ b / (a.norm() * b.norm())).item()
    assert float(loss.detach()) == pytest.approx(total / 12, rel=1e-4)


def test_the_batch_norm_guard_compares_standardised_embeddings(toy_encoder):
    method = build(toy_encoder, guard="batch-norm")
    images = torch.randn(12, 3, 16, 16)
    loss = method(Batch((images,), torch.arange(12), None), torch.Generator(), 0.0).loss
    standardised = []
    for z in (method.project(method.encoder(images)), method.project_partner(method.partner(images))):
        z = z.detach().double()
        z = (z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()
        standardised.append(z / z.norm(dim=1, keepdim=True))
    cosine = (standardised[0] * standardised[1]).sum(dim=1)
    assert float(loss.detach()) == pytest.approx(float((2 - 2 * cosine).mean()), rel=1e-3)


def test_the_decorrelating_guard_adds_the_covariances_of_the_standardised_embeddings(toy_encoder):
    method = build(toy_encoder, guard="decorrelate", covariance_weight=0.3)
    images = torch.randn(12, 3, 16, 16)
    result = method(Batch((images,), torch.arange(12), None), torch.Generator(), 0.0)
    total = 0.0
    for z in (method.project(method.encoder(images)), method.project_partner(method.partner(images))):
        z = z.detach().double()
        covariance = torch.cov(((z - z.mean(0)) / (z.var(0, unbiased=False) + 1e-5).sqrt()).T)
        total += float((covariance - covariance.diag().diag()).square().sum()) / len(covariance)
    assert float((result.loss - result.metrics["loss_agreement"]).detach()) == pytest.approx(0.3 * total, rel=1e-3)


def test_one_direction_for_all_dimensions_costs_more_than_agreement_brings(toy_encoder):
    method = build(toy_encoder)
    one = torch.randn(64, 1).expand(64, 256)
    standardised = (one - one.mean(0)) / one.std(0)
    assert method.options.covariance_weight * 2 * float(covariance_loss(standardised)) > 4


@pytest.mark.parametrize("guard", ["decorrelate", "batch-norm", "none"])
def test_a_healthy_step_passes_and_a_constant_arm_stops_the_run(guard, toy_encoder):
    method = build(toy_encoder, guard=guard)
    healthy = step(method).metrics
    assert 0.1 < 16 * float(healthy["partner_std"]) < 1.1
    assert 0.5 < 16 * float(healthy["arm_std"]) < 1.1
    for _ in range(20):
        method.after_step(healthy)
    with torch.no_grad():  # the last norm of the arm lets nothing but its bias through
        toy_encoder.norm.weight.zero_()
        toy_encoder.norm.bias.fill_(1.0)
    collapsed = step(method).metrics
    assert 16 * float(collapsed["arm_std"]) < 0.01
    with pytest.raises(TrainingError, match="collapsed at step 30"):
        for _ in range(10):
            method.after_step(collapsed)


def test_the_partner_is_a_branch_with_its_own_weights(toy_encoder):
    method = build(toy_encoder)
    assert list(method.branches()) == ["vit_ti"]
    branch = method.branches()["vit_ti"]
    assert branch.input_size == 16
    fresh = create_encoder("vit_ti", input_size=16)
    fresh.load_state_dict(branch.state_dict())
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(fresh.eval()(images), branch.eval()(images))


def test_a_deployable_encoder_can_be_the_partner(toy_encoder):
    method = build(toy_encoder, partner="mobilenetv2_035")
    assert "mobilenetv2_035" in deployable_encoders()
    assert count_parameters(method.branches()["mobilenetv2_035"]) == 396_128
    step(method).loss.backward()
    assert all(value.grad is not None for value in method.parameters())
