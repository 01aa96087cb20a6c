import dataclasses
import json
import shutil
import threading

import numpy as np
import pytest
from exports.tiny_graphs import GraphBuilder
from PIL import Image
from rich.console import Console

import tinyedge
from tinyedge.boards.board import load_board
from tinyedge.browser.web_model import read_web_model
from tinyedge.cli.tables.predict import print_predictions
from tinyedge.devices.emulator import Emulator
from tinyedge.devices.pty_port import PtyPort
from tinyedge.errors import ConfigError, DataError, ModelError, TargetError
from tinyedge.firmware.build import build_firmware
from tinyedge.manifest.model_path import resolve_model
from tinyedge.prediction.inputs import preprocessing_of
from tinyedge.quantisation.quantise import quantise
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.tflite.graph import Graph, Operator, Quantisation
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes

ZOO = "tinynext_t_cifar10"


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two images of the model's size and one of another, in a folder of folders, and a file that is none."""
    generator = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir(parents=True)
    for name, size in (("a.png", (32, 32)), ("b.png", (32, 32)), ("more/c.png", (80, 48))):
        Image.fromarray(generator.integers(0, 256, (*size, 3), dtype=np.uint8)).save(folder / name)
    (folder / "broken.png").write_bytes(b"no image")
    (folder / "notes.txt").write_text("not looked at")
    return folder


@pytest.fixture(scope="module")
def report(photos):
    return tinyedge.predict(ZOO, photos, top=10)


def graph_file(path, build: GraphBuilder, output):
    graph = build.graph(output)
    ranges = dict.fromkeys((*graph.inputs, *(operator.output for operator in graph.operators)), (-1.0, 1.0))
    path.write_bytes(tflite_bytes(quantise(graph, ranges)))
    return path


def test_probabilities_are_the_softmax_of_what_the_c_puts_out(photos, report):
    assert [prediction.file for prediction in report.predictions] == [
        str(photos / name) for name in ("a.png", "b.png", "more/c.png")
    ]
    assert [skipped.file for skipped in report.skipped] == [str(photos / "broken.png")]
    assert (report.target, report.runtime, report.board, report.assumption) == ("host", "aot", None, None)
    # The manifest's formula and a softmax, written out once more.
    model = resolve_model(ZOO)
    manifest = json.loads((model.parent / "export.json").read_text())
    mean, std = (np.array(manifest["preprocessing"][key]) for key in ("mean", "std"))
    pixels = np.asarray(Image.open(photos / "b.png")) / 255
    given = np.floor((pixels - mean) / std / manifest["input"]["scale"] + 0.5) + manifest["input"]["zero_point"]
    out = AotRuntime(model).run(np.clip(given, -128, 127).astype(np.int8)[None])[0].reshape(-1)
    powers = np.exp(manifest["output"]["scale"] * (out.astype(float) - manifest["output"]["zero_point"]))
    expected = dict(zip(manifest["classes"], powers / powers.sum(), strict=True))
    answered = {one.name: one.probability for one in report.predictions[1].classes}
    assert answered == pytest.approx(expected)
    probabilities = [one.probability for one in report.predictions[1].classes]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1)


def test_a_model_without_a_manifest_says_what_is_assumed(photos, tmp_path):
    build = GraphBuilder(1, 32, 32, 3)
    logits = build.dense(build.mean(build.conv(build.input, 5), 1, 2), 4, keep_num_dims=False)
    bare = graph_file(tmp_path / "bare.tflite", build, logits)
    (tmp_path / "empty").mkdir()
    named = [tmp_path / "none.png", photos / "a.png", tmp_path / "empty", photos / "broken.png"]
    report = tinyedge.predict(bare, named, top=2)
    assert [one.file for one in report.predictions] == [str(photos / "a.png")]
    assert [one.file for one in report.skipped] == [str(path) for path in (named[0], *named[2:])]
    assert [one.reason for one in report.skipped[:2]] == ["it does not exist", "it holds no images"]
    assert "no export.json is beside the model" in report.assumption
    assert len(report.predictions[0].classes) == 2
    given = (np.asarray(Image.open(photos / "a.png")).astype(int) - 128).astype(np.int8)
    out = AotRuntime(bare).run(given[None])[0].reshape(-1)
    assert report.predictions[0].classes[0].name == str(out.argmax())


