"""What a model is called in C."""

import pytest

from tinyedge.compiler.emit.names import check_name, default_name
from tinyedge.errors import ConfigError


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
