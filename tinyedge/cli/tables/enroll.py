"""What a device learned, as a table."""

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tinyedge.learning.enroll import EnrollReport
from tinyedge.learning.nearest_mean import DISTANCE_ONE
from tinyedge.plural import counted


def print_enroll(report: EnrollReport, console: Console) -> None:
    """Print a row a class and what holds for all of them."""
    table = Table("class", "name", "learned from", "asked", "right", "%", "mean distance", "most often taken for")
    for which, name in enumerate(report.classes):
        answers = [answer for answer in report.answers if answer.label == which]
        wrong = [answer.nearest for answer in answers if answer.nearest != which]
        right = len(answers) - len(wrong)
        distance = np.mean([answer.distance for answer in answers]) / DISTANCE_ONE
        other = report.classes[np.bincount(wrong).argmax()] if wrong else ""
        table.add_row(
            *(str(which), escape(name), str(report.shots), str(len(answers)), str(right)),
            *(f"{100 * right / len(answers):.1f}", f"{distance:.4f}", escape(other)),
        )
    console.print(table)
    console.print(
        f"{counted(len(report.classes), 'way')}, {counted(report.shots, 'shot')} on {report.board}: "
        f"{100 * report.accuracy:.1f} % of {counted(len(report.answers), 'image')} right",
        highlight=False,
    )
    if report.saved is not None:
        console.print(f"saved, number {report.saved}, in {report.store}", highlight=False, soft_wrap=True, markup=False)
    if report.differing is not None:
        equal = len(report.answers) - report.differing
        console.print(f"class and distance equal this machine's for {equal} of {len(report.answers)}", highlight=False)
