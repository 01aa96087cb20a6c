"""Nobody runs the scripts of benchmarks/ for months; that they still fit the package is seen at once."""

from pathlib import Path

import pytest

SCRIPTS = sorted(path.stem for path in (Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def test_a_step_of_training_is_timed(benchmark_script):
    import torch

    from tinyedge.data.dataset import ImageSplit, build_dataset

    images = torch.randint(0, 256, (8, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    dataset = build_dataset("generated", ImageSplit(images, None), None, ())
    timed = benchmark_script("train_throughput").Tinyedge(
        dataset, (2, 2, 2, 2, 1), 4, torch.device("cpu"), False, "bf16-mixed"
    )
    assert timed.seconds(1) > 0


@pytest.mark.parametrize("name", SCRIPTS)
def test_the_script_finds_all_that_it_imports(benchmark_script, name):
    assert benchmark_script(name).__doc__
