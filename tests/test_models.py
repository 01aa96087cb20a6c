"""The zoo: every entry that can be exported again is a run of its own, small and whole."""

import hashlib
import json
from pathlib import Path

import pytest
import torch

from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE, load_run

MODELS = Path(__file__).parent.parent / "models"
ENTRIES = sorted(path.parent for path in MODELS.glob(f"*/{CONFIG_FILE}"))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_is_a_run(entry):
    encoder = load_run(entry).load_encoder()
    images = torch.zeros(2, 3, encoder.input_size, encoder.input_size)
    assert torch.isfinite(encoder(images)).all()
    assert not Path(load_run(entry).config.data).is_absolute()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda path: path.name)
def test_an_entry_holds_the_files_that_its_figures_are_of(entry):
    metrics = json.loads((entry / "metrics.json").read_text())
    assert ENCODER_FILE in metrics["sha256"]
    for name, digest in metrics["sha256"].items():
        assert hashlib.sha256((entry / name).read_bytes()).hexdigest() == digest
    assert all(path.stat().st_size <= 2_000_000 for path in entry.iterdir())
    assert (entry / "card.md").is_file()
