"""Constants that hold more than their tensors do."""

from collections.abc import Iterator

from tinyedge.checks.lint_warning import LintWarning, about
from tinyedge.tflite.inspection import Inspection


def check_constants(inspection: Inspection) -> Iterator[LintWarning]:
    """Find the padding of files that were made for another processor's kernels."""
    extra = inspection.extra_bytes
    found = [o for o in inspection.graphs[0].operators if any(t in extra for t in o.inputs if t is not None)]
    if found:
        total = sum(extra[t] for t in dict.fromkeys(t for o in found for t in o.inputs if t is not None) if t in extra)
        yield about(
            "padded-constants",
            found,
            f"constants with {total:,} bytes more than their shapes, as files for another processor's kernels have",
            "if that padding lies inside the rows, results are wrong here and in TFLite Micro, which read the first "
            "bytes: give the file from before it was made for that processor",
        )
