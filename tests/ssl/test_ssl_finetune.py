import copy

import pytest
import torch
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageSplit
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.finetune import soft_label_loss
from tinyedge.ssl.registry import check_start_given, check_teacher, create_method, learns_from_labels
from tinyedge.training.teacher import EncoderTeacher

MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
CLASSES = 3


def labelled(count=48):
    """Images of three kinds and their labels."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.arange(count) % CLASSES
    kinds = torch.randint(0, 256, (CLASSES, 3, 16, 16), generator=generator)
    noise = torch.randint(-90, 91, (count, 3, 16, 16), generator=generator)
    return ImageSplit((kinds[labels] + noise).clamp(0, 255).to(torch.uint8), labels)


def build(encoder, teacher=None, prepared=True, **options):
    torch.manual_seed(0)
    method = create_method("finetune", encoder, options, teacher)
    split = method.training_split(labelled(), seed=0)
    if prepared:
        method.prepare(split.images, MEAN, STD)
    return method


def step(method, images, labels, seed=1):
    return method(Batch((images,), torch.arange(len(images)), labels), torch.Generator().manual_seed(seed), 0.5)


def test_it_begins_as_a_linear_probe_of_the_encoder(toy_encoder):
    split = labelled()
    method = build(toy_encoder).eval()
    pixels = normalise(split.images, MEAN, STD)
    with torch.no_grad():
        features = toy_encoder(pixels)
        logits = method.classify(features)
        assert (logits.argmax(1) == split.labels).float().mean() > 0.9
        seen = (features - method.feature_mean) * method.feature_inverse
        torch.testing.assert_close(seen.mean(0), torch.zeros(24), atol=1e-4, rtol=0)
        torch.testing.assert_close(seen.std(0, correction=0), torch.ones(24), atol=1e-4, rtol=0)
        deployed = method.trained_classifier()
        torch.testing.assert_close(deployed(features), logits, atol=1e-4, rtol=1e-4)


def test_a_run_that_goes_on_is_not_measured_again(toy_encoder):
    method = build(toy_encoder)
    with torch.no_grad():
        for value in method.parameters():
            value.add_(0.1)
    saved = copy.deepcopy(method.state_dict())
    again = build(toy_encoder, prepared=False)
    again.load_state_dict(saved)
    again.prepare(labelled().images, MEAN, STD)
    assert all(torch.equal(value, saved[key]) for key, value in again.state_dict().items())


def test_the_loss_falls(toy_encoder):
    split = labelled()
    method = build(toy_encoder, cutmix_probability=0.5).train()
    pixels = normalise(split.images, MEAN, STD) + torch.randn(len(split), 3, 16, 16)
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    losses = []
    for _ in range(20):
        loss = step(method, pixels, split.labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert all(value.grad is not None and value.grad.any() for value in toy_encoder.embed.parameters())


class SeenTeacher(EncoderTeacher):
    """Keeps the pixels that it was shown."""

    def forward(self, images):
        self.seen = images
        return super().forward(images)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_teacher_with_a_classifier_gives_logits_of_the_very_pixels(toy_encoder, share):
    torch.manual_seed(5)
    teacher = SeenTeacher(copy.deepcopy(toy_encoder), nn.Linear(24, CLASSES))
    options = {"cutmix_probability": 1.0, "label_smoothing": 0.0}
    method = build(toy_encoder, teacher, teacher_weight=share, teacher_temperature=3.0, **options).train()
    alone = build(toy_encoder, **options).train()
    assert method.head is None
    images, labels = torch.randn(12, 3, 16, 16), torch.arange(12) % CLASSES
    fed, logits = [], []
    toy_encoder.register_forward_pre_hook(lambda module, inputs: fed.append(inputs[0]))
    method.classifier.register_forward_hook(lambda module, inputs, output: logits.append(output.detach().double()))
    result = step(method, images, labels)
    assert torch.equal(teacher.seen, fed[0])
    assert not torch.equal(fed[0], images)
    with torch.no_grad():
        wanted = teacher.classifier(teacher(fed[0]).features).double()
    p, q = ((value / 3).exp() for value in (wanted, logits[0]))
    p, q = p / p.sum(1, keepdim=True), q / q.sum(1, keepdim=True)
    distance = 9 * (p * (p.log() - q.log())).sum(1).mean().item()
    labels_alone = step(alone, images, labels).loss.item()
    assert result.metrics["loss_teacher"].item() == pytest.approx(distance, rel=1e-4)
    assert result.loss.item() == pytest.approx((1 - share) * labels_alone + share * distance, rel=1e-4)
    assert not [key for key in method.state_dict() if "teacher" in key]


def test_a_teacher_without_classes_gives_its_feature(toy_encoder, coarse_encoder):
    method = build(toy_encoder, EncoderTeacher(coarse_encoder)).train()
    images, labels = torch.randn(12, 3, 16, 16), torch.arange(12) % CLASSES
    result = step(method, images, labels)
    assert 0 < result.metrics["loss_teacher"].item() < 2
    result.loss.backward()
    assert all(value.grad.any() for value in method.head.parameters())
    assert all(value.grad is None for value in coarse_encoder.parameters())


def test_soft_labels_that_agree_cost_nothing():
    logits = torch.randn(5, 4)
    assert soft_label_loss(logits, logits + 7, 2.0).item() == pytest.approx(0, abs=1e-6)
    assert soft_label_loss(logits.bfloat16(), logits, 2.0).dtype == torch.float32


def test_what_it_needs_and_takes(toy_encoder):
    for given in (True, False):
        check_teacher("finetune", given)
    check_start_given("vicreg", False)
    with pytest.raises(ConfigError, match=r"finetune goes on from the encoder of a run; give --from RUN, or use"):
        check_start_given("finetune", False)
    with pytest.raises(ConfigError, match="use one of finetune, best"):
        check_teacher("vicreg", True)
    assert learns_from_labels("finetune")
    assert learns_from_labels("supervised")
    assert not learns_from_labels("vicreg")
    for key, value in {"teacher_weight": 1.5, "teacher_temperature": 0.0, "label_fraction": 0.0}.items():
        with pytest.raises(ConfigError, match=key):
            create_method("finetune", toy_encoder, {key: value})
