import io
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from tinyedge.errors import ConfigError
from tinyedge.training.checkpoint import load_checkpoint
from tinyedge.training.metrics import read_metrics
from tinyedge.training.optimizer import create_optimizer
from tinyedge.training.train import train

pytest.importorskip("webdataset")


@pytest.fixture
def shards(image_folder, tmp_path, monkeypatch) -> str:
    """The images of the folder in four shards."""
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    files = sorted(Path(image_folder).iterdir())
    for shard in range(4):
        with tarfile.open(tmp_path / f"{shard}.tar", "w") as archive:
            for file in files[shard::4]:
                content = file.read_bytes()
                member = tarfile.TarInfo(file.name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    return f"{tmp_path}/{{0..3}}.tar"


def losses(run) -> list[float]:
    return [record["loss"] for record in read_metrics(run / "metrics.jsonl")]


def test_training_on_shards_resumes_to_the_same_numbers(shards, small_config, tmp_path, monkeypatch):
    config = replace(small_config, data=shards, epochs=1, checkpoint_every_steps=1)
    whole = train(config, tmp_path / "whole")
    assert len(losses(whole.path)) == 8
    with monkeypatch.context() as patch:
        patch.setattr("tinyedge.training.loop.create_optimizer", interrupted_optimizer)
        with pytest.raises(KeyboardInterrupt):
            train(config, tmp_path / "stopped")
    assert load_checkpoint(tmp_path / "stopped/checkpoints/last.ckpt").step == 6
    resumed = train(config, tmp_path / "stopped", resume=True)
    assert losses(resumed.path) == losses(whole.path)
    assert resumed.encoder_path.read_bytes() == whole.encoder_path.read_bytes()


def interrupted_optimizer(*arguments):
    """AdamW that is interrupted in its seventh step."""
    optimizer = create_optimizer(*arguments)
    steps = iter(range(100))

    def interrupt(*_):
        if next(steps) == 6:
            raise KeyboardInterrupt

    optimizer.register_step_pre_hook(interrupt)
    return optimizer


def test_methods_that_need_labels_refuse_shards(shards, small_config, tmp_path):
    with pytest.raises(ConfigError, match="supervised needs labels"):
        train(replace(small_config, data=shards, method="supervised", method_options={}), tmp_path / "run")
