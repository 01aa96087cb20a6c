"""Commands in messages and at the end of a report, as a shell takes them."""

import shlex


def command_line(*arguments: object) -> str:
    """Return a command that can be copied into a shell, with blanks and other special characters quoted.

    Args:
        arguments: Program, options and values; each is one word for the shell, whatever it contains.
    """
    return shlex.join(map(str, arguments))
