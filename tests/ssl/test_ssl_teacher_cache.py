import copy
import shutil

import pytest
import torch
import torch.nn.functional as F

from tinyedge.data.augment import Augment, normalise
from tinyedge.errors import ConfigError
from tinyedge.ssl import teacher_cache
from tinyedge.ssl.base import Batch
from tinyedge.ssl.registry import create_method
from tinyedge.ssl.teacher import Teacher, TeacherOutput

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)


class CountingTeacher(Teacher):
    """Means and squares of the pixels, with maps of both; counts the images that it sees."""

    def __init__(self, digest="a"):
        super().__init__()
        self.feature_dim, self.map_channels, self.digest = 6, (3, 6, 6), digest
        self.images = 0

    def forward(self, images):
        self.images += len(images)
        last = torch.cat([images, images**2], dim=1)
        return TeacherOutput(last.mean((2, 3)), (F.avg_pool2d(images, 2), F.avg_pool2d(last, 4), last))


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path))
    return tmp_path / "teachers"


@pytest.fixture
def images():
    return torch.randint(0, 256, (300, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def load(teacher, images, views=2, with_maps=True, mean=MEAN):
    return teacher_cache.load_teacher_cache(teacher, images, mean, STD, views=views, with_maps=with_maps)


def test_features_are_the_teachers_of_the_image_and_of_fixed_weak_views(images):
    cache = load(CountingTeacher(), images)
    assert cache.features.shape == (2, 300, 6)
    assert [tuple(level.shape) for level in cache.maps] == [(2, 300, 3), (2, 300, 6), (2, 300, 6)]
    assert cache.features.dtype == torch.float16
    generator = torch.Generator().manual_seed(0)
    augment = Augment(teacher_cache._WEAK, MEAN, STD)
    for view, seen in enumerate((normalise(images, MEAN, STD), augment(images, generator))):
        output = CountingTeacher()(seen)
        wanted = F.normalize(output.features, dim=1)
        torch.testing.assert_close(cache.features[view].float(), wanted, atol=2e-3, rtol=1e-3)
        pooled = F.normalize(output.maps[0].mean((2, 3)), dim=1)
        torch.testing.assert_close(cache.maps[0][view].float(), pooled, atol=2e-3, rtol=1e-3)
    assert not torch.equal(cache.features[0], cache.features[1])


def test_a_second_load_reads_what_the_first_wrote(images, folder):
    teacher = CountingTeacher()
    first = load(teacher, images)
    assert teacher.images == 600
    second = load(teacher, images)
    assert teacher.images == 600
    assert torch.equal(first.features, second.features)
    assert all(torch.equal(a, b) for a, b in zip(first.maps, second.maps, strict=True))
    assert len(list(folder.iterdir())) == 1


def test_work_that_was_killed_goes_on(images, folder, monkeypatch):
    class Killed(CountingTeacher):
        def forward(self, images):
            if self.images + len(images) > 450:
                raise KeyboardInterrupt
            return super().forward(images)

    whole = load(CountingTeacher(), images)
    shutil.rmtree(folder)
    monkeypatch.setattr(teacher_cache, "_BATCH", 50)
    monkeypatch.setattr(teacher_cache, "_IMAGES_A_PART", 100)
    with pytest.raises(KeyboardInterrupt):
        load(Killed(), images)
    (parts,) = folder.iterdir()
    assert {file.name for file in parts.iterdir()} == {
        f"{view}.safetensors" for view in ("0-0", "0-100", "0-200", "1-0")
    }
    (parts / "0-100.safetensors").write_bytes(b"cut")
    again = CountingTeacher()
    cache = load(again, images)
    assert again.images == 600 - 300
    torch.testing.assert_close(cache.features, whole.features, atol=1e-3, rtol=1e-3)
    assert not parts.exists()


def test_what_the_features_depend_on_is_in_the_name(images, folder):
    load(CountingTeacher(), images)
    changed = images.clone()
    changed[17, 0, 0, 0] ^= 1
    for number, arguments in enumerate(
        (
            {"teacher": CountingTeacher("b"), "images": images},
            {"teacher": CountingTeacher(), "images": changed},
            {"teacher": CountingTeacher(), "images": images.flip(0)},
            {"teacher": CountingTeacher(), "images": images, "views": 1},
            {"teacher": CountingTeacher(), "images": images, "with_maps": False},
            {"teacher": CountingTeacher(), "images": images, "mean": (0.5, 0.4, 0.31)},
        ),
        start=2,
    ):
        load(**arguments)
        assert arguments["teacher"].images > 0
        assert len(list(folder.iterdir())) == number


@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "foreign", "folder"])
def test_a_damaged_or_foreign_file_is_computed_again(images, folder, damage):
    teacher = CountingTeacher()
    expected = load(teacher, images).features
    (path,) = folder.iterdir()
    whole = path.read_bytes()
    if damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "noise":
        path.write_bytes(bytes(range(256)) * 40)
    elif damage == "foreign":
        load(CountingTeacher("other"), images[:10])
        (other,) = set(folder.iterdir()) - {path}
        other.replace(path)
    else:
        path.unlink()
    assert torch.equal(load(teacher, images).features, expected)
    assert teacher.images == 1200
    assert path.read_bytes() == whole
    assert list(folder.iterdir()) == [path]


