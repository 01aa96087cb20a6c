"""What `--help` says, held against what there is."""

import re

import pytest

from tinyedge.cli import main
from tinyedge.cli.app import COMMANDS, GROUPS
from tinyedge.data.registry import dataset_names
from tinyedge.encoders.registry import encoder_names
from tinyedge.ssl.registry import method_names


def test_the_help_of_train_names_every_method_and_encoder(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr("sys.argv", ["tinyedge", "train", "--help"])
    with pytest.raises(SystemExit):
        main()
    words = set(re.findall(r"[\w-]+", capsys.readouterr().out))
    assert set(method_names()) <= words
    assert set(encoder_names()) <= words
    assert set(dataset_names()) <= words


def test_the_commands_are_in_groups_in_the_order_of_the_work(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["tinyedge", "--help"])
    with pytest.raises(SystemExit):
        main()
    text = capsys.readouterr().out
    groups = re.findall(r"^╭─ (\w+) ─", text, re.MULTILINE)
    assert groups == ["Options", *GROUPS]
    assert re.findall(r"^│ ([a-z]+) ", text, re.MULTILINE) == list(COMMANDS)
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("command", ["bench", "enroll"])
def test_the_usage_shows_no_hidden_argument(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.argv", ["tinyedge", command, "--help"])
    with pytest.raises(SystemExit):
        main()
    usage = f"Usage: tinyedge {command} [OPTIONS] {{RUN|MODEL.tflite}}"
    assert usage in {line.strip() for line in capsys.readouterr().out.splitlines()}
