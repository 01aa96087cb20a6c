"""All operators, by name: every module of this package that has `OPERATORS` describes some."""

import importlib
import pkgutil
from collections.abc import Mapping
from pathlib import Path

from tinyedge.ops.descriptor import OperatorDescriptor
from tinyedge.tflite.graph import Operator


def _all() -> dict[str, OperatorDescriptor]:
    found: dict[str, OperatorDescriptor] = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.ispkg or module.name == "registry":
            continue
        described = getattr(importlib.import_module(f"tinyedge.ops.{module.name}"), "OPERATORS", ())
        found.update((descriptor.name, descriptor) for descriptor in described)
    return dict(sorted(found.items()))


OPERATORS: Mapping[str, OperatorDescriptor] = _all()
"""By TFLite's name, sorted."""


def descriptor_of(operator: Operator) -> OperatorDescriptor:
    """What is known of an operator; of one that tinyedge does not have, its name."""
    return OPERATORS.get(operator.op) or OperatorDescriptor(name=operator.op)
