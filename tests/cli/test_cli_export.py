"""`tinyedge export` as a program: what goes where, and with which exit code."""

import json
import re

import pytest

from tinyedge.cli import main
from tinyedge.training.config import TrainConfig
from tinyedge.training.train import train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
STEPS = ["loading", "folding", "ONNX", "float TFLite", "activation ranges", "INT8 TFLite", "parity", "plots"]


@pytest.fixture(scope="module")
def run(small_cnn, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "random"
    config = TrainConfig(
        method="random",
        encoder="small_cnn",
        data="digits",
        image_size=16,
        accelerator="cpu",
    )
    return train(config, folder).path


@pytest.fixture
def export(run, monkeypatch, capfd):
    """A function that exports the run in this process: its exit code and what it wrote, by file descriptor."""

    def call(*options):
        command = ["tinyedge", "export", str(run), "--encoder-only", "--calibration", "32", "--json", *options]
        monkeypatch.setattr("sys.argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capfd.readouterr()

    return call


def test_a_failed_gate_is_exit_code_3_and_names_the_layer(run, export):
    code, out, err = export("--max-float-difference", "0")
    assert code == 3, err
    manifest = json.loads(out)  # Nothing else is there.
    assert manifest == json.loads((run / "export" / "export.json").read_text())
    assert manifest["parity"]["gates"] == {"float_difference": 0.0, "top1_drop": 1.0, "neighbours": 0.1}
    *steps, error = err.strip().splitlines()
    assert [line.rpartition("  ")[0] for line in steps] == STEPS
    assert all(line.endswith(" s") for line in steps)
    assert error.startswith(f"error: the export is in {run / 'export'}, but PyTorch and ONNX differ by ")
    assert "first in layer stage1, over the limit of 0e+00" in error
    assert json.loads((run / "export" / "parity.json").read_text())["failures"][0] in error


def test_a_finish_is_a_step_and_in_the_manifest(export):
    code, out, err = export("--qat", "0.1")
    assert code == 0, err
    qat = json.loads(out)["qat"]
    assert qat["epochs"] == 0.1
    assert 0 < qat["sqnr_before_db"] < 60
    assert 0 < qat["sqnr_after_db"] < 60
    steps = [*STEPS[:6], "QAT", *STEPS[6:]]
    # A slow step is named, timed later and told of between, and a library may warn at the first training of a process.
    told = re.findall(rf"^({'|'.join(steps)})", err, re.MULTILINE)
    assert list(dict.fromkeys(told)) == steps
