"""`tinyedge requantise` on a file of uint8: what it writes, says and refuses."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from compiler.random_networks import random_network
from compiler.tflite_builder import OperatorSpec, TensorSpec, build_model, constant, one_operator
from quantisation.uint8_models import activation, uint8_network, weights
from typer.testing import CliRunner

import tinyedge
from tinyedge.cli.app import make_app
from tinyedge.errors import ConfigError, ModelError
from tinyedge.exporter import requantise_model
from tinyedge.installation import package_missing
from tinyedge.runtimes.litert_session import REFERENCE, LitertSession
from tinyedge.tflite.reader import read_tflite


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("old.tflite").write_bytes(uint8_network(beyond=1))
    return Path("old.tflite")


def test_the_figures_are_those_of_both_files(old: Path) -> None:
    done = CliRunner().invoke(make_app(), ["requantise", str(old), "--json"])
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert (made["path"], made["channels"], made["rescaled_channels"]) == ("old_int8.tflite", 21, 4)
    new = Path(made["path"])
    assert made["bytes"] == new.stat().st_size
    assert read_tflite(new).inputs[0].dtype == np.int8
    inputs = np.random.default_rng(0).integers(0, 255, (100, 9, 7, 3), np.uint8, endpoint=True)
    before = LitertSession(old.read_bytes(), REFERENCE).run(inputs).astype(int)
    after = LitertSession(new.read_bytes(), REFERENCE).run((inputs ^ 128).view(np.int8)).astype(int) + 128
    assert made["distance"] == {
        "inputs": 100,
        "values": 400,
        "differing": int((before != after).sum()),
        "largest_steps": int(np.abs(before - after).max()),
        "same_largest": sum(int(one[other.argmax()] == one.max()) for one, other in zip(before, after, strict=True)),
    }
    assert 0 < made["distance"]["differing"] < 400


def test_the_table_names_what_was_rounded_and_the_next_commands(old: Path) -> None:
    done = CliRunner().invoke(make_app(), ["requantise", str(old), "--out", "new.tflite"])
    assert done.exit_code == 0, done.output
    said = re.sub(r"[\s│]+", " ", done.output)
    assert "17 of 21 channels the same" in said
    assert "4 rounded, to scales of at most 1.03 times theirs" in said
    assert "int8 where they were uint8: the old code less 128" in said
    assert "next: tinyedge check new.tflite" in said


def test_without_litert_it_says_that_nothing_was_compared(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_: object) -> None:
        raise package_missing("ai-edge-litert")

    monkeypatch.setattr(requantise_model, "LitertSession", absent)
    made = tinyedge.requantise(old)
    assert (made.distance, made.not_compared) == (None, "LiteRT is not installed")
    done = CliRunner().invoke(make_app(), ["requantise", str(old), "--out", "new.tflite"])
    assert "not compared: LiteRT is not installed" in done.output


@pytest.mark.parametrize(("refused", "which"), [(1, "old"), (2, "new")])
def test_it_says_which_file_litert_does_not_run(
    refused: int, which: str, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, loaded = requantise_model.LitertSession, []

    def refuse(content: bytes, kernels: str) -> LitertSession:
        loaded.append(content)
        if len(loaded) == refused:
            raise ValueError("no kernel\nof [it]")
        return session(content, kernels)

    monkeypatch.setattr(requantise_model, "LitertSession", refuse)
    done = CliRunner().invoke(make_app(), ["requantise", str(old), "--out", "new.tflite"])
    assert done.exit_code == 0, done.output
    said = re.sub(r"[\s│]+", " ", done.output)
    assert f"not compared: LiteRT does not run the {which} file: no kernel of [it]" in said
    assert Path("new.tflite").is_file()


def _float_ends() -> bytes:
    """A float of no codes, an input that is an output, and a float that codes became."""
    image, scores, given = (
        activation((1, 4), 0.1, 3),
        activation((1, 4), 0.1, 128),
        TensorSpec((1, 4), dtype=np.float32),
    )
    reals, exponentials = (TensorSpec((1, 4), dtype=np.float32) for _ in range(2))
    operators = [
        OperatorSpec("FULLY_CONNECTED", [image, weights(np.random.default_rng(0), (4, 4), 1), None], scores),
        OperatorSpec("DEQUANTIZE", [scores], reals),
        OperatorSpec("EXP", [reals], exponentials),
    ]
    return build_model(operators, [image, given], [exponentials, given, reals])


def _sum(count: int) -> bytes:
    return one_operator(
        "SUM",
        [activation((1, 20, count), 0.1, 100), constant(np.array([1], np.int32))],
        activation((1, count), 0.5, 100),
    )


def _doubled() -> bytes:
    return one_operator(
        "TILE", [activation((1, 5), 0.1, 100), constant(np.array([1, 2], np.int32))], activation((1, 10), 0.1, 100)
    )


def test_floats_of_no_codes_are_compared(tmp_path: Path) -> None:
    (tmp_path / "old.tflite").write_bytes(_float_ends())
    distance = tinyedge.requantise(tmp_path / "old.tflite", out=tmp_path / "new.tflite").distance
    assert distance is not None
    assert distance.values == 1200
    assert distance.differing > 0
    assert 0 < distance.largest_steps < 20


@pytest.mark.parametrize(("model", "same_largest"), [(_sum(7), 100), (_sum(1), None), (_doubled(), 100)])
def test_what_reference_kernels_lack_is_compared_by_others(model: bytes, same_largest: int | None, old: Path) -> None:
    old.write_bytes(model)
    distance = tinyedge.requantise(old).distance
    assert distance is not None
    assert (distance.differing, distance.same_largest) == (0, same_largest)
    done = CliRunner().invoke(make_app(), ["requantise", str(old), "--out", "new.tflite"])
    assert ("largest output" in done.output) == (same_largest is not None)
    assert "weights" not in done.output


def test_a_refusal_names_the_file_that_was_given(old: Path) -> None:
    scores, reals = activation((1, 4), 0.1, 3), TensorSpec((1, 4), dtype=np.float32)
    image, ends = activation((1, 4), 0.1, 3), TensorSpec((1, 4), dtype=np.float32)
    operators = [
        OperatorSpec("RELU", [image], scores),
        OperatorSpec("DEQUANTIZE", [scores], reals),
        OperatorSpec("SOFTMAX", [reals], ends, {"beta": 1.0}),
    ]
    old.write_bytes(build_model(operators, [image], [ends]))
    with pytest.raises(ModelError, match=r"operator 2 \(SOFTMAX\) of old\.tflite reads the float32"):
        tinyedge.requantise(old)


def test_a_file_that_is_there_stays(old: Path) -> None:
    Path("mine.tflite").write_bytes(b"mine")
    for target in ("mine.tflite", "old.tflite"):
        with pytest.raises(ConfigError, match="is there already"):
            tinyedge.requantise(old, out=target)
    with pytest.raises(ConfigError, match=r"does not end in \.tflite"):
        tinyedge.requantise(old, out="new.onnx")
    assert Path("mine.tflite").read_bytes() == b"mine"


def test_what_is_no_uint8_is_told(old: Path) -> None:
    Path("new.tflite").write_bytes(random_network(1))
    with pytest.raises(ModelError, match=r"new\.tflite is not quantised to uint8"):
        tinyedge.requantise("new.tflite")
    with pytest.raises(ModelError, match=r"no model at none\.tflite"):
        tinyedge.requantise("none.tflite")
    with pytest.raises(
        ModelError, match=r"is quantised to uint8 already: `tinyedge requantise old\.tflite` makes int8"
    ):
        tinyedge.quantise(old, np.zeros((20, 9, 7, 3), np.float32))
