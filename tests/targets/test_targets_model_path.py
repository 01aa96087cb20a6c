from pathlib import Path

import pytest

from tinyedge.errors import ModelError
from tinyedge.targets.model_path import default_firmware_folder, resolve_model


def test_a_run_means_its_int8_export(tmp_path):
    model = tmp_path / "export" / "model_int8.tflite"
    model.parent.mkdir()
    model.write_bytes(b"x")
    assert resolve_model(tmp_path) == model
    assert resolve_model(model) == model


def test_a_run_without_an_export_says_which_command_comes_first(tmp_path):
    with pytest.raises(ModelError, match=f"tinyedge export {tmp_path} --int8"):
        resolve_model(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(ModelError, match="no such file or run"):
        resolve_model(tmp_path / "none.tflite")


def test_where_the_firmware_goes(tmp_path):
    assert default_firmware_folder(tmp_path, "b") == tmp_path / "firmware" / "b"
    assert default_firmware_folder(Path("models/ic.tflite"), "b") == Path("models/ic-b")
