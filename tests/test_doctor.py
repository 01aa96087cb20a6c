import contextlib
import json
import os

from tinyedge.cli import main
from tinyedge.doctor import examine


def test_what_is_here_has_a_version_and_what_is_not_has_a_remedy(monkeypatch):
    here = {finding.name: finding for finding in examine()}
    assert here["torch"].found
    assert here["arm-none-eabi-gcc"].found
    monkeypatch.setenv("PATH", os.devnull)
    gone = {finding.name: finding for finding in examine()}
    assert gone["torch"].found == here["torch"].found
    assert gone["arm-none-eabi-gcc"].found is None
    assert gone["a C compiler"].found is None
    assert "apt-get install gcc-arm-none-eabi" in gone["arm-none-eabi-gcc"].hint


def test_json_lists_the_same_findings(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["tinyedge", "doctor", "--json"])
    with contextlib.suppress(SystemExit):
        main()
    assert json.loads(capsys.readouterr().out) == [finding.to_json() for finding in examine()]
