"""The old name of --cascade always still works, and says that it is old."""

import pytest
from typer.testing import CliRunner

from tinyedge.cli.app import make_app
from tinyedge.cli.cascade import chosen_cascade
from tinyedge.errors import ConfigError


@pytest.mark.parametrize("cascade", ["auto", "always", "never"])
def test_a_choice_is_taken_as_it_is(cascade, capsys):
    assert chosen_cascade(cascade, patch=False) == cascade
    assert capsys.readouterr() == ("", "")


def test_patch_is_always_and_says_so(capsys):
    assert chosen_cascade("auto", patch=True) == "always"
    assert "--cascade always" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="leave --patch out"):
        chosen_cascade("never", patch=True)


@pytest.mark.parametrize("command", ["compile", "build", "bench"])
def test_help_has_the_new_name_alone(command):
    said = CliRunner().invoke(make_app(), [command, "--help"]).stdout
    assert "--cascade" in said
    assert "--patch" not in said
