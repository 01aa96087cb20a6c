"""Only what tinyedge wrote is ever removed."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tinyedge.errors import ConfigError
from tinyedge.training.config import TrainConfig
from tinyedge.training.overwrite import check_replaceable, remove_run
from tinyedge.training.train import train

WRITTEN = (
    *("config.yaml", "encoder.safetensors", "metrics.csv", "metrics.jsonl", "card.md"),
    *(
        "checkpoints/last.ckpt",
        "checkpoints/.last.ckpt.x9_k2abc",
        "plots/loss.png",
        "detection.json",
        "tensorboard/events.out.tfevents.17.host.1.0",
    ),
    *(
        "probe.json",
        "probe.safetensors",
        "features.safetensors",
        "features-held-out.safetensors",
        "plots/embedding.png",
        "plots/gallery.json",
    ),
    *("export/export.json", "export/model.onnx", "export/model_int8.tflite", "export/plots/layers.png"),
    *(".export.ab12cd_4/model.onnx", "firmware/stm32f405/tinyedge.elf", "branches/gated/config.yaml"),
    *("branches/gated/encoder.safetensors", "branches/gated/export/model_mixed.tflite", "branches/gated/probe.json"),
    # What looking at a folder leaves in it.
    *(".DS_Store", "export/._export.json", "plots/Thumbs.db", "export/.ipynb_checkpoints/a-checkpoint.json"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The files of a run that everything was done with."""
    folder = tmp_path / "run"
    for name in WRITTEN:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("written")
    config = TrainConfig(data="digits", batch_size=32, lr_per_256=1e-3, warmup_epochs=0.0, augment="strong")
    config.save(folder / "config.yaml")
    return folder


def everything(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_run_that_everything_was_done_with_can_be_replaced(run: Path) -> None:
    check_replaceable(run)
    remove_run(run)
    assert list(run.iterdir()) == []
    remove_run(run)
    remove_run(run / "absent")


@pytest.mark.parametrize(
    "foreign",
    [
        "src/main.c",
        ".git/HEAD",
        "notes.txt",
        "export/notes.txt",
        "plots/mine.svg",
        "checkpoints/best.ckpt",
        "models/a/b",
        "export/model_int8.tflite/mine",
        "branches/gated/notes.txt",
        "branches/notes.txt",
        ".notes",
        ".secret.x1",
        ".config.yaml.swp",
        "export/.export.json.swp",
    ],
)
def test_what_is_not_tinyedges_stays_and_is_named(run: Path, foreign: str) -> None:
    path = run / foreign
    if path.parent.is_file():
        path.parent.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("mine")
    before = everything(run)
    for call in (check_replaceable, remove_run):
        with pytest.raises(ConfigError, match="is not from tinyedge, which replaces only what is; move it away"):
            call(run)
    assert everything(run) == before


@pytest.mark.parametrize("name", ["plots", "checkpoints/last.ckpt", "data"])
def test_a_link_is_not_followed(run: Path, tmp_path: Path, name: str) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "loss.png").write_text("mine")
    link = run / name
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.symlink_to(treasure)
    with pytest.raises(ConfigError, match=rf"{name} is not from tinyedge"):
        remove_run(run)
    assert (treasure / "loss.png").read_text() == "mine"


@pytest.mark.parametrize("content", ["", "a: b", "data: digits\nmethod: vicreg\n", "- 1\n", "[" * 700, "data: \xff"])
def test_a_configuration_that_is_no_runs_protects_its_folder(tmp_path: Path, content: str) -> None:
    (tmp_path / "config.yaml").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match="is not the configuration of a run"):
        check_replaceable(tmp_path)


def test_a_project_with_a_configuration_is_not_overwritten(small_config, tmp_path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "main.c").write_text("int main(void);")
    (tmp_path / "config.yaml").write_text("name: mine\n")
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match="is not the configuration of a run"):
        train(replace(small_config, method="random", method_options={}), tmp_path, overwrite=True)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("place", [".", "link"])
def test_a_run_is_replaced_in_its_folder(small_config, tmp_path, monkeypatch, place) -> None:
    """Where the folder itself could not be removed."""
    folder = tmp_path / "run"
    folder.mkdir()
    monkeypatch.chdir(folder if place == "." else tmp_path)
    if place == "link":
        Path(place).symlink_to(folder)
    config = replace(small_config, method="random", method_options={}, batch_size=16)
    train(config, Path(place))
    (folder / "probe.json").write_text("[]")
    with pytest.raises(ConfigError, match="already holds a run"):
        train(config, Path(place))
    train(config, Path(place), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["config.yaml", "encoder.safetensors"]
