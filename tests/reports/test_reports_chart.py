"""Axes hold their values, at round marks, where a naive computation puts them."""

import math

import numpy as np
import pytest

from tinyedge.reports.chart import line, linear_axis, logarithmic_axis

RANGES = [(0, 1), (-3, 7), (1e-9, 2e-9), (0, 132), (38.2, 38.9), (-1e6, 5e8), (5, 5), (0, 0), (-2, -2), (0, 9.99)]


@pytest.mark.parametrize("snug", [False, True])
@pytest.mark.parametrize(("low", "high"), RANGES)
def test_an_axis_holds_its_values_and_says_where_its_marks_are(low, high, snug):
    axis = linear_axis([high, low], snug=snug)
    assert axis.low <= low <= high <= axis.high
    assert axis.low < axis.high
    for value in np.linspace(low, high, 7):
        assert axis.at(value) == pytest.approx(100 * (value - axis.low) / (axis.high - axis.low), abs=0.006)
    assert len(axis.ticks) >= 2
    places = [tick.at for tick in axis.ticks]
    assert places == sorted(places)
    assert -0.01 <= places[0] < places[-1] <= 100.01
    assert len({tick.text for tick in axis.ticks}) == len(places)
    for tick in axis.ticks:  # What stands there is what is there, to a hundredth of the axis.
        value = float(tick.text.replace(",", ""))
        assert value == pytest.approx(
            axis.low + tick.at / 100 * (axis.high - axis.low), abs=(axis.high - axis.low) / 99
        )


def test_marks_of_quarters_are_not_rounded():
    assert [tick.text for tick in linear_axis([0, 10], 4).ticks] == ["0.0", "2.5", "5.0", "7.5", "10.0"]


def test_equal_factors_have_equal_lengths():
    axis = logarithmic_axis([0.01, 0.1, 1.0], ["1 %", "10 %", "100 %"])
    one, two, three = (tick.at for tick in axis.ticks)
    assert two - one == pytest.approx(three - two, abs=0.02)
    assert axis.at(math.sqrt(0.1)) == pytest.approx((two + three) / 2, abs=0.02)


def test_a_line_runs_downwards():
    axis = linear_axis([0, 100], 5)
    assert line([(0, 0), (50, 25), (100, 100)], axis, axis) == "M0 100L50 75L100 0"