def test_each_image_takes_one_of_its_own_features(images):
    cache = load(CountingTeacher(), images, views=3)
    indices = torch.tensor([5, 299, 0, 5, 17] * 40)
    generator = torch.Generator().manual_seed(0)
    drawn = cache.draw(indices, generator)
    own = cache.features[:, indices].float()  # (V, B, D)
    matches = (own == drawn.features).all(dim=2)  # (V, B)
    assert matches.any(dim=0).all()
    assert (matches.sum(dim=1) > 30).all()
    assert [tuple(level.shape) for level in drawn.maps] == [(200, 3, 1, 1), (200, 6, 1, 1), (200, 6, 1, 1)]
    chosen = matches.int().argmax(dim=0)
    assert torch.equal(drawn.maps[1][..., 0, 0], cache.maps[1][chosen, indices].float())
    assert torch.equal(cache.draw(indices, torch.Generator().manual_seed(0)).features, drawn.features)


@pytest.mark.parametrize("name", ["ca-dssl", "seed", "simdistill", "best"])
def test_a_step_with_cached_features_does_not_run_the_teacher(name, images, toy_encoder):
    teacher = CountingTeacher()
    method = create_method(name, toy_encoder, {"cached_views": 2}, teacher)
    method.prepare(images, MEAN, STD)
    seen = teacher.images
    assert seen == 600
    generator = torch.Generator().manual_seed(0)
    for start in (0, 8):
        indices = torch.arange(start, start + 8)
        views = tuple(torch.randn(8, 3, 16, 16, generator=generator) for _ in method.views)
        result = method(Batch(views, indices, None), generator, 0.5)
        result.loss.backward()
        assert torch.isfinite(result.loss)
    assert teacher.images == seen
    assert [key for key, value in method.named_parameters() if value.grad is None] == []
    assert sum(value.numel() for value in method.state_dict().values()) == sum(
        value.numel()
        for value in create_method(name, copy.deepcopy(toy_encoder), None, CountingTeacher()).state_dict().values()
    )


def test_a_step_before_the_features_are_there_is_refused(toy_encoder):
    method = create_method("seed", toy_encoder, {"cached_views": 1}, CountingTeacher())
    with pytest.raises(RuntimeError, match="prepare"):
        method(Batch((torch.zeros(4, 3, 16, 16),), torch.arange(4), None), torch.Generator(), 0.0)


def test_whitened_features_have_mahalanobis_cosines(images):
    class Spread(CountingTeacher):
        """Its features have variances that differ by orders of magnitude, and a mean larger than any."""

        def forward(self, images):
            output = super().forward(images)
            centred = (output.features - 0.5) * torch.tensor([1.0, 9.0, 0.2, 3.0, 0.5, 1.5]) + 20
            return TeacherOutput(centred, output.maps)

    cache = load(Spread(), images)
    whitened = cache.whitened(6)
    assert [level.equal(kept) for level, kept in zip(whitened.maps, cache.maps, strict=True)] == [True] * 3
    for view in range(2):
        own = cache.features[view].double() - cache.features[0].double().mean(dim=0)
        covariance = torch.cov(cache.features[0].double().T, correction=0)
        products = own @ torch.linalg.inv(covariance) @ own.T  # What no choice of axes changes.
        lengths = products.diagonal().sqrt()
        found = whitened.features[view].double()
        torch.testing.assert_close(found @ found.T, products / lengths / lengths[:, None], atol=5e-3, rtol=0)
    # Fewer are the first of more but for their common length, and are the directions of most variance.
    narrow = cache.whitened(2).features[0].double()
    torch.testing.assert_close(narrow, F.normalize(whitened.features[0].double()[:, :2], dim=1), atol=5e-3, rtol=0)
    again = cache.whitened(6)
    assert again.features.equal(whitened.features)


def test_more_coordinates_than_there_are_directions_are_refused(images):
    with pytest.raises(ConfigError, match=r"target_coordinates is 7, but .* have 6 directions"):
        load(CountingTeacher(), images).whitened(7)
    constant = torch.full_like(images, 77)
    with pytest.raises(ConfigError, match="have 0 directions; give another --teacher"):
        load(CountingTeacher("constant"), constant, views=1).whitened(1)


def test_best_matches_coordinates_in_place_of_features(images, toy_encoder):
    options = {"cached_views": 2, "target_coordinates": 4, "queue_size": 20, "head_width": 8, "projector_width": 8}
    method = create_method("best", toy_encoder, options, CountingTeacher())
    method.prepare(images, MEAN, STD)
    batch = Batch(tuple(torch.randn(8, 3, 16, 16) for _ in method.views), torch.arange(8), None)
    assert method.targets(batch, torch.Generator()).features.shape == (8, 4)
    assert torch.isfinite(method(batch, torch.Generator().manual_seed(0), 0.0).loss)
    with pytest.raises(ConfigError, match="target_coordinates are of cached features"):
        create_method("best", toy_encoder, {"target_coordinates": 4}, CountingTeacher())