def test_a_model_that_ends_in_a_softmax_gives_its_own_probabilities(photos, tmp_path):
    build = GraphBuilder(1, 4, 6, 1)  # Grey, and not square.
    logits = build.dense(build.mean(build.conv(build.input, 5), 1, 2), 3, keep_num_dims=False)
    path = graph_file(tmp_path / "grey.tflite", build, build.add("SOFTMAX", (logits,), (1, 3), beta=1.0))
    report = tinyedge.predict(path, photos / "more" / "c.png", top=5)
    classes = report.predictions[0].classes
    assert {one.name for one in classes} == {"0", "1", "2"}
    assert sum(one.probability for one in classes) == pytest.approx(1, abs=3 / 256)
    assert all(256 * one.probability == pytest.approx(round(256 * one.probability)) for one in classes)


def test_grey_is_luma():
    build = GraphBuilder(1, 4, 6, 1)
    graph: Graph = build.graph(build.conv(build.input, 5))
    quantised = quantise(graph, dict.fromkeys((graph.inputs[0], graph.operators[0].output), (-1.0, 1.0)))
    table = preprocessing_of(quantised, None).table
    assert table.shape == (1, 256)
    assert (table[0] == np.arange(-128, 128)).all()


def test_what_is_no_classifier_of_images_is_refused(photos, tmp_path):
    build = GraphBuilder(1, 12)
    dense = graph_file(tmp_path / "dense.tflite", build, build.dense(build.input, 3))
    with pytest.raises(ModelError, match=r"takes \[1, 12\], not an image .* `tinyedge bench MODEL --input X.npy`$"):
        tinyedge.predict(dense, photos / "a.png")
    entry = resolve_model(ZOO).parent
    copied = tmp_path / "feature"
    shutil.copytree(entry, copied)
    manifest = json.loads((copied / "export.json").read_text())
    (copied / "export.json").write_text(json.dumps({**manifest, "classes": [], "kind": "encoder"}))
    with pytest.raises(ConfigError, match="puts out a feature of 10 numbers, not classes; run `tinyedge probe"):
        tinyedge.predict(copied, photos / "a.png")


