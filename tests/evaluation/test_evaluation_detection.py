import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import v2
from typer.testing import CliRunner

from tinyedge.cli.app import make_app
from tinyedge.data.voc import load_voc
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import ConfigError, DataError
from tinyedge.evaluation import detection
from tinyedge.evaluation.detection import (
    DetectionBackbone,
    create_detector,
    detect_run,
    encoder_at,
    evaluate_detector,
    train_detector,
)
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, Run, load_run

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def write_voc(root: Path, counts: dict[str, int], width: int = 96, height: int = 72) -> None:
    """Rectangles of two colours on grey noise, one or two an image, in VOC 2007's layout."""
    random = np.random.default_rng(0)
    base = root / "VOCdevkit" / "VOC2007"
    for name in ("JPEGImages", "Annotations", "ImageSets/Main"):
        (base / name).mkdir(parents=True)
    number = 0
    for image_set, count in counts.items():
        names = []
        for _ in range(count):
            number += 1
            names.append(f"{number:06d}")
            pixels = random.integers(90, 140, (height, width, 3), dtype=np.uint8)
            root_element = ElementTree.Element("annotation")
            for half in range(int(random.integers(1, 3))):
                name = list(COLOURS)[int(random.integers(2))]
                w, h = (int(value) for value in random.integers(20, 40, 2))
                left, top = half * width // 2 + int(random.integers(0, 8)), int(random.integers(0, height - h))
                pixels[top : top + h, left : left + w] = COLOURS[name]
                entry = ElementTree.SubElement(root_element, "object")
                ElementTree.SubElement(entry, "name").text = name
                ElementTree.SubElement(entry, "difficult").text = "0"
                box = ElementTree.SubElement(entry, "bndbox")
                edges = (left + 1, top + 1, min(left + w, width), top + h)
                for key, value in zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=True):
                    ElementTree.SubElement(box, key).text = str(value)
            Image.fromarray(pixels).save(base / "JPEGImages" / f"{names[-1]}.jpg", quality=95)
            ElementTree.ElementTree(root_element).write(base / "Annotations" / f"{names[-1]}.xml")
        (base / "ImageSets" / "Main" / f"{image_set}.txt").write_text("\n".join(names) + "\n")


