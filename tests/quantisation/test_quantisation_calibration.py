import numpy as np
import pytest

from tinyedge.quantisation.calibration import FEWEST_CALIBRATION_IMAGES, MOST_UNSEEN_IMAGES, draw_calibration


@pytest.mark.parametrize(("count", "wanted"), [(1000, 512), (600, 512), (5000, 16)])
def test_seen_and_unseen_share_nothing_and_leave_nothing(count, wanted):
    drawn = draw_calibration(count, wanted, seed=3)
    assert len(drawn.seen) == wanted
    assert len(drawn.unseen) == min(MOST_UNSEEN_IMAGES, count - wanted)
    np.testing.assert_array_equal(np.sort(np.concatenate([drawn.unseen, drawn.others])), np.arange(count))
    assert set(drawn.seen) <= set(drawn.others)
    assert (np.diff(drawn.seen) > 0).all()


@pytest.mark.parametrize("left", [0, FEWEST_CALIBRATION_IMAGES - 1])
def test_where_too_few_are_left_the_seen_ones_serve_twice(left):
    drawn = draw_calibration(100 + left, 100, seed=0)
    np.testing.assert_array_equal(drawn.unseen, drawn.seen)


def test_a_set_smaller_than_wanted_is_taken_whole_and_a_seed_repeats():
    drawn = draw_calibration(40, 512, seed=1)
    np.testing.assert_array_equal(drawn.seen, np.arange(40))
    assert (draw_calibration(900, 100, 1).seen == draw_calibration(900, 100, 1).seen).all()
    assert (draw_calibration(900, 100, 1).seen != draw_calibration(900, 100, 2).seen).any()
