"""Commands in messages can be copied into a shell."""

import ast
import re
import shlex
from pathlib import Path

import tinyedge
from tinyedge.shell import command_line

PACKAGE = Path(tinyedge.__file__).parent
# The beginning of a command, up to a value that the string puts in as it is.
BY_HAND = re.compile(r"`(tinyedge|cmake|fuser) [^`]*$")


def test_every_argument_is_one_word_of_a_shell():
    words = ["tinyedge", "check", "my models/it's $HOME;rm *.tflite", "--encoder", "", "ü", 3, Path("a b")]
    assert shlex.split(command_line(*words)) == [str(word) for word in words]
    assert command_line("tinyedge", "train", "--strides", "2,1,2,2,2") == "tinyedge train --strides 2,1,2,2,2"


def test_no_message_puts_a_path_into_a_command_by_hand():
    by_hand = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.JoinedStr)
        for part, following in zip(node.values, node.values[1:], strict=False)
        if isinstance(part, ast.Constant) and BY_HAND.search(str(part.value))
        if isinstance(following, ast.FormattedValue)
        if not ast.unparse(following.value).startswith("command_line(")
    ]
    assert not by_hand
