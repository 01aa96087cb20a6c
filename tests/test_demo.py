"""What the demo replaces: its own runs of before, and nobody else's."""

from dataclasses import replace

import pytest

from tinyedge.announce import SILENCE
from tinyedge.demo import run_demo
from tinyedge.errors import ConfigError
from tinyedge.training.config import TrainConfig


def test_a_run_that_the_demo_did_not_train_is_left_alone(tmp_path):
    own = TrainConfig(method="random", data="digits", image_size=32, strides=(2, 1, 2, 2, 2), epochs=20, seed=0)
    own.save(tmp_path / "random" / "config.yaml")
    replace(own, method="s0-plus", data="/photos").save(tmp_path / "s0-plus" / "config.yaml")
    with pytest.raises(ConfigError, match=r"s0-plus holds a run that the demo did not train: .*--out"):
        run_demo(tmp_path, announce=lambda command: pytest.fail(f"{command} began"), progress=SILENCE)
    assert (tmp_path / "random" / "config.yaml").is_file()
