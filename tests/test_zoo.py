from functools import partial
from pathlib import Path

import pytest
from PIL import Image

import tinyedge
from tinyedge.errors import CheckpointError, DataError, GateFailed, ModelError
from tinyedge.manifest.model_path import resolve_model
from tinyedge.training.run import claimed_run, load_run
from tinyedge.zoo import locate, zoo_names


def test_the_models_of_the_repository_are_there():
    assert {"tinynext_t_cifar10", "mobilenetv2_035_cifar10"} <= set(zoo_names())


@pytest.mark.parametrize("name", zoo_names())
def test_a_name_is_a_model_and_a_run(name):
    assert resolve_model(name).name == "model_int8.tflite"
    assert resolve_model(locate(name)) == resolve_model(name)
    assert load_run(name).config.image_size == 32


def test_what_is_here_comes_before_the_zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tinynext_t_cifar10").write_bytes(b"mine")
    assert resolve_model("tinynext_t_cifar10").read_bytes() == b"mine"


def test_what_writes_into_a_run_works_on_a_copy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = Path("tinynext_t_cifar10")
    with claimed_run(load_run(name), name) as run:
        assert run.path.resolve() == tmp_path / name
        assert (run.path / "export" / "model_int8.tflite").is_file()
        assert resolve_model(run.path) == run.path / "export" / "model_int8.tflite"
        (run.path / "probe.json").write_text("[]")
    with pytest.raises(DataError), claimed_run(load_run(name), name) as again:
        assert again.path == run.path
        raise DataError("no labels")
    assert (run.path / "probe.json").read_text() == "[]"  # It is the user's now.


@pytest.mark.parametrize(("error", "kept"), [(DataError, False), (KeyboardInterrupt, False), (GateFailed, True)])
def test_a_copy_stays_only_where_something_was_made_of_it(tmp_path, monkeypatch, error, kept):
    monkeypatch.chdir(tmp_path)
    name = Path("tinynext_t_cifar10")
    with pytest.raises(error), claimed_run(load_run(name), name):
        raise error("so it is")
    assert name.exists() is kept
    assert kept or not list(tmp_path.iterdir())


@pytest.mark.parametrize("judge", [tinyedge.probe, partial(tinyedge.export, encoder_only=True)])
def test_no_copy_is_made_for_a_data_set_that_is_not_there(tmp_path, monkeypatch, judge):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="no-such-folder is neither"):
        judge("tinynext_t_cifar10", data="no-such-folder")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_no_copy_stays_of_a_data_set_without_labels(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    for number in range(4):
        Image.new("RGB", (32, 32), (60 * number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    with pytest.raises(DataError):
        tinyedge.probe("tinynext_t_cifar10", data="images")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_an_unknown_name_hears_of_the_zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"a model of the zoo: .*tinynext_t_cifar10"):
        resolve_model("tinynext_cifar10")
    with pytest.raises(CheckpointError, match=r"does not exist.*did you mean tinynext_t_cifar10\?"):
        load_run(Path("tinynext_cifar10"))
    with pytest.raises(CheckpointError, match=r"a model of the zoo: .*did you mean tinynext_t_cifar10\?"):
        tinyedge.load("tinynext_cifar10")
