import copy
import itertools
import shutil

import pytest
import torch
import torch.nn.functional as F

from tinyedge.data.augment import Augment, Window, normalise
from tinyedge.data.dataset import ImageSplit, build_dataset
from tinyedge.errors import ConfigError
from tinyedge.ssl import teacher_cache
from tinyedge.ssl.base import Batch
from tinyedge.ssl.registry import create_method, method_options
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.training.views import ViewMaker

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


class Shown:
    """What a `tinyedge.announce.Progress` is shown."""

    def __init__(self):
        self.shown = []

    def say(self, sentence):
        raise AssertionError(sentence)

    def show(self, what, done, of, detail=""):
        assert what == "teacher's features, part"
        self.shown.append((done, of))


def load(teacher, images, views=2, map_grid=2, mean=MEAN, **settings):
    return teacher_cache.load_teacher_cache(teacher, images, mean, STD, views=views, map_grid=map_grid, **settings)


def test_features_are_the_teachers_of_the_image_and_of_fixed_weak_views(images):
    cache = load(CountingTeacher(), images)
    assert cache.features.shape == (2, 300, 6)
    assert [tuple(level.shape) for level in cache.maps] == [(300, 3, 2, 2), (300, 6, 2, 2), (300, 6, 2, 2)]
    assert cache.features.dtype == torch.float16
    generator = torch.Generator().manual_seed(0)
    augment = Augment(teacher_cache._WEAK, MEAN, STD)
    for view, seen in enumerate((normalise(images, MEAN, STD), augment(images, generator))):
        output = CountingTeacher()(seen)
        wanted = F.normalize(output.features, dim=1)
        torch.testing.assert_close(cache.features[view].float(), wanted, atol=2e-3, rtol=1e-3)
    assert not torch.equal(cache.features[0], cache.features[1])
    whole = CountingTeacher()(normalise(images, MEAN, STD))
    for kept, level in zip(cache.maps, whole.maps, strict=True):
        half = level.shape[2] // 2
        lower_left = F.normalize(level[:, :, half:, :half].mean((2, 3)), dim=1)
        torch.testing.assert_close(kept[:, :, 1, 0].float(), lower_left, atol=2e-3, rtol=1e-3)


def test_a_second_load_reads_what_the_first_wrote(images, folder):
    teacher = CountingTeacher()
    first = load(teacher, images)
    assert teacher.images == 601  # One tells how large the maps are.
    second = load(teacher, images)
    assert teacher.images == 601  # One tells how large the maps are.
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
    again, progress = CountingTeacher(), Shown()
    cache = load(again, images, progress=progress)
    assert again.images == 601 - 300
    assert progress.shown == [(3, 6), (4, 6), (5, 6), (6, 6)]
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
            {"teacher": CountingTeacher(), "images": images, "map_grid": 0},
            {"teacher": CountingTeacher(), "images": images, "map_grid": 3},
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
    assert teacher.images == 1202
    assert path.read_bytes() == whole
    assert list(folder.iterdir()) == [path]


def test_each_image_takes_one_of_its_own_features(images):
    cache = load(CountingTeacher(), images, views=3)
    indices = torch.tensor([5, 299, 0, 5, 17] * 40)
    generator = torch.Generator().manual_seed(0)
    drawn = cache.draw(indices, generator, None)
    own = cache.features[:, indices].float()  # (V, B, D)
    matches = (own == drawn.features).all(dim=2)  # (V, B)
    assert matches.any(dim=0).all()
    assert (matches.sum(dim=1) > 30).all()
    assert torch.equal(drawn.maps[1], cache.maps[1][indices].float())
    assert torch.equal(cache.draw(indices, torch.Generator().manual_seed(0), None).features, drawn.features)


def test_a_map_is_kept_no_finer_than_the_teachers(images):
    """Its last map has 16 cells a side, its first 8 and its second 4: copies of a cell say nothing of places."""
    maps = load(CountingTeacher(), images[:9], map_grid=6).maps
    assert [tuple(level.shape) for level in maps] == [(9, 3, 6, 6), (9, 6, 4, 4), (9, 6, 6, 6)]


