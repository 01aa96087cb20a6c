"""The page of `tinyedge web` in a real browser: outputs bit for bit, pictures, camera, learning, and how it looks."""

import base64
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from browser.page_models import HEIGHT, WIDTH, image_model, write_export
from chromium import Chromium, find_chromium
from PIL import Image

import tinyedge
from tinyedge.data.decode import grey
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.manifest.beside import manifest_of
from tinyedge.manifest.model_path import resolve_model
from tinyedge.prediction.inputs import preprocessing_of
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.reader import read_tflite
from tinyedge.toolchain import DEBIAN_PACKAGES
from tinyedge.zoo import zoo_names

MISSING = [program for program in ("clang", "wasm-ld") if shutil.which(program) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING or find_chromium() is None),
    reason=f"apt-get install {' '.join([DEBIAN_PACKAGES[one] for one in MISSING] or ['chromium'])}",
)

STRANGE = (
    "</script><script>document.title = 'run'</script>",
    '<img src="x" onerror="document.title = \'run\'">',
    "{{module}} \u2028 & \\u003c",
    "a name of " + "so-many-letters-" * 12,
)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser with a camera, which is a moving picture."""
    browser = Chromium(find_chromium(), tmp_path_factory.mktemp("profile"), "--use-fake-device-for-media-stream")
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier with strange names in named/, an encoder in encoder/, a model of grey images in grey/; each's page
    in site/ there."""
    root = tmp_path_factory.mktemp("pages")
    models = {"named": (STRANGE, 3, None), "encoder": ((), 3, None), "grey": (("no", "yes"), 1, 1000)}
    for name, (classes, channels, white_level) in models.items():
        write_export(root / name / "export", classes, channels, white_level)
        tinyedge.web(root / name, root / name / "site")
    return root


def opened(chromium: Chromium, site: Path, **options) -> Chromium:
    chromium.open(site / "index.html", **options)
    chromium.run("ready")
    return chromium


def quiet(chromium: Chromium) -> bool:
    """Nothing was complained of, nothing was asked for beside the page."""
    return chromium.complaints() == [] and chromium.requests() == []


def text(chromium: Chromium, identifier: str) -> str:
    return chromium.run(f"document.getElementById('{identifier}').textContent")


def wait_for(chromium: Chromium, condition: str) -> None:
    end = time.monotonic() + 60
    while not chromium.run(condition):
        assert time.monotonic() < end, f"never: {condition}; the page says {text(chromium, 'message')!r}"
        time.sleep(0.02)


def drop(chromium: Chromium, file: Path) -> str:
    """Drop a file onto the page; returns what the page says then."""
    content = base64.b64encode(file.read_bytes()).decode()
    chromium.run(
        f"""{{
          say("");
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytesOf("{content}")], "{file.name}"));
          document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }}));
        }}"""
    )
    wait_for(chromium, "$('message').textContent !== ''")
    return text(chromium, "message")


def give_files(chromium: Chromium, identifier: str, files: list[Path]) -> None:
    """Choose files as a person does in the dialogue of an input."""
    found = chromium.call("Runtime.evaluate", expression=f"document.getElementById('{identifier}')")
    handle = found["result"]["objectId"]
    chromium.call("DOM.setFileInputFiles", files=[str(file) for file in files], objectId=handle)


def outputs_of(chromium: Chromium, inputs: np.ndarray, index: int) -> np.ndarray:
    """Return what the page's model puts out for each of some int8 inputs."""
    given = base64.b64encode(inputs.tobytes()).decode()
    size = inputs[0].size
    answer = chromium.run(
        f"""(() => {{
          const inputs = new Int8Array(bytesOf("{given}").buffer), found = [];
          for (let at = 0; at < inputs.length; at += {size}) {{
            const output = model.run(inputs.subarray(at, at + {size})).outputs[{index}];
            found.push(...new Uint8Array(output.buffer));
          }}
          return found;
        }})()"""
    )
    return np.array(answer, np.uint8).view(np.int8).reshape(len(inputs), -1)