@pytest.fixture(scope="module")
def voc(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("voc")
    write_voc(root, {"trainval": 64, "test": 24})
    return root


@pytest.fixture(scope="module")
def small_voc(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("small_voc")
    write_voc(root, {"trainval": 16, "test": 8})
    return root


@pytest.fixture
def run(tmp_path: Path) -> Run:
    path = tmp_path / "run"
    path.mkdir()
    config = TrainConfig(method="random", encoder="tinynext_t", data="digits", image_size=16, strides=(2, 2, 2, 2, 1))
    config.save(path / CONFIG_FILE)
    torch.manual_seed(0)
    save_file(create_encoder("tinynext_t", input_size=16, strides=config.strides).state_dict(), path / ENCODER_FILE)
    return load_run(path)


def test_boxes_frame_their_rectangles(voc: Path) -> None:
    dataset = load_voc(voc, 64)
    assert dataset.classes == ("blue", "red")
    assert (len(dataset.train), len(dataset.test)) == (64, 24)
    assert dataset.train.images.shape == (64, 3, 64, 64)
    for split in (dataset.train, dataset.test):
        for image, boxes, labels in zip(split.images.float(), split.boxes, split.labels, strict=True):
            assert len(boxes) == len(labels) >= 1
            inside = torch.zeros(64, 64, dtype=torch.bool)
            for (left, top, right, bottom), label in zip(boxes.round().int().tolist(), labels.tolist(), strict=True):
                inner = image[:, top + 2 : bottom - 2, left + 2 : right - 2]
                channel = {"red": 0, "blue": 2}[dataset.classes[label]]
                assert bool((inner.mean((1, 2)).argmax() == channel).all())
                inside[max(top - 2, 0) : bottom + 2, max(left - 2, 0) : right + 2] = True
            assert float((image[:, ~inside] - 115).abs().mean()) < 30  # grey noise


@pytest.mark.parametrize("name", ["tinynext_t", "mobilenetv2_035"])
def test_encoder_goes_to_another_size_with_its_weights(name: str) -> None:
    small = create_encoder(name, input_size=32).eval()
    large = encoder_at(small, 160).eval()
    large.load_state_dict(small.state_dict())
    assert large.input_size == 160
    maps = DetectionBackbone(large).eval()(torch.randn(1, 3, 160, 160))
    assert [feature_map.shape[2] for feature_map in maps.values()] == [10, 5, 3, 2]


def test_every_parameter_learns_and_difficult_objects_do_not_teach(voc: Path) -> None:
    split = load_voc(voc, 64).train
    torch.manual_seed(0)
    detector = create_detector(encoder_at(create_encoder("tinynext_t", input_size=32), 64), 2, MEAN, STD)
    before = {name: parameter.detach().clone() for name, parameter in detector.named_parameters()}
    (loss,) = train_detector(detector, split, epochs=1, seed=0)
    assert loss > 0
    still = [name for name, parameter in detector.named_parameters() if torch.equal(parameter.cpu(), before[name])]
    assert not still
    assert not detector.training


@pytest.mark.slow
@pytest.mark.usefixtures("small_cnn")
def test_detector_learns_to_find_rectangles(voc: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "_BATCH_SIZE", 4)  # A step of few images teaches nearly as much as one of many.
    # Most of the time goes into crops that are given up: 40 are tried where none may frame an object well enough.
    monkeypatch.setattr(v2, "RandomIoUCrop", partial(v2.RandomIoUCrop, trials=4))
    dataset = load_voc(voc, 64)
    torch.manual_seed(0)
    encoder = create_encoder("small_cnn", input_size=32)
    detector = create_detector(encoder_at(encoder, 64), 2, MEAN, STD)
    untrained = evaluate_detector(detector.eval(), dataset.test, 2)
    history = train_detector(detector, dataset.train, epochs=8, seed=0)
    trained = evaluate_detector(detector, dataset.test, 2)
    assert history[-1] < 0.6 * history[0]
    assert trained.area > untrained.area + 0.2
    assert trained.eleven_point > 0.2


def test_run_gets_a_record_and_keeps_its_encoder(small_voc: Path, run: Run) -> None:
    before = load_file(run.path / ENCODER_FILE)
    lines: list[str] = []
    result = detect_run(run, small_voc, epochs=1, image_size=64, seeds=1, announce=lines.append)
    assert json.loads((run.path / "detection.json").read_text())["image_size"] == 64
    assert (result.train_images, result.test_images, result.classes) == (16, 8, ("blue", "red"))
    assert len(result.area) == len(result.random_area) == len(lines) // 2 == 1
    assert all(0 <= value <= 1 for value in (*result.area, *result.random_area, *result.eleven_point))
    after = load_file(run.path / ENCODER_FILE)
    assert all(torch.equal(before[name], after[name]) for name in before)
    replace(run.config, data=str(run.path / "elsewhere")).save(run.path / CONFIG_FILE)
    command = ["detect", str(run.path), "--voc", str(small_voc), "--epochs", "1", "--image-size", "64", "--seeds", "1"]
    assert "elsewhere is neither a folder" in str(CliRunner().invoke(make_app(), command).exception)
    printed = CliRunner().invoke(make_app(), [*command, "--data", "digits"])
    assert printed.exit_code == 0, printed.output
    assert "random weights" in printed.output


@pytest.mark.parametrize("missing", ["trainval.txt", "test.txt"])
def test_missing_lists(tmp_path: Path, missing: str) -> None:
    write_voc(tmp_path, {"trainval": 2, "test": 2})
    (tmp_path / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / missing).unlink()
    with pytest.raises(DataError, match=rf"has no VOCdevkit/VOC2007/ImageSets/Main/{missing}"):
        load_voc(tmp_path, 64)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("Annotations/000001.xml", "<annotation>"),
        ("Annotations/000001.xml", "<annotation><object><name>red</name></object></annotation>"),
        ("JPEGImages/000001.jpg", "x"),
    ],
)
def test_broken_files(tmp_path: Path, file: str, content: str) -> None:
    write_voc(tmp_path, {"trainval": 2, "test": 2})
    (tmp_path / "VOCdevkit" / "VOC2007" / file).write_text(content)
    with pytest.raises(DataError, match=r"000001\.jpg or its annotation .* is missing or broken"):
        load_voc(tmp_path, 64)


@pytest.mark.parametrize("image_set", ["trainval", "test"])
def test_objects_that_are_all_difficult(tmp_path: Path, run: Run, image_set: str) -> None:
    write_voc(tmp_path, {"trainval": 8, "test": 8})
    base = tmp_path / "VOCdevkit" / "VOC2007"
    for name in (base / "ImageSets" / "Main" / f"{image_set}.txt").read_text().split():
        annotation = base / "Annotations" / f"{name}.xml"
        annotation.write_text(annotation.read_text().replace("<difficult>0", "<difficult>1"))
    with pytest.raises(DataError, match=f"{image_set} has no object that is not difficult"):
        detect_run(run, tmp_path, epochs=1, image_size=64, seeds=1)


@pytest.mark.parametrize("options", [{"epochs": 0}, {"seeds": 0}, {"image_size": 32}])
def test_wrong_options(run: Run, tmp_path: Path, options: dict) -> None:
    with pytest.raises(ConfigError, match="is at least"):
        detect_run(run, tmp_path, **options)
