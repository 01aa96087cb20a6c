"""The compiled folder in other build systems, as far as they are here: each example compares with TFLite Micro's."""

import json
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml
from compiler.random_models import random_inputs, random_model
from compiler.test_interfaces import several, write
from machines.case_machines import compile_object

from tinyedge.compiler.compile import compile_model
from tinyedge.compiler.emit.golden import golden_frame
from tinyedge.compiler.emit.library_layout import LAYOUTS, USUAL_LAYOUTS
from tinyedge.errors import ConfigError
from tinyedge.runtimes import golden
from tinyedge.runtimes.golden import golden_of
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite

# Arduino's core as far as the sketch needs it, which loops once.
ARDUINO = """\
#include <stdio.h>
struct Port {
    void begin(long) {}
    void println(const char *text) { puts(text); }
};
static Port Serial;
static unsigned long micros() { return 0; }
static void delay(unsigned long) {}
"""
# By make and by CMake.
INSTALLED_HEADERS = {f"include/ic_model/{name}" for name in ("ic_model.h", "ic_golden.h", "kernels/te_status.h")}
STRICT = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "odd name (1).tflite"
    path.write_bytes(random_model(1))
    return path


@pytest.fixture(scope="module")
def folder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all build systems at once."""
    out = tmp_path_factory.mktemp("library") / "c"
    report = compile_model(model, out, name="ic", layouts=LAYOUTS, golden_of=golden_of)
    assert report.golden_source == "TFLite Micro"
    return out


@pytest.fixture(scope="module")
def verdict(model: Path) -> str:
    """What the examples print."""
    output = TflmRuntime(model).run(golden_frame(read_tflite(model).inputs))
    return f"ic: CRC-32 {zlib.crc32(output.tobytes()):08x}, as by TFLite Micro"


def call(*command: str | Path, **more: object) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stdout + done.stderr
    return str(done.stdout)


def tool(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    return name


def installed_headers(prefix: Path) -> set[str]:
    return {path.relative_to(prefix).as_posix() for path in prefix.rglob("*.h")}


def test_the_cmake_example_gives_tflite_micros_bits(folder: Path, model: Path, verdict: str, tmp_path: Path) -> None:
    build = tmp_path / "build"
    call("cmake", "-G", "Ninja", "-S", folder / "examples" / "ic" / "cmake", "-B", build)
    call("cmake", "--build", build)
    inputs = random_inputs(0, read_tflite(model).inputs[0].shape, 5)
    ran = subprocess.run([build / "infer"], input=inputs.tobytes(), check=True, capture_output=True)
    expected = TflmRuntime(model).run(inputs)
    np.testing.assert_array_equal(np.frombuffer(ran.stdout, np.int8).reshape(expected.shape), expected)
    assert verdict in call("ctest", "--test-dir", build, "-V")


def test_an_installed_folder_is_found_by_cmake(folder: Path, verdict: str, tmp_path: Path) -> None:
    call("cmake", "-G", "Ninja", "-S", folder, "-B", tmp_path / "build")
    call("cmake", "--build", tmp_path / "build")
    call("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "prefix")
    user = tmp_path / "user"
    user.mkdir()
    shutil.copy(folder / "examples" / "ic" / "hosted" / "check.c", user)
    (user / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(user C)\nfind_package(ic_model 0.1 REQUIRED)\n"
        "add_executable(check check.c)\ntarget_link_libraries(check PRIVATE tinyedge::ic_model)\n"
    )
    call("cmake", "-G", "Ninja", "-S", user, "-B", user / "build", f"-DCMAKE_PREFIX_PATH={tmp_path / 'prefix'}")
    call("cmake", "--build", user / "build")
    assert call(user / "build" / "check").strip() == verdict
    assert installed_headers(tmp_path / "prefix") == INSTALLED_HEADERS


def test_make_checks_and_installs(folder: Path, verdict: str, tmp_path: Path) -> None:
    build = f"BUILD={tmp_path / 'build'}"
    assert verdict in call("make", "-C", folder, "check", build, f"CFLAGS={' '.join(STRICT)}")
    prefix = tmp_path / "a prefix"
    call("make", "-C", folder, "install", build, f"PREFIX={prefix}")
    source, headers = folder / "examples" / "ic" / "hosted" / "check.c", prefix / "include" / "ic_model"
    call("cc", "-std=c99", *STRICT, "-DIC_ARENA_EXTERNAL", "-I", headers, "-c", "-o", tmp_path / "check.o", source)
    library = prefix / "lib" / "libic_model.a"
    call("cc", "-I", headers, source, library, "-o", tmp_path / "check")
    assert call(tmp_path / "check").strip() == verdict
    assert installed_headers(prefix) == INSTALLED_HEADERS
    call("make", "-C", folder, "clean", build)
    assert not [path for path in (tmp_path / "build").rglob("*") if path.is_file()]


def test_make_works_in_a_folder_with_a_blank_and_says_where_it_cannot(
    folder: Path, verdict: str, tmp_path: Path
) -> None:
    blank = tmp_path / "a folder (of mine)" / "c"
    blank.parent.mkdir()
    blank.symlink_to(folder)
    assert verdict in call("make", "-C", blank, "check", f"BUILD={tmp_path / 'build'}")
    done = subprocess.run(["make", "-f", blank / "Makefile"], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 2
    assert "where the path has a blank, run make -C FOLDER" in done.stderr
    done = subprocess.run(["make", "-C", folder, "BUILD=a b"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert 'BUILD is "a b", and make takes no blank in it' in done.stderr


@pytest.mark.parametrize(("core", "apart"), [("cortex-m7", True), ("cortex-m4", False)])
def test_a_cortex_m7_is_told_in_every_layout_that_builds(folder: Path, tmp_path: Path, core: str, apart: bool) -> None:
    tool("arm-none-eabi-gcc")
    flags = f"CFLAGS=-mcpu={core} -mthumb"
    printed = call("make", "-n", "-C", folder, "CROSS=arm-none-eabi-", flags, f"BUILD={tmp_path / 'build'}")
    compiled = [line for line in printed.splitlines() if " -c " in line]
    assert compiled
    assert all(("-DTE_LOADS_APART=1" in line) == apart for line in compiled)
    # PlatformIO hands its library's script an environment of SCons.
    appended: dict[str, list[str]] = {}

    class Environment(dict):
        def BoardConfig(self) -> dict[str, str]:  # noqa: N802 - SCons's name.
            return {"build.cpu": core}

        def Append(self, **flags: list[str]) -> None:  # noqa: N802
            appended.update(flags)

    script = json.loads((folder / "library.json").read_text())["build"]["extraScript"]
    exec((folder / script).read_text(), {"Import": lambda name: None, "env": Environment(BOARD="any")})
    assert appended == ({"CCFLAGS": ["-DTE_LOADS_APART=1"]} if apart else {})
    exec((folder / script).read_text(), {"Import": lambda name: None, "env": Environment()})  # Native has no board.
    (description,) = folder.glob("*.pdsc")
    package = ElementTree.parse(description).getroot()
    (file,) = (one for one in package.iter("file") if one.attrib["category"] == "preIncludeLocal")
    conditions = {
        one.attrib["id"]: [dict(part.attrib) for part in one.findall("require")] for one in package.iter("condition")
    }
    assert conditions[file.attrib["condition"]] == [{"Dcore": "Cortex-M7"}]
    said = call("arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-E", "-dM", folder / file.attrib["name"])
    assert "#define TE_LOADS_APART 1" in said


def test_make_builds_anew_for_another_compiler_and_for_other_flags_alone(folder: Path, tmp_path: Path) -> None:
    def compiled(*arguments: str) -> int:
        printed = call("make", "-C", folder, f"BUILD={tmp_path / 'build'}", *arguments)
        return sum("ic_model.c -o" in line for line in printed.splitlines())

    quoted = """CFLAGS=-DPLACE='section(".dtcm")'"""
    prefix = f"PREFIX={tmp_path / 'prefix'}"
    assert compiled() == 1
    assert compiled() == 0
    assert compiled(quoted) == 1
    assert compiled("check", quoted) == 0
    assert compiled("install", prefix) == 0, "what was built is what is installed"
    assert compiled("install", prefix, "CFLAGS=-DOTHER") == 1
    assert compiled("CC=gcc") == 1
    assert compiled() == 1


@pytest.mark.parametrize(("march", "mabi"), [("rv32imac", "ilp32"), ("rv32i", "ilp32")])
def test_risc_v_gives_tflite_micros_bits(folder: Path, verdict: str, tmp_path: Path, march: str, mabi: str) -> None:
    tool("riscv64-unknown-elf-gcc")
    tool("qemu-system-riscv32")
    flags = f"-march={march} -mabi={mabi}"
    if not Path(call("riscv64-unknown-elf-gcc", "-print-file-name=picolibc.specs").strip()).is_file():
        pytest.skip("picolibc for RISC-V is not installed")
    memory = {"flash": "0x80000000", "flash_size": "0x400000", "ram": "0x80400000", "ram_size": "0x400000"}
    link = ["--oslib=semihost", "--crt0=hosted", *(f"-Wl,--defsym=__{key}={value}" for key, value in memory.items())]
    console = "-chardev stdio,id=out -semihosting-config enable=on,target=native,chardev=out"
    machine = f"qemu-system-riscv32 -M virt -bios none -display none {console} -kernel"
    printed = call(
        *("make", "-C", folder, "check", f"BUILD={tmp_path}", "CROSS=riscv64-unknown-elf-"),
        *(f"CFLAGS={flags} --specs=picolibc.specs", f"LDFLAGS={' '.join(link)}", f"RUN={machine}"),
        timeout=60,
    )
    assert verdict in printed


def test_a_wrong_output_is_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "c")
    header = tmp_path / "c" / "src" / "ic_golden.h"
    other = re.sub(r"(?<=GOLDEN_CRC32 0x).", lambda digit: "1" if digit[0] == "0" else "0", header.read_text())
    header.write_text(other)
    command = ["make", "-C", tmp_path / "c", "check", "OPTIMISATION=-O0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert re.search(r"^ic: CRC-32 [0-9a-f]{8}, WRONG$", done.stdout, re.MULTILINE)


def test_the_zephyr_module_names_files_that_are_there(folder: Path) -> None:
    module = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())
    # What zephyr_module.py takes at its top and below "build", as far as a module of code has it.
    assert module.keys() == {"name", "build", "samples"}
    assert module["build"].keys() == {"cmake", "kconfig"}
    build = module["build"]
    assert (folder / build["cmake"] / "CMakeLists.txt").is_file()
    kconfig = (folder / build["kconfig"]).read_text()
    (pattern,) = re.findall(r'rsource "(.*)"', kconfig)
    (option,) = (folder / build["kconfig"]).parent.glob(pattern)
    assert "config IC_MODEL\n" in option.read_text()
    assert "The INT8 model odd name _1_, compiled by tinyedge" in option.read_text()
    assert "CONFIG_IC_MODEL=y\n" in (folder / "examples" / "ic" / "zephyr" / "prj.conf").read_text()


def test_zephyrs_twister_would_take_the_line_that_the_sample_prints(folder: Path, verdict: str, tmp_path: Path) -> None:
    (place,) = yaml.safe_load((folder / "zephyr" / "module.yml").read_text())["samples"]
    sample = yaml.safe_load((folder / place / "sample.yaml").read_text())
    assert set(sample) == {"sample", "common", "tests"}
    (expression,) = sample["common"]["harness_config"]["regex"]
    (tmp_path / "zephyr" / "sys").mkdir(parents=True)
    (tmp_path / "zephyr" / "sys" / "printk.h").write_text("#include <stdio.h>\n#define printk printf\n")
    sources = [folder / place / "src" / "main.c", *(folder / "src").rglob("*.c")]
    call("cc", "-O1", f"-I{tmp_path}", f"-I{folder / 'src'}", *sources, "-o", tmp_path / "app")
    printed = call(tmp_path / "app").strip()
    assert printed == verdict
    assert re.search(expression, printed)


def test_the_arduino_sketch_compiles_with_the_header_that_the_library_names(
    folder: Path, verdict: str, tmp_path: Path
) -> None:
    lines = (folder / "library.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url"} <= properties.keys()
    assert properties["name"] == "ic_model"
    assert (folder / "src" / properties["includes"]).is_file()
    (sketch,) = (folder / "examples").glob("*/*.ino")
    assert sketch.stem == sketch.parent.name
    # As a core for Arm calls its compilers.
    arm = ["-mcpu=cortex-m4", "-mthumb", "-Os", "-ffunction-sections", "-fdata-sections", f"-I{folder / 'src'}"]
    (tmp_path / "Arduino.h").write_text(ARDUINO)
    cpp = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror", "-Wno-unused-function"]
    cpp += ["-include", str(tmp_path / "Arduino.h"), "-x", "c++"]
    call("arm-none-eabi-g++", *arm, *cpp, "-c", sketch, "-o", tmp_path / "sketch.o")
    compile_object(["arm-none-eabi-gcc", *arm, "-std=gnu11"], folder / "src" / "ic_model.c", tmp_path / "model.o")
    # And here, where it runs.
    (tmp_path / "main.cpp").write_text(f'#include "{sketch}"\nint main() {{\n    setup();\n    loop();\n}}\n')
    sources = (folder / "src").rglob("*.c")
    objects = [compile_object(["cc", "-O1"], source, tmp_path / f"{source.stem}.here.o") for source in sources]
    call("g++", f"-I{folder / 'src'}", *cpp, tmp_path / "main.cpp", "-x", "none", *objects, "-o", tmp_path / "main")
    assert call(tmp_path / "main") == f"{verdict} in 0 us\n"


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


def test_the_esp_idf_component_and_its_example_build(folder: Path, model: Path, verdict: str, tmp_path: Path) -> None:
    alone = tmp_path / "alone" / "c"
    compile_model(model, alone, name="ic", layouts=["esp-idf"], golden_of=golden_of)
    for component in (folder, alone):
        place = tmp_path / f"{component.parent.name}_build"
        place.mkdir()
        (place / "CMakeLists.txt").write_text(ESP_IDF.format(folder=component))
        (place / "start.c").write_text("void app_main(void);\nint main(void) { app_main(); return 0; }\n")
        call("cmake", "-G", "Ninja", "-S", place, "-B", place / "build")
        call("cmake", "--build", place / "build")
        assert call(place / "build" / "program").strip() == verdict


def test_the_esp_idf_component_has_a_version_that_its_manager_takes(folder: Path) -> None:
    manifest = yaml.safe_load((folder / "idf_component.yml").read_text())
    assert re.fullmatch(r"\d+\.\d+\.\d+", manifest["version"])
    assert manifest["dependencies"] == {"idf": ">=5.0"}
    # Its tools read the lists of a component without a project, and know no targets then.
    listed = (folder / "CMakeLists.txt").read_text()
    assert listed.index("idf_component_register") < listed.index("project(")


def test_the_platformio_library_says_how_it_is_built(folder: Path, verdict: str, tmp_path: Path) -> None:
    library = json.loads((folder / "library.json").read_text())
    assert library["name"] == "ic_model"
    assert re.fullmatch(r"\d+\.\d+\.\d+", library["version"])
    assert [(folder / library["build"]["includeDir"] / header).is_file() for header in library["headers"]] == [True]
    (example,) = library["examples"]
    assert all((folder / example["base"] / file).is_file() for file in example["files"])
    project = (folder / example["base"] / "platformio.ini").read_text()
    assert (folder / example["base"] / re.findall(r"lib_deps = symlink://(.*)", project)[0]).resolve() == folder
    # As the platform "native" builds it.
    sources = (folder / library["build"]["srcDir"]).rglob("*.c")
    flags = [*library["build"]["flags"], f"-I{folder / library['build']['includeDir']}"]
    objects = [compile_object(["gcc", *flags], source, tmp_path / f"{source.stem}.o") for source in sources]
    main = folder / example["base"] / "src" / "main.cpp"
    call("g++", "-Wall", "-Wextra", "-Werror", *flags, main, *objects, "-o", tmp_path / "program")
    assert call(tmp_path / "program").strip() == verdict


def test_the_cmsis_pack_names_what_a_program_needs(folder: Path, tmp_path: Path) -> None:
    (description,) = folder.glob("*.pdsc")
    package = ElementTree.parse(description).getroot()
    assert description.name == f"{package.findtext('vendor')}.{package.findtext('name')}.pdsc"
    # The order in which PACK.xsd has them.
    assert [part.tag for part in package] == [
        *("vendor", "name", "description", "url", "releases", "keywords", "conditions", "components", "examples")
    ]
    components = {one.attrib["Csub"]: one for one in package.iter("component")}
    assert set(components) == {"kernels", "ic"}
    conditions = {one.attrib["id"]: one.find("require") for one in package.iter("condition")}
    required = conditions[components["ic"].attrib["condition"]]
    assert required is not None
    assert required.attrib.items() <= components["kernels"].attrib.items()
    files = list(package.iter("file"))
    assert all((folder / one.attrib["name"]).exists() for one in files)
    named = {one.attrib["name"] for one in files if one.attrib["category"] not in ("include", "preIncludeLocal")}
    assert named == {path.relative_to(folder).as_posix() for path in (folder / "src").rglob("*.[ch]")}
    # What csolution makes of the example, for the device that it names.
    (example,) = package.iter("example")
    solution = yaml.safe_load((folder / example.attrib["folder"] / example.attrib["doc"]).read_text())["solution"]
    assert {"pack": f"tinyedge::{package.findtext('name')}"} in solution["packs"]
    (project,) = (folder / example.attrib["folder"] / one["project"] for one in solution["projects"])
    wanted = {one["component"] for one in yaml.safe_load(project.read_text())["project"]["components"]}
    assert {f"tinyedge::Machine Learning:tinyedge:{name}" for name in components} <= wanted
    include = [f"-I{folder / one.attrib['name']}" for one in files if one.attrib["category"] == "include"]
    sources = [folder / one.attrib["name"] for one in files if one.attrib["category"] == "sourceC"]
    flags = ["-mcpu=cortex-m4", "-mthumb", "-O1", *STRICT, *include, "--specs=nosys.specs"]
    sources.append(project.parent / "main.c")
    objects = [
        compile_object(["arm-none-eabi-gcc", *flags], source, tmp_path / f"{source.stem}.o") for source in sources
    ]
    call("arm-none-eabi-gcc", *flags, *objects, "-o", tmp_path / "program.elf")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_layout_alone_brings_no_other_build_systems_files(layout: str, model: Path, tmp_path: Path) -> None:
    marks = {
        "cmake": "CMakeLists.txt",
        "zephyr": "zephyr/module.yml",
        "arduino": "library.properties",
        "esp-idf": "idf_component.yml",
        "platformio": "library.json",
        "cmsis-pack": "tinyedge.m_model.pdsc",
        "make": "Makefile",
    }
    compile_model(model, tmp_path, name="m", layouts=["make", "zephyr"])
    report = compile_model(model, tmp_path, name="m", layouts=[layout])
    with_list = {"cmake"} if layout == "esp-idf" else set()
    assert {name for name, mark in marks.items() if mark in report.files} == {layout, *with_list}
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(report.files)
    assert report.foreign == ()


def test_models_of_one_folder_have_layouts_of_their_own(model: Path, tmp_path: Path) -> None:
    compile_model(model, tmp_path, name="a", layouts=["make"])
    report = compile_model(model, tmp_path, name="b", layouts=["zephyr", "cmsis-pack"])
    wanted = {"Makefile", "zephyr/module.yml", "tinyedge.a_b_model.pdsc", "examples/a/hosted/check.c"}
    assert wanted <= set(report.files)
    assert "MODELS := a\n" in (tmp_path / "Makefile").read_text()
    assert "examples/b/hosted/check.c" not in report.files
    report = compile_model(model, tmp_path, name="b", layouts=["make"])
    assert "zephyr/module.yml" not in report.files
    assert "MODELS := a b\n" in (tmp_path / "Makefile").read_text()


def test_an_unknown_layout_is_refused(model: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no such layout: bazel; choose --layout cmake, .* or make"):
        compile_model(model, tmp_path, layouts=["bazel"])
    assert not list(tmp_path.iterdir())


def test_without_tflite_micro_the_same_c_makes_the_golden_output(
    model: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "ApartRuntime", _absent)
    report = compile_model(model, tmp_path, name="ic", layouts=["make"], golden_of=golden_of)
    assert report.golden_source == "the same C on another machine"
    crc32 = re.compile(r"#define IC_GOLDEN_CRC32 .*")
    assert crc32.findall((tmp_path / "src" / "ic_golden.h").read_text()) == crc32.findall(
        (folder / "src" / "ic_golden.h").read_text()
    )


def _absent(name: str, model: object) -> None:
    raise golden.ToolMissing(f"no {name}")


def test_several_inputs_of_other_types_are_filled_as_in_python(tmp_path: Path) -> None:
    several_ends = write(tmp_path, several())
    frame = golden_frame(several_ends.graph().inputs)
    expected = zlib.crc32(TflmRuntime(several_ends).run(frame).tobytes())
    compile_model(several_ends, tmp_path / "c", name="m", layouts=["make", "cmake"], golden_of=golden_of)
    assert f"m: CRC-32 {expected:08x}, as by TFLite Micro\n" in call("make", "-C", tmp_path / "c", "check")
    sources = [tmp_path / "c" / "examples" / "m" / "cmake" / "main.c", *(tmp_path / "c" / "src").rglob("*.c")]
    call("cc", f"-I{tmp_path / 'c' / 'src'}", *sources, "-o", tmp_path / "infer")
    ran = subprocess.run([tmp_path / "infer"], input=frame.tobytes(), check=True, capture_output=True)
    assert zlib.crc32(ran.stdout) == expected


def test_a_folder_without_a_golden_output_compares_nothing(model: Path, tmp_path: Path) -> None:
    report = compile_model(model, tmp_path, name="ic")
    assert report.layouts == USUAL_LAYOUTS
    assert '#define IC_GOLDEN_SAME "not compared"\n' in (tmp_path / "src" / "ic_golden.h").read_text()
    # No build system says that it was.
    sample = yaml.safe_load((tmp_path / "examples" / "ic" / "zephyr" / "sample.yaml").read_text())
    assert sample["common"] == {"build_only": True}
    build = tmp_path / "build"
    call("cmake", "-G", "Ninja", "-S", tmp_path / "examples" / "ic" / "cmake", "-B", build)
    call("cmake", "--build", build)
    said = call("ctest", "--test-dir", build, "-V")
    assert "not compared" in said
    assert "***Skipped" in said


def test_no_placeholder_is_left(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            assert not re.search("@[A-Z_]+@", path.read_text()), path
        assert "NAME" not in path.name
