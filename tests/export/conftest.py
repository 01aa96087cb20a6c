"""Exports that several tests share: converting is the slow part."""

import pytest
from export_inputs import Exported, export_trained_like, make_trained_like


@pytest.fixture(scope="session")
def trained_like():
    """A function that makes an encoder look trained."""
    return make_trained_like


@pytest.fixture(scope="session")
def tinynext_export(tmp_path_factory) -> Exported:
    """A TinyNeXt classifier at 24 pixels, grids of odd and even sizes."""
    return export_trained_like("tinynext_t", 24, (2, 1, 2, 1, 2), True, tmp_path_factory.mktemp("tinynext") / "export")


@pytest.fixture(scope="session")
def mobilenetv2_export(tmp_path_factory) -> Exported:
    """A MobileNetV2 encoder without a classifier at 24 pixels."""
    folder = tmp_path_factory.mktemp("mobilenetv2") / "export"
    return export_trained_like("mobilenetv2_035", 24, (2, 1, 1, 2, 2, 1, 1, 1), False, folder)


@pytest.fixture(scope="session")
def mixed_export(tmp_path_factory) -> Exported:
    """A MobileNetV2 classifier at 16 pixels, 16x8 where it is worth it."""
    folder = tmp_path_factory.mktemp("mixed") / "export"
    return export_trained_like("mobilenetv2_035", 16, (2, 1, 1, 2, 2, 1, 1, 1), True, folder, "mixed")
