"""The code that flatc generated from TFLite's schema, one module a table or enumeration.

Names are taken from those modules and not from the package `tflite` itself: ai-edge-litert (as of 2.1.2) installs an
empty `tflite/__init__.py` over that of the package, so `tflite.Model` exists by the order of installation.
"""

import importlib
from types import ModuleType
from typing import Any


def schema_module(name: str) -> ModuleType:
    """Return the module of a table or enumeration, with the functions that write it."""
    return importlib.import_module(f"tflite.{name}")


def schema_class(name: str) -> Any:
    """Return the class that reads a table, or that holds the values of an enumeration."""
    return getattr(schema_module(name), name)


def enumeration_values(name: str) -> dict[str, int]:
    """Return the values of an enumeration by their names, such as 3 for "CONV_2D" of "BuiltinOperator"."""
    members = vars(schema_class(name)).items()
    # From Python 3.13 on a class has an integer of Python's own among its attributes, `__firstlineno__`.
    return {member: value for member, value in members if isinstance(value, int) and not member.startswith("__")}