def test_maps_stay_float32_under_autocast(images):
    cache = load(CountingTeacher(), images[:9], map_grid=3)
    shares = torch.tensor([0.2, 0.3])
    window = Window(shares, shares, 1 - shares, 1 - shares, torch.tensor([True, False]))
    indices = torch.tensor([4, 8])
    with torch.autocast("cpu", torch.bfloat16):
        found = cache.draw(indices, torch.Generator(), window).maps
    wanted = cache.draw(indices, torch.Generator(), window).maps
    assert all(torch.equal(one, other) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("name", ["ca-dssl", "best"])
@pytest.mark.parametrize("cells", [0, 17, 100_000])
def test_a_grid_that_no_memory_holds_is_refused(name, cells):
    with pytest.raises(ConfigError, match=rf"cached_grid is {cells}, but has to be from 1 to 16"):
        method_options(name, {"cached_grid": cells})


@pytest.mark.parametrize("grid", [1, 2, 3, 5])
def test_maps_are_read_where_the_crop_lies(images, grid):
    cache = load(CountingTeacher(), images, map_grid=grid)
    indices = torch.tensor([7, 7, 299, 0])
    top, left = torch.tensor([0.0, 0.5, 0.25, 0.1]), torch.tensor([0.0, 0.4, 0.0, 0.3])
    height, width = torch.tensor([1.0, 0.5, 0.7, 0.35]), torch.tensor([1.0, 0.6, 1.0, 0.4])
    window = Window(top, left, height, width, torch.tensor([False, True, True, False]))
    drawn = cache.draw(indices, torch.Generator().manual_seed(0), window)

    def near(position, cells):
        """The cells on both sides of a position, and how much of the second counts."""
        position = min(max(position, 0.0), cells - 1.0)
        low = min(int(position), cells - 1)
        return low, min(low + 1, cells - 1), position - low

    for kept, seen in zip(cache.maps, drawn.maps, strict=True):
        cells = kept.shape[2]
        assert seen.shape == (4, *kept.shape[1:])
        for sample, row, column in itertools.product(range(4), range(cells), range(cells)):
            own = kept[indices[sample]].float()
            across = cells - 1 - column if window.flipped[sample] else column
            y0, y1, below = near(cells * float(top[sample]) + (row + 0.5) * float(height[sample]) - 0.5, cells)
            x0, x1, right = near(cells * float(left[sample]) + (across + 0.5) * float(width[sample]) - 0.5, cells)
            above = (1 - right) * own[:, y0, x0] + right * own[:, y0, x1]
            under = (1 - right) * own[:, y1, x0] + right * own[:, y1, x1]
            torch.testing.assert_close(seen[sample, :, row, column], (1 - below) * above + below * under)
    assert torch.equal(drawn.maps[0][0], cache.maps[0][7].float())  # The whole image, as it is.


@pytest.mark.parametrize("name", ["ca-dssl", "seed", "simdistill", "best"])
def test_a_step_with_cached_features_does_not_run_the_teacher(name, images, toy_encoder):
    teacher = CountingTeacher()
    method = create_method(name, toy_encoder, {"cached_views": 2}, teacher)
    method.prepare(images, MEAN, STD)
    seen = teacher.images
    assert seen in (600, 601)  # One tells how large the maps are.
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


@pytest.mark.parametrize("cached_views", [0, 1])
@pytest.mark.parametrize("name", ["ca-dssl", "seed", "simdistill", "best"])
def test_views_may_be_small_where_the_teacher_sees_its_own(name, cached_views, images, toy_encoder):
    method = create_method(name, toy_encoder, {"cached_views": cached_views}, CountingTeacher())
    assert method.any_view_size == (name != "seed" or cached_views > 0)
    if not method.any_view_size:
        return
    method.prepare(images, MEAN, STD)
    make = ViewMaker(method.views, "strong", build_dataset("photos", ImageSplit(images, None), None, ()), 16)
    generator = torch.Generator().manual_seed(0)
    views, windows = make(images[:8], generator, size=8)
    assert {view.shape[2] for view in views} == ({8} if cached_views else {8, 16})
    result = method(Batch(views, torch.arange(8), None, windows), generator, 0.5)
    result.loss.backward()
    assert torch.isfinite(result.loss)


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
