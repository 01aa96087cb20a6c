"""What the docstring of a configuration class says about each of its attributes."""

import inspect
import re

_ATTRIBUTE = re.compile(r"^    (\w+): (.*(?:\n {8,}.*)*)", re.MULTILINE)


def attribute_docs(kind: type) -> dict[str, str]:
    """Return the text about each attribute of a class and of its bases, by name, from their Google-style docstrings."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        _, _, attributes = inspect.cleandoc(base.__doc__ or "").partition("Attributes:\n")
        section = re.split(r"\n\n(?=\S)", attributes)[0]
        docs |= {name: " ".join(text.split()) for name, text in _ATTRIBUTE.findall(section)}
    return docs