# The others are the first encoder with other weights, and have its kernels.
STAND_FOR_ALL = ("tinynext_t_cifar10_efficientnet_lite0", "mobilenetv2_035_cifar10")
ZOO = [pytest.param(name, marks=[] if name in STAND_FOR_ALL else [pytest.mark.thorough]) for name in zoo_names()]


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_a_model_of_the_zoo_puts_out_what_tflite_micro_does(chromium, tmp_path, name):
    report = tinyedge.web(name, tmp_path)
    opened(chromium, tmp_path)
    inputs = np.random.default_rng(0).integers(-128, 128, (100, 32, 32, 3), np.int8)
    expected = TflmRuntime(resolve_model(name)).run(inputs)
    np.testing.assert_array_equal(outputs_of(chromium, inputs, 0), expected.reshape(100, -1))
    assert report.learns == (name == "mobilenetv2_035_cifar10")  # The other's classifier is part of convolutions.
    # The command and the page say what to do then.
    assert ("--encoder-only" in (report.learning_advice or "")) == (not report.learns)
    assert ("--encoder-only" in text(chromium, "facts")) == (not report.learns)
    assert quiet(chromium)


def test_scores_and_embeddings_are_those_of_tflite_micro(chromium, folder, tmp_path):
    inputs = np.random.default_rng(1).integers(-128, 128, (100, HEIGHT, WIDTH, 3), np.int8)
    (tmp_path / "encoder.tflite").write_bytes(image_model(0))
    embeddings = TflmRuntime(tmp_path / "encoder.tflite").run(inputs)
    opened(chromium, folder / "named" / "site")
    scores = TflmRuntime(folder / "named" / "export" / "model_int8.tflite").run(inputs)
    np.testing.assert_array_equal(outputs_of(chromium, inputs, 0), scores)
    np.testing.assert_array_equal(outputs_of(chromium, inputs, 1), embeddings)
    opened(chromium, folder / "encoder" / "site")
    np.testing.assert_array_equal(outputs_of(chromium, inputs, 0), embeddings)


# Smaller and larger than the input, of its size, wider, taller, and one where half a pixel is rounded.
SIZES = [(WIDTH, HEIGHT), (5, 4), (26, 21), (64, 9), (9, 131), (301, 200)]


