import hashlib
import json
import shutil
from pathlib import Path

import pytest

from tinyedge.errors import ModelError
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.model_path import default_firmware_folder, resolve_model

ZOO_MANIFEST = Path(__file__).parents[2] / "models" / "tinynext_t_cifar10" / "export.json"


def write_export(run: Path, **changes) -> None:
    content = {**json.loads(ZOO_MANIFEST.read_text()), "files": {}, **changes}
    (run / "export").mkdir(exist_ok=True)
    (run / "export" / "export.json").write_text(json.dumps(content))


def record_of(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


@pytest.mark.parametrize("name", ["model_int8.tflite", "model_mixed.tflite", "model_16x8.tflite"])
def test_a_run_means_the_model_that_its_manifest_names(tmp_path, name):
    write_export(tmp_path, model=name, files={name: record_of(b"x")})
    model = tmp_path / "export" / name
    model.write_bytes(b"x")
    (tmp_path / "export" / "model_other.tflite").write_bytes(b"y")
    assert resolve_model(tmp_path) == model
    assert resolve_model(model) == model


def test_a_copy_of_the_zoo_that_was_exported_anew_means_its_own_export(tmp_path):
    for name in ("export.json", "model_int8.tflite"):
        shutil.copy(ZOO_MANIFEST.with_name(name), tmp_path)
    assert resolve_model(tmp_path) == tmp_path / "model_int8.tflite"
    write_export(tmp_path, model="model_mixed.tflite")
    (tmp_path / "export" / "model_mixed.tflite").write_bytes(b"own")
    assert resolve_model(tmp_path) == tmp_path / "export" / "model_mixed.tflite"


def test_a_manifest_of_before_there_was_a_choice_means_int8(tmp_path):
    write_export(tmp_path)
    content = json.loads((tmp_path / "export" / "export.json").read_text())
    (tmp_path / "export" / "export.json").write_text(
        json.dumps({key: value for key, value in content.items() if key not in ("model", "precision")})
    )
    (tmp_path / "export" / "model_int8.tflite").write_bytes(b"x")
    assert resolve_model(tmp_path).name == "model_int8.tflite"


def test_an_export_of_an_encoder_that_was_trained_on_since_is_refused(tmp_path):
    write_export(tmp_path, made_from={"encoder.safetensors": record_of(b"exported")})
    model = tmp_path / "export" / "model_int8.tflite"
    model.write_bytes(b"x")
    assert resolve_model(tmp_path) == model  # The encoder is not there to compare.
    (tmp_path / "encoder.safetensors").write_bytes(b"exported")
    assert resolve_model(tmp_path) == model
    (tmp_path / "encoder.safetensors").write_bytes(b"trained on")
    with pytest.raises(ModelError, match=r"safetensors was trained on since it was exported: run `tinyedge export"):
        resolve_model(tmp_path)
    assert resolve_model(model) == model


def test_a_model_that_is_not_the_one_that_was_exported_is_refused(tmp_path):
    write_export(tmp_path, model="model_int8.tflite", files={"model_int8.tflite": record_of(b"exported")})
    model = tmp_path / "export" / "model_int8.tflite"
    model.write_bytes(b"another.")
    with pytest.raises(ModelError, match=r"model_int8\.tflite is not the file that was exported: run `tinyedge export"):
        resolve_model(tmp_path)
    assert resolve_model(model) == model


@pytest.mark.parametrize("name", ["../secret.tflite", "/etc/secret.tflite", "deeper/secret.tflite"])
def test_a_manifest_names_no_file_outside_of_its_folder(tmp_path, name):
    (tmp_path / "export" / "deeper").mkdir(parents=True)
    for place in (tmp_path, tmp_path / "export" / "deeper"):
        (place / "secret.tflite").write_bytes(b"x")
    write_export(tmp_path, model=name)
    with pytest.raises(ModelError, match=r"outside of its folder|has no /etc/secret\.tflite"):
        resolve_model(tmp_path)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"schema": ' + "9" * 5000 + "}", "[1, 2]", "null"])
def test_a_manifest_that_nobody_wrote_is_a_sentence(tmp_path, content):
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "export.json").write_text(content)
    with pytest.raises(ModelError, match=r"export\.json (cannot be read|is not of schema)"):
        resolve_model(tmp_path)


@pytest.mark.parametrize("model", [None, "model_int8.tflite"])
def test_a_run_without_a_quantised_model_says_which_command_comes_first(tmp_path, model):
    with pytest.raises(ModelError, match=f"tinyedge export {tmp_path} --int8"):
        resolve_model(tmp_path)
    write_export(tmp_path, model=model)
    with pytest.raises(ModelError, match=f"has no {model or 'quantised model'}: .*tinyedge export {tmp_path} --int8"):
        resolve_model(tmp_path)


def test_a_folder_that_is_no_run_is_not_sent_to_export_alone(tmp_path):
    folder = tmp_path / "my models"
    folder.mkdir()
    with pytest.raises(
        ModelError, match=r"run `tinyedge export '.*/my models' --int8` first; else give a \.tflite file"
    ):
        resolve_model(folder)
    (folder / "kws.tflite").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"else give one of its models, such as .*/my models/kws\.tflite"):
        resolve_model(folder)


def test_the_manifest_of_a_lone_file_is_not_sought_in_a_run(tmp_path):
    with pytest.raises(ModelError, match=r"put the export\.json there that `tinyedge export` wrote") as refused:
        read_manifest(tmp_path)
    assert str(tmp_path.parent) + " " not in str(refused.value)
    with pytest.raises(ModelError, match=f"run `tinyedge export {tmp_path} --int8`"):
        read_manifest(tmp_path / "export")


def test_nothing_there(tmp_path):
    with pytest.raises(ModelError, match="no such file or run"):
        resolve_model(tmp_path / "none.tflite")


def test_where_the_firmware_goes(tmp_path):
    assert default_firmware_folder(tmp_path, "b") == tmp_path / "firmware" / "b"
    assert default_firmware_folder(Path("models/ic.tflite"), "b") == Path("ic-b")


@pytest.mark.parametrize(
    ("data", "more"),
    [("cats", " --data IMAGES"), ("'my cats'", " --data IMAGES"), ("cifar10", ""), ("/images/cats", "")],
)
def test_a_packed_run_is_exported_with_its_images(tmp_path, data, more):
    (tmp_path / "config.yaml").write_text(f"method: best\ndata: {data}\ndata_root: null\n")
    with pytest.raises(ModelError, match=rf"run `tinyedge export {tmp_path} --int8{more}` first"):
        resolve_model(tmp_path)
