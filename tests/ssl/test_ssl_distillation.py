import copy
import math
import os

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from closeness import FLOAT32_EPSILON, assert_gradients_close
from ranks import mean_of_all, run_ranks

from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError
from tinyedge.ssl.base import Batch
from tinyedge.ssl.best import mix_with_others
from tinyedge.ssl.curriculum import CURRICULA, curriculum_strength
from tinyedge.ssl.distillation import distillation_head
from tinyedge.ssl.distillation_losses import (
    MultiScaleDistillation,
    cosine_loss,
    map_loss,
    relational_loss,
    similarity_loss,
)
from tinyedge.ssl.distillation_queue import FeatureQueue
from tinyedge.ssl.distributed import mean_over_ranks, own_rows
from tinyedge.ssl.registry import create_method, method_names
from tinyedge.ssl.seed import Seed
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.training.batch_norm import synchronised_batch_norm
from tinyedge.training.teacher import EncoderTeacher

TWO_RANK_CASES = (
    ("ca-dssl", {"queue_size": 20}),
    ("seed", {"queue_size": 20, "head_width": 64}),
    ("simdistill", {}),
    (
        "best",
        {
            "queue_size": 20,
            "distilled_views": 2,
            "cached_views": 2,
            "mixup": 0.7,
            "similarity_weight": 0.5,
            "projector_width": 64,
        },
    ),
)
METHODS = ("ca-dssl", "seed", "simdistill", "best")


class CountingTeacher(Teacher):
    """A pooled random projection of the pixels with three maps; counts how often it runs."""

    def __init__(self, dim=20):
        super().__init__()
        self.norm = torch.nn.BatchNorm2d(3)
        self.project = torch.nn.Conv2d(3, dim, 1)
        self.requires_grad_(False).eval()
        self.feature_dim, self.map_channels, self.digest = dim, (dim, dim, dim), "counting"
        self.calls = 0

    @torch.no_grad()
    def forward(self, images):
        self.calls += 1
        last = self.project(self.norm(images))
        return TeacherOutput(last.mean((2, 3)), (last, F.avg_pool2d(last, 2), F.avg_pool2d(last, 4)))


@pytest.fixture
def teacher():
    torch.manual_seed(3)
    return CountingTeacher()


def batch_of(method, images=None, seed=1):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(8, 3, 16, 16, generator=generator) if images is None else images
    views = tuple(images + 0.1 * torch.randn(images.shape, generator=generator) for _ in method.views)
    return Batch(views, torch.arange(len(images)), None)


def run(method, batch=None, seed=0, progress=0.5):
    batch = batch_of(method) if batch is None else batch
    return method(batch, torch.Generator().manual_seed(seed), progress)


def short_queue(name):
    return None if name == "simdistill" else {"queue_size": 10}


def naive_cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def naive_relational(student, teacher, queue, student_temperature, teacher_temperature):
    total = 0.0
    for s, t in zip(student, teacher, strict=True):
        candidates = [t, *queue]
        p_t = np.exp([naive_cosine(t, c) / teacher_temperature for c in candidates])
        p_s = np.exp([naive_cosine(s, c) / student_temperature for c in candidates])
        p_t, p_s = p_t / p_t.sum(), p_s / p_s.sum()
        total += sum(a * (math.log(a) - math.log(b)) for a, b in zip(p_t, p_s, strict=True))
    return total / len(student)


