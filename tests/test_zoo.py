import shutil

import pytest

import tinyedge
from tinyedge.errors import CheckpointError, ModelError
from tinyedge.manifest.model_path import resolve_model
from tinyedge.training.run import claim_run, load_run
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
    run = claim_run("tinynext_t_cifar10")
    assert run.path.resolve() == tmp_path / "tinynext_t_cifar10"
    assert (run.path / "export" / "model_int8.tflite").is_file()
    assert resolve_model(run.path) == run.path / "export" / "model_int8.tflite"
    (run.path / "probe.json").write_text("[]")
    assert claim_run("tinynext_t_cifar10").path == run.path
    assert (run.path / "probe.json").read_text() == "[]"  # It is the user's now.
    shutil.rmtree(run.path)


def test_an_unknown_name_hears_of_the_zoo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"a model of the zoo: .*tinynext_t_cifar10"):
        resolve_model("tinynext_cifar10")
    with pytest.raises(CheckpointError, match=r"does not exist.*did you mean tinynext_t_cifar10\?"):
        claim_run("tinynext_cifar10")
    with pytest.raises(CheckpointError, match=r"a model of the zoo: .*did you mean tinynext_t_cifar10\?"):
        tinyedge.load("tinynext_cifar10")