@pytest.mark.parametrize("name", ["named", "grey"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_png_becomes_the_input_that_it_is_for_predict(chromium, folder, tmp_path, name, size):
    pixels = np.random.default_rng(size[0]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    pixels[::2, : size[0] // 2] = 255  # Bicubic weights overshoot at edges, and are clipped.
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    path = folder / name / "export" / "model_int8.tflite"
    expected = preprocessing_of(read_tflite(path), manifest_of(path)).read(tmp_path / "noise.png")
    opened(chromium, folder / name / "site")
    drop(chromium, tmp_path / "noise.png")
    np.testing.assert_array_equal(np.array(chromium.run("Array.from(input)")), expected.reshape(-1))
    assert quiet(chromium)


@pytest.mark.parametrize("name", ["named", "grey"])
def test_a_png_of_16_bits_has_the_white_of_the_export_or_its_own(chromium, folder, tmp_path, name):
    path = folder / name / "export" / "model_int8.tflite"
    preprocessing = preprocessing_of(read_tflite(path), manifest_of(path))
    assert preprocessing.white_level == (1000 if name == "grey" else None)
    opened(chromium, folder / name / "site")
    noise = np.random.default_rng(8).integers(0, 1100, (25, 31), dtype=np.uint16)
    ramp = np.linspace(0, 4095, 40 * 50).reshape(40, 50).astype(np.uint16)
    for number, pixels in enumerate((noise, ramp, np.rot90(ramp) * 16)):
        file = tmp_path / f"{number}.png"
        Image.fromarray(np.ascontiguousarray(pixels)).save(file)
        expected = preprocessing.for_files([file]).read(file)
        drop(chromium, file)
        np.testing.assert_array_equal(np.array(chromium.run("Array.from(input)")), expected.reshape(-1))
    file.write_bytes(file.read_bytes()[:-60])
    assert "is no image that this browser can read" in drop(chromium, file)
    assert quiet(chromium)


def test_the_luma_of_a_colour_is_that_of_predict(chromium, folder):
    opened(chromium, folder / "grey" / "site")
    colours = np.random.default_rng(3).integers(0, 256, (20_000, 3), dtype=np.uint8)
    given = base64.b64encode(colours.tobytes()).decode()
    shown = chromium.run(f"Array.from(greyOf(bytesOf('{given}')))")
    np.testing.assert_array_equal(np.array(shown), grey(colours).reshape(-1))


def test_a_dropped_image_shows_the_bars_of_predict_and_another_file_changes_nothing(chromium, folder, tmp_path):
    pixels = np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    (prediction,) = tinyedge.predict(folder / "named", tmp_path / "picture.png", top=4).predictions
    opened(chromium, folder / "named" / "site")
    assert drop(chromium, tmp_path / "picture.png").startswith(f"“picture.png”: {prediction.classes[0].name}, ")

    def bars() -> dict[str, str]:
        return dict(chromium.run("bars.map(({ label, value }) => [label.textContent, value.textContent])"))

    shown = bars()
    assert shown == {one.name: f"{100 * one.probability:.1f} %" for one in prediction.classes}
    assert chromium.run("bars.map(({ fill }) => fill.getBoundingClientRect().width > 0)").count(True) >= 1
    assert float(text(chromium, "latency").removesuffix(" ms")) >= 0
    (tmp_path / "notes.txt").write_text("no image")
    assert drop(chromium, tmp_path / "notes.txt") == (
        "“notes.txt” is no image that this browser can read: give a PNG, JPEG or WebP file."
    )
    assert bars() == shown
    (tmp_path / "cut.png").write_bytes((tmp_path / "picture.png").read_bytes()[:60])
    assert "“cut.png” is no image" in drop(chromium, tmp_path / "cut.png")
    chromium.run(
        "decode = createImageBitmap.bind(window);"
        "createImageBitmap = async () => ({ width: 12000, height: 11000, close() {} })"
    )
    assert drop(chromium, tmp_path / "picture.png") == (
        "“picture.png” has 12000 × 11000 pixels, too many or too long and narrow: give a smaller one."
    )
    chromium.run("createImageBitmap = decode")
    assert bars() == shown
    give_files(chromium, "file", [tmp_path / "picture.png"])
    wait_for(chromium, "$('message').textContent.startsWith('“picture.png”')")
    assert quiet(chromium)


def test_names_are_text(chromium, folder, tmp_path):
    model = tmp_path / "<img src=x onerror=document.title='run'>&amp;.tflite"
    shutil.copy(folder / "named" / "export" / "model_int8.tflite", model)
    shutil.copy(folder / "named" / "export" / "export.json", tmp_path)
    content = json.loads((tmp_path / "export.json").read_text())
    content["files"] = {model.name: content["files"]["model_int8.tflite"]}
    (tmp_path / "export.json").write_text(json.dumps(content))
    tinyedge.web(model, tmp_path / "site")
    opened(chromium, tmp_path / "site")
    assert chromium.run("document.title") == model.stem == chromium.run("document.querySelector('h1').textContent")
    assert chromium.run("bars.map(({ label }) => label.textContent)") == list(STRANGE)
    assert chromium.run("document.images.length") == 0
    chromium.run(f"addClass({json.dumps(STRANGE[1])})")
    assert chromium.run("learned[0].item.querySelector('.label').textContent") == STRANGE[1]
    assert chromium.run("document.images.length") == 0
    assert quiet(chromium)


@pytest.mark.parametrize("name", ["encoder", "named"])
def test_classes_are_learned_as_the_firmware_learns_them(chromium, folder, tmp_path, name):
    generator = np.random.default_rng(5)
    colours = {"warm": (210, 80, 40), "cold": (40, 90, 200)}
    files = {}
    for label, colour in colours.items():
        files[label] = [tmp_path / f"{label}{number}.png" for number in range(5)]
        for file in files[label]:
            noise = generator.normal(colour, 45, (HEIGHT + 3, WIDTH + 9, 3))
            Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(file)
    path = folder / "encoder" / "export" / "model_int8.tflite"
    preprocessing, runtime = preprocessing_of(read_tflite(path), manifest_of(path)), TflmRuntime(path)
    host = NearestMean(2, 5)
    embeddings = {file: runtime.run(preprocessing.read(file)[None])[0] for label in files for file in files[label]}
    for number, label in enumerate(colours):
        for file in files[label][:3]:
            host.enroll(number, embeddings[file])

    opened(chromium, folder / name / "site")
    assert chromium.run("$('answer').hidden") == (name == "encoder")
    assert not chromium.run("$('teach').hidden")
    for number, label in enumerate(colours):
        chromium.run("$('class-name').focus()")
        chromium.type(label)
        chromium.run("$('new-class').requestSubmit()")
        chromium.run(f"chosenFor = learned[{number}]")  # What pressing "Add files" does before its dialogue.
        give_files(chromium, "examples", files[label][:3])
        wait_for(chromium, f"model.count({number}) === 3 && $('message').textContent.includes('3 pictures')")
    right = 0
    for label in colours:
        for file in files[label][3:]:
            said = drop(chromium, file)
            nearest, distance = host.classify(embeddings[file])
            assert chromium.run("[model.nearest(), model.distance(model.nearest())]") == [nearest, distance]
            assert said.endswith(f"nearest: {list(colours)[nearest]}")
            right += list(colours)[nearest] == label
    assert right >= 3
    chromium.run("removeClass(learned[0])")
    assert drop(chromium, files["warm"][0]).endswith("nearest: cold")
    assert chromium.run("model.count(0)") == 0
    assert quiet(chromium)


def test_the_camera_shows_bars_and_teaches_and_may_be_refused(chromium, folder):
    chromium.call("Browser.setPermission", permission={"name": "camera"}, setting="granted")
    opened(chromium, folder / "named" / "site")
    chromium.run("$('camera').click()")
    wait_for(chromium, "input !== null && bars[0].value.textContent !== ''")
    chromium.run("addClass('seen'); takeSome(learned[0])")
    assert chromium.run("model.count(0)") == 5
    chromium.run("$('camera').click()")
    assert chromium.run("[camera, $('camera').textContent]") == [None, "Use the camera"]
    chromium.call("Browser.setPermission", permission={"name": "camera"}, setting="denied")
    chromium.run("$('camera').click()")
    wait_for(chromium, "$('message').textContent.includes('refused')")
    assert text(chromium, "message").startswith("The camera was refused: allow it for this page")
    assert chromium.run("model.count(0)") == 5
    assert chromium.run("input !== null")
    assert quiet(chromium)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_window(chromium, folder, width, dark):
    opened(chromium, folder / "named" / "site", width=width, dark=dark)
    chromium.run(f"addClass({json.dumps(STRANGE[3])})")
    assert chromium.run("document.documentElement.scrollWidth") <= chromium.run("innerWidth") <= width
    background = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background.strip("rgb()").split(","))) < 384) == dark


def test_every_control_is_reached_by_the_keyboard(chromium, folder):
    opened(chromium, folder / "named" / "site")
    chromium.run("addClass('mug')")
    reached = []
    for _ in range(10):
        chromium.press("Tab")
        reached.append(chromium.run("document.activeElement.id || document.activeElement.textContent"))
    assert reached[:4] == ["camera", "choose", "measure", "class-name"]
    assert reached[5:9] == ["Add this picture", "Take 5 from the camera", "Add files", "Remove"]


def test_timing_says_what_an_inference_takes(chromium, folder):
    opened(chromium, folder / "named" / "site")
    chromium.run("$('measure').click()")
    runs, taken = text(chromium, "message").split(" inferences took ")
    assert int(runs) > 0
    assert taken.endswith(" ms each.")
    assert text(chromium, "latency") == taken.removesuffix(" each.")
