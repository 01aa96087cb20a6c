"""What is worth a warning: one file a subject, each a function from a survey to its findings."""

from tinyedge.check.finding import Finding
from tinyedge.check.rules.blocks import check_blocks
from tinyedge.check.rules.interface import check_interface
from tinyedge.check.rules.layout import check_layout
from tinyedge.check.rules.moves import check_moves
from tinyedge.check.rules.types import check_types
from tinyedge.check.rules.weights import check_weights
from tinyedge.compiler.reader import Survey

_RULES = (check_interface, check_types, check_layout, check_moves, check_weights, check_blocks)


def find(survey: Survey) -> tuple[Finding, ...]:
    """Return all findings about a model, as it was read."""
    return tuple(finding for rule in _RULES for finding in rule(survey))
