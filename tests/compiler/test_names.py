"""What a model is called in C."""

import shutil
from pathlib import Path

import pytest

from tinyedge.api.compile import compile as compile_to_c
from tinyedge.compiler.emit.names import check_name, default_name
from tinyedge.errors import ConfigError

ZOO = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10"


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("vww_mbv1_025_int8", "vww_mbv1_025_int8"),
        ("odd name (1)", "odd_name_1"),
        ("ResNet-8.v2", "resnet_8_v2"),
        ("3x3", "model_3x3"),
        ("te_kernels", "model_te_kernels"),
        ("Zähler", "z_hler"),
        ("---", "model"),
    ],
)
def test_a_file_name_becomes_a_name_in_c(stem: str, name: str) -> None:
    assert default_name(stem) == name
    check_name(name)


@pytest.mark.parametrize("name", ["", "IC", "1st", "a-b", "_ic", "te", "te_ic", "a b", "ä", "ic\n"])
def test_what_is_no_name_in_c_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="--name"):
        check_name(name)


def test_a_run_gives_its_name(tmp_path: Path) -> None:
    shutil.copytree(ZOO, tmp_path / "My run" / "export")
    report = compile_to_c(tmp_path / "My run", tmp_path / "c")
    assert report.name == "my_run"
    assert (tmp_path / "c" / "src" / "my_run_model.h").is_file()


def test_a_model_of_the_zoo_gives_its_name(tmp_path: Path) -> None:
    assert compile_to_c(ZOO.name, tmp_path, cascade="never").name == ZOO.name
