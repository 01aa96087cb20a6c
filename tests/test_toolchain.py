import os
import shutil

import pytest

from tinyedge.errors import ToolMissing
from tinyedge.toolchain import find_build_tools, find_tool


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("arm-none-eabi-gcc", "libnewlib-arm-none-eabi"),
        ("cmake", "cmake"),
        ("ninja", "ninja-build"),
        ("qemu-system-arm", "qemu-system-arm"),
    ],
)
def test_a_missing_tool_names_its_package(monkeypatch, name, package):
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ToolMissing, match=f"{name} is not on PATH: install it with `apt-get install .*{package}`"):
        find_tool(name)


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("arm-none-eabi-gcc (15:12.2.rel1-1) 12.2.1 20221205", "12.2.1"),
        ("cmake version 3.25.1", "3.25.1"),
        ("1.11.1", "1.11.1"),
        ("1.11.1.git.kitware.jobserver-1", "1.11.1"),
        ("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)", "7.2.22"),
        ("something else", "unknown"),
    ],
)
def test_versions_are_read(tmp_path, monkeypatch, said, version):
    program = tmp_path / "cmake"
    program.write_text(f"#!/bin/sh\necho '{said}'\necho 'second line 9.9.9'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    tool = find_tool("cmake")
    assert (tool.version, tool.path) == (version, program)


def test_a_tool_that_does_not_run_is_missing(tmp_path, monkeypatch):
    program = tmp_path / "cmake"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolMissing, match="does not run"):
        find_tool("cmake")


def test_a_cross_compiler_without_a_c_library_is_told(tmp_path, monkeypatch):
    for name in ("arm-none-eabi-gcc", "arm-none-eabi-objcopy", "cmake", "ninja"):
        # As gcc does with a file that it cannot find: it repeats the name.
        (tmp_path / name).write_text("#!/bin/sh\ncase $1 in --version) echo 1.2.3;; *) echo nano.specs;; esac\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ToolMissing, match="libnewlib-arm-none-eabi"):
        find_build_tools()


@pytest.mark.skipif(
    shutil.which("arm-none-eabi-gcc") is None, reason="arm-none-eabi-gcc is not installed: run `make system`"
)
def test_the_real_tools_are_found():
    tools = find_build_tools()
    assert [tool.name for tool in tools] == ["arm-none-eabi-gcc", "arm-none-eabi-objcopy", "cmake", "ninja"]
    assert all(tool.path.is_file() and tool.version[0].isdigit() for tool in tools)
