from dataclasses import replace

import numpy as np
import pytest
import torch

from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageSplit, build_dataset
from tinyedge.errors import ConfigError
from tinyedge.evaluation.probe import probe_run
from tinyedge.training import patch_teacher
from tinyedge.training.patch_teacher import principal_axes
from tinyedge.training.run import load_run
from tinyedge.training.teacher import load_teacher
from tinyedge.training.train import train


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "teachers"


@pytest.fixture
def dataset():
    images = torch.randint(0, 256, (60, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return build_dataset("generated", ImageSplit(images, None), None, ())


@pytest.mark.parametrize(("rows", "columns", "count"), [(30, 12, 5), (12, 30, 5), (40, 6, 9), (6, 40, 9)])
def test_principal_axes_whiten(rows, columns, count):
    features = torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)) * torch.linspace(3, 0.1, columns)
    centred = features - features.mean(dim=0)
    axes = principal_axes(centred, count)
    values = np.linalg.svd(centred.double().numpy(), full_matrices=False)
    found = min(count, rows - 1, columns)  # centred rows have one dimension less
    expected = values[0][:, :found] * np.sqrt(rows)  # unit variance, up to the sign
    coordinates = (centred @ axes).double().numpy()
    np.testing.assert_allclose(np.abs(coordinates[:, :found]), np.abs(expected), atol=1e-4)
    assert not axes[:, found:].any()
    assert (axes.gather(0, axes.abs().argmax(dim=0, keepdim=True))[0, :found] > 0).all()


def test_coordinates_of_the_sample_are_white(dataset):
    teacher = load_teacher("patches:10", dataset)
    output = teacher(normalise(dataset.train.images, dataset.mean, dataset.std))
    assert output.maps == teacher.map_channels == ()
    assert output.features.shape == (60, teacher.feature_dim) == (60, 40)
    covariance = output.features.T @ output.features / 60
    torch.testing.assert_close(covariance, torch.eye(40), atol=1e-3, rtol=0)
    torch.testing.assert_close(output.features.mean(dim=0), torch.zeros(40), atol=1e-3, rtol=0)


def test_what_was_learned_is_read_again(dataset, folder, monkeypatch):
    first = load_teacher("patches:10", dataset)
    (file,) = folder.iterdir()
    monkeypatch.setattr(patch_teacher.PatchTeacher, "learn", None)  # cannot be called again
    second = load_teacher("patches:10", dataset)
    assert first.digest == second.digest
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())
    monkeypatch.undo()
    monkeypatch.setenv("TINYEDGE_CACHE", str(folder.parent))
    file.write_bytes(file.read_bytes()[:100])
    assert torch.equal(load_teacher("patches:10", dataset).axes, first.axes)


def test_its_digest_follows_atoms_and_images(dataset):
    other = build_dataset("generated", ImageSplit(dataset.train.images.flip(0), None), None, ())
    digests = {load_teacher(name, data).digest for name in ("patches:10", "patches:11") for data in (dataset, other)}
    assert len(digests) == 4


@pytest.mark.parametrize("source", ["patches:", "patches:0", "patches:many", "patches:10,patches:x"])
def test_a_number_that_is_none_is_named(source, dataset):
    with pytest.raises(ConfigError, match="no number from 1 to 999999 behind the colon; write patches:1024"):
        load_teacher(source, dataset)


def test_two_teachers_of_which_one_has_no_maps_have_none(dataset):
    teacher = load_teacher("patches:10,patches:6", dataset)
    output = teacher(torch.randn(2, 3, 12, 12))
    assert output.maps == teacher.map_channels == ()
    assert output.features.shape == (2, 64)


def test_a_run_distils_a_dictionary_and_goes_on(tmp_path, small_config, folder):
    options = {"cached_views": 2, "multi_scale_weight": 0, "relational_weight": 0, "similarity_weight": 1}
    config = replace(small_config, method="best", teacher="patches:12", method_options=options, epochs=1)
    run = train(config, tmp_path / "run")
    assert run.config.teacher == "patches:12"
    assert len(list(folder.iterdir())) == 2  # the teacher, and its features
    assert train(run.config, tmp_path / "run", resume=True).config == run.config
    with pytest.raises(ConfigError, match="no maps to match; give --option multi_scale_weight=0"):
        train(replace(config, method_options={}), tmp_path / "other")


def test_a_dictionary_is_a_row_of_its_own(tmp_path, small_config):
    config = replace(small_config, data="digits", method="random", encoder="patches:20", strides=None)
    run = train(config, tmp_path / "run")
    dictionary = run.load_encoder().dictionary.weight
    assert dictionary.norm(dim=1).min() > 0.1
    result = probe_run(load_run(run.path), label_fraction=0.5, seeds=1)
    random = train(replace(config, encoder="tinynext_t"), tmp_path / "random")
    assert result.mean > probe_run(load_run(random.path), label_fraction=0.5, seeds=1).mean
    with pytest.raises(ConfigError, match="patches:20 has nothing to train; give --method random"):
        train(replace(config, method="simclr"), tmp_path / "other")
