import contextlib
import json
import os

import pytest

from tinyedge.cli import main
from tinyedge.doctor import examine
from tinyedge.installation import EXTRAS, install_command


def test_what_is_here_has_a_version_and_what_is_not_has_a_hint(monkeypatch):
    here = {finding.name: finding for finding in examine()}
    assert here["torch"].found
    assert here["arm-none-eabi-gcc"].found
    monkeypatch.setenv("PATH", os.devnull)
    gone = {finding.name: finding for finding in examine()}
    assert gone["torch"].found == here["torch"].found
    assert gone["arm-none-eabi-gcc"].found is None
    assert gone["a C compiler"].found is None
    assert "apt-get install gcc-arm-none-eabi" in gone["arm-none-eabi-gcc"].hint


def doctor(monkeypatch, *options: str) -> None:
    monkeypatch.setattr("sys.argv", ["tinyedge", "doctor", *options])
    with contextlib.suppress(SystemExit):
        main()


def test_json_lists_the_same_findings(monkeypatch, capsys):
    doctor(monkeypatch, "--json")
    said = capsys.readouterr()
    findings = examine()
    assert json.loads(said.out) == [finding.to_json() for finding in findings]
    missing = dict.fromkeys(finding.hint for finding in findings if not finding.found)
    assert said.err.splitlines() == [f"next: {command}" for command in missing or ("tinyedge demo",)]


@pytest.mark.parametrize("extra", ["flash", "teacher", "bench", "train", "export"])
def test_what_is_missing_is_told_with_a_command_that_is_not_cut(monkeypatch, capsys, extra):
    monkeypatch.setitem(EXTRAS, extra, ("no-such-package",))
    monkeypatch.setenv("COLUMNS", "60")
    doctor(monkeypatch)
    printed = capsys.readouterr().out
    assert "no-such-package" in printed
    assert f"    {install_command(extra)}\n" in printed
    assert f"[{extra}]'" in install_command(extra)
