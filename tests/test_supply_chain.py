"""Nothing is installed but what the repository names by version and hash, and nothing that is known to be unsafe."""

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Package -> of each series the first version with the fix. CVE-2025-4565: protobuf parsed groups of any depth.
FIXED = {"protobuf": ((4, 25, 8), (5, 29, 5), (6, 31, 1))}


def locked(file: str) -> dict[tuple[str, str], list[str]]:
    """The hashes of each package and version."""
    found: dict[tuple[str, str], list[str]] = {}
    for line in (ROOT / file).read_text().splitlines():
        if line and not line.startswith((" ", "#")):
            name, version = re.match(r"([\w.-]+)==(\S+)", line).groups()  # Anything else is no exact version.
            hashes = found.setdefault((name, version), [])
        elif digest := re.match(r" +--hash=sha256:([0-9a-f]{64})( \\)?$", line):
            hashes.append(digest.group(1))
    return found


@pytest.mark.parametrize("file", ["requirements.lock", "tools/uv.txt", "tools/docs.txt"])
def test_every_package_has_one_version_and_its_hashes(file):
    packages = locked(file)
    assert packages
    assert [package for package, hashes in packages.items() if not hashes] == []


def unfixed(packages: Iterable[tuple[str, str]]) -> list[str]:
    """Those for which a version with a fix is out."""
    found = []
    for name, version in packages:
        numbers = tuple(map(int, version.split(".")))
        fixes = [fix for fix in FIXED.get(name, ()) if fix[0] == numbers[0]] or FIXED.get(name, ((0,),))[-1:]
        if numbers < fixes[-1]:
            found.append(f"{name} {version}")
    return found


def test_no_version_is_installed_whose_fix_is_out():
    packages = [package for package in locked("requirements.lock") if package[0] in FIXED]
    # What is no longer installed, or by another name, has no line in FIXED: one that is never met proves nothing.
    assert {name for name, _ in packages} == set(FIXED)
    assert unfixed(packages) == []
    # Below a fix of its series, in a series of before any, and with it.
    assert unfixed([("protobuf", version) for version in ("4.25.5", "3.20.3", "4.25.8", "7.34.1")]) == [
        "protobuf 4.25.5",
        "protobuf 3.20.3",
    ]


def test_whatever_installs_asks_for_hashes_or_for_this_repository_alone():
    commands = [
        command
        for file in ("Makefile", "tools/python")
        for command in re.findall(r"\bpip (?:install|sync) [^;}\n]+", (ROOT / file).read_text().replace("\\\n", " "))
    ]
    assert len(commands) >= 5
    for command in commands:
        assert "--require-hashes" in command or "--no-deps" in command, command


def test_what_the_lock_overrides_is_that_version_s_own_list_but_for_protobuf():
    """uv takes it in place of what the wheel says, so it must not fall behind another version."""
    text = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r'name = "onnx2tf"\nversion = "([\d.]+)"', text) == [
        version for name, version in locked("requirements.lock") if name == "onnx2tf" and version.startswith("1.")
    ]
