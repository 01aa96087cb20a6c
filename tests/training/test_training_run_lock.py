"""One process at a time trains in a run."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.training.run import load_run
from tinyedge.training.run_lock import locked_run
from tinyedge.training.train import train

HOLDER = """
import sys
from pathlib import Path
from tinyedge.training.run_lock import locked_run
with locked_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process(tmp_path):
    """Another process that trains in a run; it ends when it is killed."""
    (tmp_path / "run").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_run_that_is_being_trained_is_left_alone(other_process, small_config, tmp_path):
    run = tmp_path / "run"
    config = replace(small_config, method="random", method_options={}, batch_size=16)
    with pytest.raises(ConfigError, match=r"another process is training in .*run: wait until it ends, or give another"):
        train(config, run)
    assert list(run.iterdir()) == []
    other_process.kill()
    other_process.wait()
    train(config, run)  # A lock goes with its process, and leaves nothing.
    assert sorted(path.name for path in run.iterdir()) == ["config.yaml", "encoder.safetensors"]
    with locked_run(run), pytest.raises(ConfigError, match="another process"):
        train(config, run, overwrite=True)
    assert (run / "encoder.safetensors").exists()


def test_what_wants_the_encoder_is_told_to_wait_for_it(other_process, small_config, tmp_path):
    run = tmp_path / "run"
    small_config.save(run / "config.yaml")
    with pytest.raises(CheckpointError, match=r"training goes on in another process; wait .* run `tinyedge watch "):
        load_run(run).load_encoder()
    other_process.kill()
    other_process.wait()
    with pytest.raises(CheckpointError, match=r"training has not ended; run `tinyedge train .*--resume"):
        load_run(run).load_encoder()


def test_what_cannot_be_locked_is_not(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "absent", tmp_path / "file" / "in it"):
        with locked_run(path):
            assert not path.exists()
