from dataclasses import replace

import numpy as np
import pytest
import torch

from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageSplit, build_dataset
from tinyedge.errors import ConfigError
from tinyedge.evaluation.probe import probe_run
from tinyedge.training import patch_teacher
from tinyedge.training.check import check_training
from tinyedge.training.patch_teacher import principal_directions, shared_axes
from tinyedge.training.run import load_run
from tinyedge.training.teacher import load_teacher
from tinyedge.training.teacher_source import chosen_options, named_source
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
def test_principal_directions_are_the_right_singular_vectors(rows, columns, count):
    features = torch.randn(rows, columns, generator=torch.Generator().manual_seed(1)) * torch.linspace(3, 0.1, columns)
    centred = features - features.mean(dim=0)
    directions = principal_directions(centred, count).double().numpy()
    found = min(count, rows - 1, columns)  # centred rows have one dimension less
    expected = np.linalg.svd(centred.double().numpy(), full_matrices=False)[2][:found]
    assert directions.shape == (columns, found)
    np.testing.assert_allclose(np.abs(np.sum(directions * expected.T, axis=0)), 1, atol=1e-5)


def test_shared_axes_solve_the_generalised_eigenproblem():
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(400, 8, generator=generator) * torch.tensor([1.0, 3, 1, 2, 0.5, 1, 1, 1])
    first, second = (image + torch.randn(400, 8, generator=generator) * torch.linspace(0.2, 4, 8) for _ in range(2))
    axes = shared_axes(first, second, 10).double().numpy()
    a, b = (x.double().numpy() - x.double().numpy().mean(axis=0) for x in (first, second))
    within = sum((x - (a + b) / 2).T @ (x - (a + b) / 2) for x in (a, b)) / 400
    within += 0.1 * np.trace(within) / 8 * np.eye(8)
    total = (a.T @ a + b.T @ b) / 800
    ratios, vectors = np.linalg.eig(np.linalg.inv(within) @ total)
    order = np.argsort(-ratios.real)
    np.testing.assert_allclose(axes[:, :8].T @ within @ axes[:, :8], np.eye(8), atol=1e-5)
    np.testing.assert_allclose(np.diag(axes[:, :8].T @ total @ axes[:, :8]), ratios.real[order], rtol=1e-5)
    expected = (vectors / np.linalg.norm(vectors, axis=0))[:, order].real
    found = axes[:, :8] / np.linalg.norm(axes[:, :8], axis=0)
    np.testing.assert_allclose(np.abs(np.sum(found * expected, axis=0)), 1, atol=1e-5)
    assert not axes[:, 8:].any()
    assert (np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], 0) > 0).all()


def test_the_feature_is_the_encoders_along_the_axes(dataset):
    teacher = load_teacher("patches:10", dataset)
    pixels = normalise(dataset.train.images, dataset.mean, dataset.std)
    output = teacher(pixels)
    assert output.maps == teacher.map_channels == ()
    assert output.features.shape == (60, teacher.feature_dim) == (60, 40)
    torch.testing.assert_close(output.features, (teacher.encoder(pixels) - teacher.centre) @ teacher.axes)
    torch.testing.assert_close(output.features.mean(dim=0), torch.zeros(40), atol=1e-3, rtol=0)
    assert (output.features.std(dim=0) > 0.1).all()


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
    options = {"cached_views": 2, "relational_weight": 0, "similarity_weight": 1, "projector_width": 64}
    config = replace(small_config, method="best", teacher="patches:12", method_options=options, epochs=1)
    run = train(config, tmp_path / "run")
    assert run.config.teacher == "patches:12"
    assert run.config.method_options["multi_scale_weight"] == 0  # A dictionary has no maps.
    assert len(list(folder.iterdir())) == 2  # the teacher, and its features
    assert train(run.config, tmp_path / "run", resume=True).config == run.config
    with pytest.raises(ConfigError, match="no maps to match; give --option multi_scale_weight=0"):
        check_training(replace(config, method_options={"multi_scale_weight": 0.5}), tmp_path / "other")
    assert chosen_options(replace(config, teacher="dino_vits16", method_options={}))["multi_scale_weight"] == 0.5
    assert chosen_options(replace(config, method="simclr", teacher=None, method_options={})).keys() >= {"temperature"}


def test_a_dictionary_without_a_number_says_how_many_it_has():
    assert named_source("patches,patches:12") == "patches (1,024 of them; patches:4096 takes 4,096),patches:12"


def test_a_dictionary_is_a_row_of_its_own(tmp_path, small_config):
    config = replace(
        small_config, data="digits", method="random", method_options={}, encoder="patches:20", strides=None
    )
    run = train(config, tmp_path / "run")
    dictionary = run.load_encoder().dictionary.weight
    assert dictionary.norm(dim=1).min() > 0.1
    result = probe_run(load_run(run.path), label_fraction=0.5, protocol="knn", seeds=1)
    random = train(replace(config, encoder="small_cnn"), tmp_path / "random")
    assert result.mean > probe_run(load_run(random.path), label_fraction=0.5, protocol="knn", seeds=1).mean
    with pytest.raises(ConfigError, match="patches:20 has nothing to train; give --method random"):
        train(replace(config, method="simclr"), tmp_path / "other")
