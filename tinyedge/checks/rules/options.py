"""Options that a converter left unset, and that an interpreter reads all the same."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.runtimes.option_repair import unset_option
from tinyedge.tflite.inspection import Inspection

_PROBLEMS = {
    "depth_multiplier": "the option depth_multiplier is 0, with which TFLite Micro computes and writes nothing",
    "quantized_bias_type": "int32 biases without the option quantized_bias_type, which LiteRT reads as int64",
}


def check_options(inspection: Inspection) -> Iterator[LintWarning]:
    """Find what makes an interpreter compute something else than the model means."""
    operators = inspection.graphs[0].operators
    for name, problem in _PROBLEMS.items():
        found = [operator for operator in operators if (unset_option(operator) or ("", 0))[0] == name]
        if found:
            yield about(
                "unset-option",
                found,
                problem,
                "run the model ahead of time, which goes by shapes and types; `tinyedge bench` compares with the same",
            )