@pytest.mark.parametrize(("rows", "dim", "size"), [(1, 5, 1), (7, 3, 11), (4, 33, 6)])
@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e3])
def test_losses_are_those_of_plain_loops(rows, dim, size, scale):
    generator = torch.Generator().manual_seed(rows)
    student, teacher = (scale * torch.randn(rows, dim, generator=generator) for _ in range(2))
    queue = F.normalize(torch.randn(size, dim, generator=generator), dim=1)
    s, t, q = (x.double().tolist() for x in (student, teacher, queue))
    if rows > 1:
        pairs = [(i, j) for i in range(rows) for j in range(rows) if i != j]
        expected = sum((naive_cosine(s[i], s[j]) - naive_cosine(t[i], t[j])) ** 2 for i, j in pairs) / len(pairs)
        assert float(similarity_loss(student, teacher)) == pytest.approx(expected, rel=1e-4, abs=1e-6)
    expected = sum(1 - naive_cosine(a, b) for a, b in zip(s, t, strict=True)) / rows
    assert float(cosine_loss(student, teacher)) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for temperatures in ((0.2, 0.04), (0.07, 0.07), (1.0, 0.2)):
        expected = naive_relational(s, t, q, *temperatures)
        found = float(relational_loss(student, teacher, queue, *temperatures))
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_relational_gradient_is_that_of_seeds_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(5, 8, generator=generator, requires_grad=True)
    teacher = F.normalize(torch.randn(5, 8, generator=generator), dim=1)
    queue = F.normalize(torch.randn(9, 8, generator=generator), dim=1)
    (ours,) = torch.autograd.grad(relational_loss(student, teacher, queue, 0.2, 0.04), student)
    unit = F.normalize(student, dim=1)
    logits = torch.cat([(unit * teacher).sum(1, keepdim=True), unit @ queue.T], dim=1) / 0.2
    wanted = torch.cat([torch.ones(5, 1), teacher @ queue.T], dim=1) / 0.04
    (theirs,) = torch.autograd.grad(F.cross_entropy(logits, wanted.softmax(1)), student)
    torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(
    ("grid", "target_grid"),
    [((4, 4), (8, 8)), ((3, 5), (6, 5)), ((4, 4), (14, 14)), ((4, 4), (1, 1)), ((8, 8), (4, 4)), ((3, 7), (4, 4))],
)
def test_map_loss_is_that_of_plain_loops(grid, target_grid):
    generator = torch.Generator().manual_seed(0)
    ours = torch.randn(2, 3, *grid, generator=generator)
    target = torch.randn(2, 3, *target_grid, generator=generator)
    rows, columns = (min(sizes) for sizes in zip(grid, target_grid, strict=True))

    def cell(level, sample, y, x):
        height, width = level.shape[2:]
        top, bottom = y * height // rows, -(-(y + 1) * height // rows)
        left, right = x * width // columns, -(-(x + 1) * width // columns)
        return level[sample, :, top:bottom, left:right].mean((1, 2)).tolist()

    total = sum(
        1 - naive_cosine(cell(ours, sample, y, x), cell(target, sample, y, x))
        for sample in range(2)
        for y in range(rows)
        for x in range(columns)
    )
    assert float(map_loss(ours, target)) == pytest.approx(total / (2 * rows * columns), rel=1e-5)


def test_scales_weigh_as_published():
    scales = MultiScaleDistillation((5, 6, 7), (3, 4, 9))
    assert scales.weights == pytest.approx((0.25 / 1.75, 0.5 / 1.75, 1 / 1.75))
    assert [tuple(p.shape) for p in scales.parameters()] == [(3, 5, 1, 1), (4, 6, 1, 1), (9, 7, 1, 1)]
    maps = [torch.randn(2, c, g, g) for c, g in ((5, 8), (6, 4), (7, 3))]
    targets = [torch.randn(2, c, g, g) for c, g in ((3, 16), (4, 3), (9, 4))]
    each = [map_loss(a(m), t) for a, m, t in zip(scales.adapters, maps, targets, strict=True)]
    expected = (0.25 * each[0] + 0.5 * each[1] + each[2]) / 1.75
    torch.testing.assert_close(scales(maps, targets), expected)
    with torch.no_grad():
        adapted = [adapter(m) for adapter, m in zip(scales.adapters, maps, strict=True)]
        assert float(scales(maps, adapted)) == pytest.approx(0, abs=1e-6)


def test_losses_are_zero_where_student_and_teacher_agree():
    generator = torch.Generator().manual_seed(0)
    target = torch.randn(6, 9, generator=generator)
    queue = F.normalize(torch.randn(10, 9, generator=generator), dim=1)
    assert float(cosine_loss(3 * target, target)) == pytest.approx(0, abs=1e-6)
    assert float(relational_loss(3 * target, target, queue, 0.1, 0.1)) == pytest.approx(0, abs=1e-5)
    other = torch.randn(6, 9, generator=generator)
    assert cosine_loss(other, target) > 0.1
    assert relational_loss(other, target, queue, 0.1, 0.1) > 0.1
    assert float(cosine_loss(-target, target)) == pytest.approx(2)