def test_mistakes_are_answered_in_a_sentence(photos, tmp_path):
    with pytest.raises(DataError, match=r"no image can be read: .*broken\.png"):
        tinyedge.predict(ZOO, photos / "broken.png")
    with pytest.raises(DataError, match=r"none\.png does not exist"):
        tinyedge.predict(ZOO, [tmp_path / "none.png", tmp_path / "gone"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no images; give image files or folders of them, \.bmp, "):
        tinyedge.predict(ZOO, tmp_path / "empty")
    with pytest.raises(ConfigError, match="no such target: moon"):
        tinyedge.predict(ZOO, photos, target="moon")
    with pytest.raises(ConfigError, match="a board does not run litert"):
        tinyedge.predict(ZOO, photos, target="emulator", runtime="litert")
    with pytest.raises(ConfigError, match="top is 0"):
        tinyedge.predict(ZOO, photos, top=0)


def test_the_table_fits_80_columns(photos, report, capsys):
    print_predictions(report, Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines if not line.startswith(("skipped", str(resolve_model(ZOO))))) <= 80
    assert any(line.startswith(f"skipped {photos / 'broken.png'}: UnidentifiedImageError") for line in lines)
    assert any(report.predictions[0].classes[0].name in line for line in lines)


@pytest.mark.slow
def test_the_emulated_board_says_what_the_host_says(photos, report):
    board = tinyedge.predict(ZOO, photos, target="emulator", top=10)
    assert (board.target, board.board) == ("emulator", "stm32f405")
    assert board.predictions == report.predictions


@pytest.mark.slow
def test_a_board_at_a_port_says_what_the_host_says(photos, tmp_path):
    build = GraphBuilder(1, 8, 8, 3)
    path = graph_file(tmp_path / "small.tflite", build, build.dense(build.mean(build.input, 1, 2), 4))
    other = graph_file(tmp_path / "other.tflite", build, build.dense(build.mean(build.input, 1, 2), 3))
    board = load_board("stm32f405")
    image = build_firmware(path, board, tmp_path / "image")
    with Emulator(image.elf, board) as emulator:
        port = PtyPort(emulator.stream)
        carrier = threading.Thread(target=port.run)
        carrier.start()
        try:
            answered = tinyedge.predict(path, photos, target="board", port=port.name)
            with pytest.raises(ConfigError, match="is for stm32f405, not mps2_an386"):
                tinyedge.predict(path, photos, target="board", port=port.name, board="mps2_an386")
            with pytest.raises(TargetError, match="small"):
                tinyedge.predict(other, photos, target="board", port=port.name)
        finally:
            port.unplug()
            carrier.join()
    assert (answered.target, answered.runtime, answered.board) == ("board", "aot", "stm32f405")
    assert answered.predictions == tinyedge.predict(path, photos).predictions


@pytest.mark.parametrize("kind", [np.float32, np.uint8])
def test_ends_of_other_types_say_the_same(photos, tmp_path, kind):
    """As today's converter writes a model by default, and as it writes one for uint8 images."""
    build = GraphBuilder(1, 6, 4, 3)
    logits = build.dense(build.mean(build.conv(build.input, 5), 1, 2), 4, keep_num_dims=False)
    inside = graph_file(tmp_path / "inside.tflite", build, logits)
    graph = read_tflite(inside)
    ends = []
    for tensor in (*graph.inputs, *graph.outputs):
        quantisation = None
        if kind is np.uint8:
            quantisation = Quantisation(tensor.q.scales, tensor.q.zero_points + 128)
        ends.append(
            dataclasses.replace(tensor, name=f"{tensor.name}/end", dtype=np.dtype(kind), quantisation=quantisation)
        )
    last = "DEQUANTIZE" if kind is np.float32 else "QUANTIZE"
    first = Operator("QUANTIZE", (ends[0],), graph.inputs)
    operators = [first, *graph.operators, Operator(last, graph.outputs, (ends[1],))]
    path = tmp_path / "ends.tflite"
    path.write_bytes(
        tflite_bytes(dataclasses.replace(graph, operators=operators, inputs=(ends[0],), outputs=(ends[1],)))
    )
    expected, found = (tinyedge.predict(model, photos / "a.png", top=4).predictions for model in (inside, path))
    assert [one.name for one in found[0].classes] == [one.name for one in expected[0].classes]
    assert [one.probability for one in found[0].classes] == pytest.approx(
        [one.probability for one in expected[0].classes], abs=1e-6
    )


def test_an_image_or_a_map_of_cells_is_no_row_of_classes(photos, tmp_path):
    build = GraphBuilder(1, 6, 4, 3)
    model = graph_file(tmp_path / "map.tflite", build, build.conv(build.input, 5))
    with pytest.raises(ModelError, match=r"puts out 1 x 6 x 4 x 5 numbers, not the scores of classes; `tinyedge comp"):
        tinyedge.predict(model, photos / "a.png")


def test_an_output_without_axes_is_a_class(photos, tmp_path):
    build = GraphBuilder(1, 6, 4, 3)
    model = graph_file(tmp_path / "one.tflite", build, build.mean(build.conv(build.input, 5), 0, 1, 2, 3))
    (prediction,) = tinyedge.predict(model, photos / "a.png").predictions
    assert [found.name for found in prediction.classes] == ["0"]
    scores = read_web_model(model).scores
    assert scores is not None
    assert scores.classes == ("0",)


def test_several_inputs_or_outputs_are_refused(photos, tmp_path):
    build = GraphBuilder(1, 6, 4, 3)
    graph = read_tflite(graph_file(tmp_path / "one.tflite", build, build.conv(build.input, 5)))
    path = tmp_path / "two.tflite"
    path.write_bytes(tflite_bytes(dataclasses.replace(graph, outputs=(*graph.outputs, *graph.inputs))))
    with pytest.raises(ModelError, match="puts out 2 tensors"):
        tinyedge.predict(path, photos / "a.png")
