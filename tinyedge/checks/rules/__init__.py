"""What is worth a warning: one file a subject, each a function from a inspection to its warnings."""

from tinyedge.checks.lint_warning import LintWarning
from tinyedge.checks.rules.blocks import check_blocks
from tinyedge.checks.rules.constants import check_constants
from tinyedge.checks.rules.interface import check_interface
from tinyedge.checks.rules.layout import check_layout
from tinyedge.checks.rules.litert import check_litert
from tinyedge.checks.rules.moves import check_moves
from tinyedge.checks.rules.options import check_options
from tinyedge.checks.rules.types import check_types
from tinyedge.checks.rules.weights import check_weights
from tinyedge.tflite.inspection import Inspection

_RULES = (
    check_interface,
    check_types,
    check_layout,
    check_moves,
    check_weights,
    check_constants,
    check_blocks,
    check_options,
    check_litert,
)


def find(inspection: Inspection) -> tuple[LintWarning, ...]:
    """Return all warnings about a model, as it was read."""
    return tuple(warning for rule in _RULES for warning in rule(inspection))
