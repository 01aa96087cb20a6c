"""`tinyedge enroll` against an emulated board, held against TFLite Micro's embeddings and Python's integers."""

import json
from pathlib import Path

import numpy as np
import pytest
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant
from PIL import Image

from tinyedge.cli import main
from tinyedge.errors import ToolMissing
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.learning.task import draw_task, load_images
from tinyedge.manifest import manifest as manifests
from tinyedge.manifest.preprocess import FORMULA, quantise_images
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.toolchain import find_build_tools, find_tool

SIDE, CHANNELS, IMAGES = 8, 13, 9
COLOURS = {"blue": (30, 40, 200), "grey": (120, 120, 120), "red": (200, 60, 30)}


def model(folded: bool = False, encoder: bool = False) -> bytes:
    """An image's local features, their mean, and a classifier of two classes after that or, folded, instead of it."""
    generator = np.random.default_rng(3)
    image = TensorSpec((1, SIDE, SIDE, 3), 0.02, -7, name="image")
    channels = 2 if folded else CHANNELS
    kernel = constant(generator.integers(-127, 128, (channels, 3, 3, 3), np.int8), np.full(channels, 0.01))
    bias = constant(np.zeros(channels, np.int32), np.full(channels, 0.0002))
    features, embedding = TensorSpec((1, SIDE, SIDE, channels), 0.1, 5), TensorSpec((1, channels), 0.1, 5)
    operators = [
        OperatorSpec("CONV_2D", [image, kernel, bias], features, {"padding": "SAME", "strideH": 1, "strideW": 1}),
        OperatorSpec("MEAN", [features, constant(np.array([1, 2], np.int32))], embedding, version=2),
    ]
    if folded or encoder:
        return build_model(operators, [image], [embedding])
    weights = constant(generator.integers(-127, 128, (2, CHANNELS), np.int8), 0.01)
    logits = TensorSpec((1, 2), 0.1, 0)
    operators.append(
        OperatorSpec("FULLY_CONNECTED", [embedding, weights, constant(np.zeros(2, np.int32), 0.001)], logits)
    )
    return build_model(operators, [image], [logits])


@pytest.fixture
def folder(tmp_path) -> Path:
    """A model with its manifest in m/, an encoder alone in encoder.tflite, images in images/CLASS/."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "model_int8.tflite").write_bytes(model())
    (tmp_path / "encoder.tflite").write_bytes(model(encoder=True))
    manifests.write_manifest(
        tmp_path / "m",
        manifests.ExportManifest(
            kind="classifier",
            encoder="none",
            act="relu",
            strides=(1,),
            parameters=1,
            weights_sha256="",
            classes=("yes", "no"),
            input=manifests.TensorSpec("image", (1, SIDE, SIDE, 3), 0.02, -7),
            output=manifests.TensorSpec("logits", (1, 2), 0.1, 0),
            preprocessing=manifests.Preprocessing((0.5, 0.4, 0.3), (0.2, 0.3, 0.25), "RGB", FORMULA),
            calibration=None,
            operators={},
            transposes=0,
            files={},
            parity={},
            versions={},
        ),
    )
    generator = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(IMAGES):
            pixels = generator.normal(colour, 45, (SIDE + 2, SIDE + 4, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path


@pytest.fixture
def enroll(folder, monkeypatch, capsys):
    """Run `tinyedge enroll` in the folder; returns the exit code, standard output and standard error."""
    monkeypatch.chdir(folder)

    def run(*arguments: str) -> tuple[int, str, str]:
        given = ["tinyedge", "enroll", "m/model_int8.tflite", "--data", "images", "--shots", "4", "--queries", "5"]
        monkeypatch.setattr("sys.argv", given + list(arguments))
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err.strip()

    return run


def test_a_board_learns_what_the_host_learns(enroll, folder):
    try:
        find_build_tools()
        find_tool("qemu-system-arm")
    except ToolMissing as error:
        pytest.skip(str(error))
    code, out, err = enroll("--emulator", "--classes", "red,grey,blue", "--json")
    assert code == 0, err
    assert "next: tinyedge build " in err
    report = json.loads(out)
    assert (report["board"], report["classes"], report["saved"]) == ("stm32f405", ["red", "grey", "blue"], 1)
    assert (report["differing"], report["shots"]) == (0, 4)

    task = draw_task(Path("images"), 4, 5, 0, ("red", "grey", "blue"))
    manifest = manifests.read_manifest(folder / "m")
    runtime = TflmRuntime(folder / "encoder.tflite")
    shots, queries = (
        runtime.run(quantise_images(load_images(examples, manifest), manifest))
        for examples in (task.support, task.queries)
    )
    host = NearestMean(3, 5)
    for example, embedding in zip(task.support, shots, strict=True):
        host.enroll(example.label, embedding)
    expected = [
        {"file": str(example.file), "label": example.label, "nearest": nearest, "distance": distance}
        for example, (nearest, distance) in zip(task.queries, map(host.classify, queries), strict=True)
    ]
    assert report["answers"] == expected
    assert report["accuracy"] == np.mean([one["label"] == one["nearest"] for one in expected]) > 0.6


def test_a_task_is_drawn_once_and_for_all(folder):
    first = draw_task(folder / "images", 4, 5, 7)
    assert first == draw_task(folder / "images", 4, 5, 7)
    assert first != draw_task(folder / "images", 4, 5, 8)
    assert first.classes == ("blue", "grey", "red")
    files = [example.file for example in first.support + first.queries]
    assert len(set(files)) == 3 * 9
    assert all(one.file.parent.name == first.classes[one.label] for one in first.support + first.queries)
    assert [example.label for example in first.queries[:6]] == [0, 1, 2, 0, 1, 2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "--port"),
        (("--emulator", "--port", "/dev/ttyACM0"), "--port"),
        (("--port", "/dev/none"), "/dev/none"),
        (("--emulator", "--board", "stm32f406"), "stm32f405"),
        (("--emulator", "--shots", "5"), "has 9 images and 10 are needed"),
        (("--emulator", "--classes", "red,green"), "no class folder 'green'"),
        (("--emulator", "--classes", "red,red"), "named twice"),
        (("--emulator", "--classes", "red"), "two or more"),
        (("--emulator", "--data", "gone"), "gone is no folder"),
        (("--emulator", "--data", "m"), "0 class folders"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_a_mistake_is_one_sentence(enroll, arguments, words):
    code, _, err = enroll(*arguments)
    assert code == 2
    assert words in err
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_a_broken_image_is_named(enroll, folder):
    (folder / "images" / "red" / "3.png").write_bytes(b"not an image")
    code, _, err = enroll("--emulator")
    assert code == 2
    assert "3.png" in err


def test_a_model_without_its_manifest_is_refused(enroll, folder):
    (folder / "m" / "export.json").unlink()
    code, _, err = enroll("--emulator")
    assert code == 2
    assert "export.json" in err


def test_a_folded_classifier_has_no_embedding(enroll, folder):
    (folder / "m" / "model_int8.tflite").write_bytes(model(folded=True))
    code, _, err = enroll("--emulator")
    assert code == 2
    assert "--encoder-only" in err