def test_heads_have_the_published_parameters(teacher):
    def count(module):
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(distillation_head(1280, 256, 384)) == 426_624
    teacher.feature_dim = 256
    seed = create_method("seed", create_encoder("mobilenetv2_035", input_size=32), None, teacher)
    assert isinstance(seed, Seed)
    assert count(seed.head) == 3_148_032
    assert count(distillation_head(192, 1024, 512)) == 192 * 1024 + 1024 + 1024 * 512 + 512


def test_the_queue_is_first_in_first_out():
    torch.manual_seed(0)
    queue = FeatureQueue(7, 4)
    kept = list(queue.entries)
    generator = torch.Generator().manual_seed(0)
    for rows in (3, 3, 3, 5, 7, 9, 1):
        features = torch.randn(rows, 4, generator=generator)
        kept = (kept + list(F.normalize(features, dim=1)))[-7:]
        queue.push(features)
        by_age = queue.read().roll(-int(queue.next_place), dims=0)
        # A batch longer than the queue starts over at the same place, so that only the set is comparable.
        assert {tuple(row.tolist()) for row in by_age} == {tuple(row.tolist()) for row in kept}
    copied = FeatureQueue(7, 4)
    copied.load_state_dict(queue.state_dict())
    for each in (queue, copied):
        each.push(torch.ones(2, 4))
    assert torch.equal(queue.entries, copied.entries)


def two_steps(name, options, rows):
    """Losses, gradients and state of two steps on a global batch of 12; float64, so that nothing hides in rounding."""
    torch.manual_seed(0)
    teacher = CountingTeacher()
    encoder = create_encoder("tinynext_t", input_size=16, strides=(2, 2, 2, 1, 1))
    method = create_method(name, encoder, options, teacher)
    method.prepare(torch.randint(0, 256, (24, 3, 16, 16), dtype=torch.uint8), (0.5,) * 3, (0.2,) * 3)
    teacher.double()
    method.double().train()
    losses = []
    with synchronised_batch_norm(method):
        for step in range(2):
            views = torch.randn(len(method.views), 12, 3, 16, 16, dtype=torch.float64)
            batch = Batch(tuple(rows(view) for view in views), rows(12 * step + torch.arange(12)), None)
            result = method(batch, torch.Generator().manual_seed(step), 0.3)
            result.loss.backward()
            losses.append(mean_over_ranks(result.loss))
    gradients = mean_of_all({key: value.grad for key, value in method.named_parameters()})
    return losses, gradients, method.state_dict()


