"""The compiled folder in other build systems, as far as they are here."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from compiler.random_models import random_inputs, random_model

from tinyedge.compiler.compile import compile_model
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite

# What the sketch takes of Arduino's core, no more.
ARDUINO = """\
#include <cstring>
using std::memset;
struct Port {
    void begin(long) {}
    void print(const char *) {}
    void print(unsigned long) {}
    void print(int) {}
    void println(const char *) {}
};
static Port Serial;
static unsigned long micros() { return 0; }
static void delay(unsigned long) {}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "odd name (1).tflite"
    path.write_bytes(random_model(1))
    return path


@pytest.fixture
def folder(model: Path, tmp_path: Path) -> Path:
    compile_model(model, tmp_path / "c", name="ic")
    return tmp_path / "c"


def test_the_cmake_example_gives_tflite_micros_bits(folder: Path, model: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    example = folder / "examples" / "ic" / "cmake"
    subprocess.run(["cmake", "-G", "Ninja", "-S", example, "-B", build], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    inputs = random_inputs(0, read_tflite(model).inputs[0].shape, 5)
    ran = subprocess.run([build / "infer"], input=inputs.tobytes(), check=True, capture_output=True)
    expected = TflmRuntime(model).run(inputs)
    np.testing.assert_array_equal(np.frombuffer(ran.stdout, np.int8).reshape(expected.shape), expected)


def test_the_zephyr_module_names_files_that_are_there(folder: Path) -> None:
    build = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())["build"]
    assert (folder / build["cmake"] / "CMakeLists.txt").is_file()
    kconfig = (folder / build["kconfig"]).read_text()
    (pattern,) = re.findall(r'rsource "(.*)"', kconfig)
    (option,) = (folder / build["kconfig"]).parent.glob(pattern)
    assert "config IC_MODEL\n" in option.read_text()
    assert "The INT8 model odd name _1_, compiled by tinyedge" in option.read_text()
    assert "CONFIG_IC_MODEL=y\n" in (folder / "examples" / "ic" / "zephyr" / "prj.conf").read_text()


def test_the_arduino_sketch_compiles_with_the_header_that_the_library_names(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"} <= properties.keys()
    assert properties["name"] == "ic_model"
    assert (folder / "src" / properties["includes"]).is_file()
    (sketch,) = (folder / "examples").glob("*/*.ino")
    assert sketch.stem == sketch.parent.name
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    flags = [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-function",
        f"-I{folder / 'src'}",
        "-include",
        tmp_path / "Arduino.h",
    ]
    subprocess.run(["g++", *flags, "-x", "c++", "-c", sketch, "-o", tmp_path / "sketch.o"], check=True)


# What ESP-IDF's build system does with a component, no more.
ESP_IDF = """\
cmake_minimum_required(VERSION 3.16)
project(stub C)
set(ESP_PLATFORM 1)
function(idf_component_register)
  cmake_parse_arguments(component "" "" "SRCS;SRC_DIRS;INCLUDE_DIRS" ${{ARGN}})
  foreach(folder IN LISTS component_SRC_DIRS)
    file(GLOB found "${{CMAKE_CURRENT_SOURCE_DIR}}/${{folder}}/*.c")
    list(APPEND component_SRCS ${{found}})
  endforeach()
  get_filename_component(name "${{CMAKE_CURRENT_SOURCE_DIR}}" NAME)
  add_library(${{name}} STATIC ${{component_SRCS}})
  target_include_directories(${{name}} PUBLIC ${{component_INCLUDE_DIRS}})
  set(COMPONENT_LIB ${{name}} PARENT_SCOPE)
endfunction()
add_subdirectory({folder} models)
add_subdirectory({folder}/examples/ic/esp_idf/main main)
target_link_libraries(main PRIVATE c)
add_executable(program start.c)
target_link_libraries(program PRIVATE main)
"""


def test_the_esp_idf_component_and_its_example_build(folder: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "CMakeLists.txt").write_text(ESP_IDF.format(folder=folder))
    (tmp_path / "start.c").write_text("void app_main(void);\nint main(void) { app_main(); return 0; }\n")
    build = tmp_path / "build"
    subprocess.run(["cmake", "-G", "Ninja", "-S", tmp_path, "-B", build], check=True, capture_output=True)
    subprocess.run(["cmake", "--build", build], check=True, capture_output=True)
    printed = subprocess.run([build / "program"], check=True, capture_output=True, text=True).stdout
    source = read_tflite(model).inputs[0]
    assert source.quantisation is not None
    zeros = np.full((1, *source.shape[1:]), source.quantisation.zero_point, np.int8)
    assert [int(line) for line in printed.split()] == TflmRuntime(model).run(zeros).reshape(-1).tolist()


def test_the_esp_idf_component_has_a_version_that_its_manager_takes(folder: Path) -> None:
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert manifest["dependencies"] == {"idf": ">=5.0"}
    # Its tools read the lists of a component without a project, and know no targets then.
    listed = (folder / "CMakeLists.txt").read_text()
    assert listed.index("idf_component_register") < listed.index("project(")


def test_no_placeholder_is_left(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search("@[A-Z_]+@", path.read_text()), path
        assert "NAME" not in path.name
