"""What the generated C tells of an exported model: its classes, and the preprocessing of its images."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from machines.case_machines import compile_object

from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.emit.c_text import string
from tinyedge.manifest.manifest import read_manifest
from tinyedge.manifest.preprocess import quantise_images

ZOO = Path(__file__).resolve().parents[2] / "models" / "tinynext_t_cifar10"
WARNINGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-pedantic"]
SANITISERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

# Tells of the model, then turns pixels into inputs, the last one where the pixels are.
MAIN = r"""
#include <stdio.h>
#include "ic_model.h"
int main(void) {
    static const float mean[] = IC_INPUT_MEAN, std[] = IC_INPUT_STD;
    static uint8_t pixels[IC_INPUT_HEIGHT * IC_INPUT_WIDTH * IC_INPUT_CHANNELS];
    for (int i = 0; i < IC_CLASS_COUNT; ++i) {
        fprintf(stderr, "%s,", ic_class_names[i]);
    }
    for (int i = 0; i < IC_INPUT_CHANNELS; ++i) {
        fprintf(stderr, "%.9g,%.9g,", (double)mean[i], (double)std[i]);
    }
    fprintf(stderr, "%.9g,%d,%.9g,%d", (double)IC_INPUT_SCALE, IC_INPUT_ZERO_POINT, (double)IC_OUTPUT_SCALE,
            IC_OUTPUT_ZERO_POINT);
    while (fread(pixels, 1, sizeof pixels, stdin) == sizeof pixels) {
        ic_quantise_pixels(pixels, ic_input());
        fwrite(ic_input(), 1, IC_INPUT_BYTES, stdout);
    }
    ic_quantise_pixels(pixels, (int8_t *)pixels);
    fwrite(pixels, 1, sizeof pixels, stdout);
    return 0;
}
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("card")
    compile_model(ZOO / "model_int8.tflite", out, name="ic")
    return out / "src"


def test_it_is_what_python_knows_and_does(sources: Path, tmp_path: Path) -> None:
    manifest = read_manifest(ZOO)
    (tmp_path / "main.c").write_text(MAIN)
    command = ["gcc", *WARNINGS, *SANITISERS, f"-I{sources}"]
    files = [tmp_path / "main.c", *sources.rglob("*.c")]
    objects = [compile_object(command, file, tmp_path / f"{file.stem}.o") for file in files]
    subprocess.run(["gcc", *SANITISERS, *objects, "-o", tmp_path / "main"], check=True)
    # Every value of every channel: 1,024 pixels, of which the channels count up, down, and up by 7.
    count = np.arange(32 * 32)
    every = np.stack([count % 256, 255 - count % 256, 7 * count % 256], axis=-1).astype(np.uint8).reshape(1, 32, 32, 3)
    images = np.concatenate([every, np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3)).astype(np.uint8)])
    done = subprocess.run([tmp_path / "main"], input=images.tobytes(), capture_output=True, check=True)
    expected = quantise_images(images, manifest)
    np.testing.assert_array_equal(
        np.frombuffer(done.stdout, np.int8).reshape(3, 32, 32, 3), np.concatenate([expected, expected[-1:]])
    )
    *names, numbers = done.stderr.decode().split(",", maxsplit=len(manifest.classes))
    assert tuple(names) == manifest.classes
    channels = [
        value for pair in zip(*(manifest.preprocessing.mean, manifest.preprocessing.std), strict=True) for value in pair
    ]
    tensors = [figure for one in (manifest.input, manifest.output) for figure in (one.scale, one.zero_point)]
    np.testing.assert_allclose([float(text) for text in numbers.split(",")], [*channels, *tensors], rtol=1e-7)


def test_it_needs_no_floating_point(sources: Path, tmp_path: Path) -> None:
    compiler = shutil.which("arm-none-eabi-gcc")
    if compiler is None:
        pytest.skip("arm-none-eabi-gcc is not installed: run `make system`")
    target = tmp_path / "ic_model.o"
    compile_object([compiler, *WARNINGS, "-O2", "-mcpu=cortex-m0", "-mthumb"], sources / "ic_model.c", target)
    symbols = subprocess.run(["arm-none-eabi-nm", target], capture_output=True, text=True, check=True).stdout
    assert "T ic_quantise_pixels" in symbols
    assert not re.search(r"__aeabi_[fd2]|__aeabi_[il]2[fd]", symbols)


def test_a_model_of_another_export_has_none(tmp_path: Path) -> None:
    for folder in ("alone", "other"):
        (tmp_path / folder).mkdir()
        shutil.copy(ZOO / "model_int8.tflite", tmp_path / folder)
    shutil.copy(ZOO.parent / "mobilenetv2_035_cifar10" / "export.json", tmp_path / "other")
    for folder in ("alone", "other"):
        compile_model(tmp_path / folder / "model_int8.tflite", tmp_path / folder / "c", name="ic")
        header = (tmp_path / folder / "c" / "src" / "ic_model.h").read_text()
        assert "ic_quantise_pixels" not in header
        assert "IC_CLASS_COUNT" not in header
        assert "there was none of this file" in header


@pytest.mark.parametrize("text", ["plain", 'a "b" \\ ??/ %', "Zürich 東京", "tab\tline\n", "\x010"])
def test_a_c_string_holds_any_text(tmp_path: Path, text: str) -> None:
    printed = string(text)
    assert printed.isascii()
    (tmp_path / "main.c").write_text(f"#include <stdio.h>\nint main(void) {{ return fputs({printed}, stdout) < 0; }}\n")
    subprocess.run(["gcc", *WARNINGS, tmp_path / "main.c", "-o", tmp_path / "main"], check=True)
    assert subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout.decode() == text