def two_ranks(rank, folder):
    torch.set_num_threads(1)
    os.environ["TINYEDGE_CACHE"] = f"{folder}/cache"
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    torch.save([two_steps(*case, own_rows) for case in TWO_RANK_CASES], f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_do_what_one_does(tmp_path, monkeypatch):
    run_ranks(two_ranks, tmp_path)
    (cached,) = (tmp_path / "cache" / "teachers").iterdir()
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    shares = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for index, case in enumerate(TWO_RANK_CASES):
        losses, gradients, state = two_steps(*case, lambda x: x)
        for share in shares:
            torch.testing.assert_close(share[index][0], losses, rtol=8 * FLOAT32_EPSILON, atol=0)
            assert_gradients_close(share[index][1], gradients, 16 * FLOAT32_EPSILON)
            for key, value in state.items():
                torch.testing.assert_close(share[index][2][key], value, msg=key)
    assert list((tmp_path / "cache" / "teachers").iterdir()) == [cached]


@pytest.mark.parametrize("curriculum", CURRICULA)
def test_curricula_rise_to_full_strength(curriculum):
    strengths = [curriculum_strength(curriculum, step / 100) for step in range(101)]
    assert strengths == sorted(strengths)
    assert strengths[0] == {"linear": 0, "3phase": 0.2, "off": 1}[curriculum]
    assert strengths[100] == 1
    assert strengths[40] == pytest.approx({"linear": 0.5, "3phase": 0.6, "off": 1}[curriculum])


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_learns_and_the_teacher_does_not(name, toy_encoder, teacher):
    method = create_method(name, toy_encoder, None, teacher)
    before = copy.deepcopy(teacher.state_dict())
    optimizer = torch.optim.AdamW(method.parameters(), lr=1e-2)
    result = run(method.train())
    result.loss.backward()
    assert [key for key, value in method.named_parameters() if value.grad is None] == []
    assert not any(value.requires_grad for value in result.metrics.values())
    optimizer.step()
    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not any("teacher" in key for key in method.state_dict())
    teacher_shapes = {tuple(value.shape) for value in before.values() if value.ndim > 1}
    assert not any(tuple(value.shape) in teacher_shapes for key, value in method.named_buffers())


@pytest.mark.parametrize("name", METHODS)
def test_the_total_is_the_weighted_sum(name, toy_encoder, teacher):
    method = create_method(name, toy_encoder, None, teacher)
    for progress, rise in ((0.0, 0.0), (0.02, 0.4), (0.5, 1.0)):
        m = {key: float(value) for key, value in run(method, progress=progress).metrics.items()}
        assert min(m.values()) >= 0
        if name == "ca-dssl":
            expected = m["loss_cosine"] + m["loss_relational"] + 0.5 * rise * m["loss_multi_scale"]
        elif name == "best":
            vicreg = m["loss_invariance"] + m["loss_variance"] + 0.04 * m["loss_covariance"]
            expected = m["loss_cosine"] + m["loss_relational"] + 0.5 * m["loss_multi_scale"] + 0.5 * vicreg
        else:
            assert list(m) == ["loss"]
            continue
        assert m["loss"] == pytest.approx(expected, rel=1e-5)


def test_a_teacher_fades(toy_encoder, teacher):
    options = {"final_teacher_weight": 0.2, "similarity_weight": 3.0, "distilled_views": 2}
    method = create_method("best", toy_encoder, options, teacher)
    for progress, weight in ((0.0, 1.0), (0.5, 0.6), (1.0, 0.2)):
        m = {key: float(value) for key, value in run(method, progress=progress).metrics.items()}
        taught = m["loss_cosine"] + m["loss_relational"] + 3 * m["loss_similarity"] + 0.5 * m["loss_multi_scale"]
        vicreg = m["loss_invariance"] + m["loss_variance"] + 0.04 * m["loss_covariance"]
        assert m["loss"] == pytest.approx(weight * taught + 0.5 * vicreg, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_saved_method_goes_on_the_same(name, toy_encoder, teacher):
    method = create_method(name, toy_encoder, short_queue(name), teacher)
    twin = create_method(name, copy.deepcopy(toy_encoder), short_queue(name), teacher)
    for seed in range(2):
        run(method, batch_of(method, seed=seed))
    twin.load_state_dict(copy.deepcopy(method.state_dict()))
    for seed in range(2, 4):
        expected = run(method, batch_of(method, seed=seed)).loss
        assert torch.equal(run(twin, batch_of(twin, seed=seed)).loss, expected)


@pytest.mark.parametrize("name", METHODS)
def test_losses_fall_and_the_student_gets_the_teachers_features(name, toy_encoder, teacher):
    generator = torch.Generator().manual_seed(0)
    images = F.interpolate(torch.rand(32, 3, 4, 4, generator=generator), size=(16, 16), mode="bicubic") * 4 - 2
    method = create_method(name, toy_encoder, short_queue(name), teacher)
    optimizer = torch.optim.AdamW(method.parameters(), lr=3e-3)
    losses = []
    for seed in range(40):
        result = run(method, batch_of(method, images, seed=seed))
        optimizer.zero_grad()
        result.loss.backward()
        optimizer.step()
        losses.append(result.loss.item())
    assert all(math.isfinite(loss) for loss in losses)
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("encoder", ["tinynext_t", "mobilenetv2_035"])
def test_real_encoders_distil_a_real_one(name, encoder):
    torch.manual_seed(0)
    teacher = EncoderTeacher(create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2)).eval())
    strides = (2, 1, 2, 2, 2) if encoder == "tinynext_t" else None
    method = create_method(name, create_encoder(encoder, input_size=32, strides=strides), None, teacher)
    result = run(method, batch_of(method, torch.randn(4, 3, 32, 32)))
    result.loss.backward()
    assert torch.isfinite(result.loss)


def test_views_follow_the_options(toy_encoder, teacher):
    def views(name, **options):
        return [(v.preset, v.crop_of) for v in create_method(name, toy_encoder, options, teacher).views]

    assert views("ca-dssl") == views("simdistill") == [(None, None), ("teacher", 0)]
    assert views("ca-dssl", share_crop=False) == [(None, None), ("teacher", None)]
    assert views("seed") == views("seed", cached_views=2) == views("ca-dssl", cached_views=1) == [(None, None)]
    assert views("best") == [(None, None), (None, None), ("teacher", 0)]
    assert views("best", vicreg_weight=0) == [(None, None), ("teacher", 0)]
    assert views("best", vicreg_weight=0, distilled_views=2, cached_views=1) == [(None, None), (None, None)]
    assert set(METHODS) <= set(method_names())


def test_best_distils_both_views(toy_encoder, teacher):
    one = create_method("best", toy_encoder, {"relational_weight": 0}, teacher).eval()
    two = create_method("best", toy_encoder, {"relational_weight": 0, "distilled_views": 2}, teacher).eval()
    two.load_state_dict(one.state_dict())
    batch = batch_of(one)
    swapped = Batch((batch.views[1], batch.views[0], batch.views[2]), batch.indices, None)
    first, second, both = (
        float(run(m, b).metrics["loss_cosine"]) for m, b in ((one, batch), (one, swapped), (two, batch))
    )
    assert both == pytest.approx((first + second) / 2, rel=1e-5)
    assert first != second


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_images_and_targets_are_mixed_alike(share):
    generator = torch.Generator().manual_seed(0)
    views = tuple(torch.randn(101, 3, 4, 4, generator=generator) for _ in range(2))
    features, level = torch.randn(101, 6, generator=generator), torch.randn(101, 5, 2, 2, generator=generator)
    mixed, target = mix_with_others(views, TeacherOutput(features, (level,)), share, generator)
    weights = []
    for i in range(101):
        j = 100 - i
        own, other = views[0][i].flatten(), views[0][j].flatten()
        difference = own - other
        w = 1.0 if i == j else float((mixed[0][i].flatten() - other) @ difference / (difference @ difference))
        weights.append(w)
        torch.testing.assert_close(mixed[1][i], w * views[1][i] + (1 - w) * views[1][j], atol=1e-4, rtol=1e-4)
        wanted = w * features[i] / features[i].norm() + (1 - w) * features[j] / features[j].norm()
        torch.testing.assert_close(target.features[i], wanted, atol=1e-4, rtol=1e-4)
        cell = w * level[i, :, 1, 0] / level[i, :, 1, 0].norm() + (1 - w) * level[j, :, 1, 0] / level[j, :, 1, 0].norm()
        torch.testing.assert_close(target.maps[0][i, :, 1, 0], cell, atol=1e-4, rtol=1e-4)
    changed = sum(w < 0.9999 for w in weights) / 100
    assert changed == pytest.approx(share, abs=0.15 if share == 0.5 else 0.01)
    assert all(-1e-4 <= w <= 1.0001 for w in weights)


def test_curriculum_reaches_the_views(toy_encoder, teacher):
    for name in ("ca-dssl", "simdistill"):
        strengths = [create_method(name, toy_encoder, None, teacher).view_strength(p) for p in (0.0, 0.4, 1.0)]
        assert strengths == pytest.approx([0, 0.5, 1])
    assert create_method("best", toy_encoder, None, teacher).view_strength(0) == 1


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("ca-dssl", {"curriculum": "cubic"}, "unknown curriculum cubic"),
        ("simdistill", {"curriculum": "3phases"}, "did you mean 3phase"),
        ("ca-dssl", {"queue_size": 0}, "queue_size is 0, but has to be greater than 0"),
        ("ca-dssl", {"relational_weight": -1}, "relational_weight is -1.0"),
        ("seed", {"teacher_temperature": 0}, "teacher_temperature is 0"),
        ("seed", {"cached_views": -1}, "cached_views is -1"),
        ("best", {"distilled_views": 3}, "distilled_views is 3"),
        ("best", {"mixup": 1.5}, "mixup is 1.5"),
        ("best", {"head_widht": 3}, "did you mean head_width"),
    ],
)
def test_wrong_options_are_named(name, options, message, toy_encoder, teacher):
    with pytest.raises(ConfigError, match=message):
        create_method(name, toy_encoder, options, teacher)


def test_a_teacher_is_needed_and_only_where_it_is_used(toy_encoder, teacher):
    with pytest.raises(ConfigError, match="give --teacher RUN"):
        create_method("best", toy_encoder)
    with pytest.raises(ConfigError, match="leave out --teacher"):
        create_method("s0", toy_encoder, None, teacher)
