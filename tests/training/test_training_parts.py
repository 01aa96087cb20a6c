import gc
import json
import math
import resource
from pathlib import Path

import pytest
import torch
from torch import nn

from tinyedge.data.augment import normalise
from tinyedge.data.dataset import ImageSplit, build_dataset
from tinyedge.errors import CheckpointError, ConfigError, TinyEdgeError, TrainingError
from tinyedge.plots.plots import plot_training
from tinyedge.ssl.base import View
from tinyedge.ssl.gating import Gate
from tinyedge.training.average import WeightAverage
from tinyedge.training.batch_norm import batch_statistics, recalibrate_batch_norm
from tinyedge.training.batches import epoch_order, rank_batch, step_seed
from tinyedge.training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from tinyedge.training.metrics import MetricsLog, read_metrics
from tinyedge.training.optimizer import create_optimizer, learning_rate
from tinyedge.training.views import ViewMaker, view_augment


def test_an_epoch_visits_each_image_once_in_its_own_order():
    order = epoch_order(101, seed=3, epoch=4)
    assert order.sort().values.tolist() == list(range(101))
    assert torch.equal(order, epoch_order(101, seed=3, epoch=4))
    assert not torch.equal(order, epoch_order(101, seed=3, epoch=5))
    assert not torch.equal(order, epoch_order(101, seed=4, epoch=4))


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_share_the_batch_of_one_device(world_size):
    order = epoch_order(100, 0, 0)
    shares = [rank_batch(order, 2, 16, rank, world_size) for rank in range(world_size)]
    assert {len(share) for share in shares} == {16 // world_size}
    assert set(torch.cat(shares).tolist()) == set(order[32:48].tolist())


def test_step_seeds_are_distinct_and_fixed():
    seeds = {step_seed(seed, step) for seed in range(3) for step in range(1000)}
    assert len(seeds) == 3000
    assert step_seed(0, 0) == step_seed(0, 0) < 2**32


def test_learning_rate_warms_up_and_decays():
    rates = [learning_rate(step, 100, 10, peak=1.0, final=0.01) for step in range(100)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert max(rates) == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(0.01)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    middle = 10 + 89 / 2
    assert (rates[54] + rates[55]) / 2 == pytest.approx(0.505, abs=1e-3), middle
    assert learning_rate(0, 1, 0, peak=1.0, final=0.1) == 1.0


def test_only_matrices_decay():
    module = nn.ModuleDict({"conv": nn.Conv2d(3, 4, 3), "norm": nn.BatchNorm2d(4), "linear": nn.Linear(4, 2)})
    module.mask_token = nn.Parameter(torch.zeros(5))
    decayed, free = create_optimizer(module, 0.05, (0.9, 0.95)).param_groups
    assert {id(p) for p in decayed["params"]} == {id(module["conv"].weight), id(module["linear"].weight)}
    assert len(free["params"]) == 5
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.05, 0.0)


def test_gates_do_not_decay_wherever_they_are():
    class Branch(nn.Module):
        def __init__(self):
            super().__init__()
            self.plain = nn.Linear(3, 4)
            self.gate = Gate(3, 5)

    method = nn.Sequential(Branch(), Branch())
    decayed, free = create_optimizer(method, 0.05, (0.9, 0.95)).param_groups
    assert {id(own) for own in decayed["params"]} == {id(branch.plain.weight) for branch in method}
    assert len(free["params"]) == len(list(method.parameters())) - 2
    assert free["weight_decay"] == 0


def test_recalibration_averages_the_batches():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4))
    module(torch.randn(8, 3, 5, 5) * 9)
    batches = [torch.randn(8, 3, 5, 5) + shift for shift in range(3)]
    recalibrate_batch_norm(module, batches)
    outputs = [module[0](batch) for batch in batches]
    mean = torch.stack([out.mean((0, 2, 3)) for out in outputs]).mean(0)
    variance = torch.stack([out.var((0, 2, 3)) for out in outputs]).mean(0)
    torch.testing.assert_close(module[1].running_mean, mean)
    torch.testing.assert_close(module[1].running_var, variance)
    assert module[1].momentum == 0.1
    assert not module.training


def test_batch_statistics_normalise_and_leave_no_trace():
    module = nn.Sequential(nn.BatchNorm2d(3))
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with batch_statistics(module):
        out = module(torch.randn(16, 3, 4, 4) * 5 + 2)
    assert out.mean().abs() < 1e-5
    assert all(torch.equal(value, before[key]) for key, value in module.state_dict().items())
    module(torch.randn(16, 3, 4, 4))
    assert int(module[0].num_batches_tracked) == 1


def checkpoint(step=5) -> Checkpoint:
    return Checkpoint(step, {"w": torch.arange(6.0)}, {"state": {}}, {"loss": torch.tensor(2.0)}, 2, 1.5)


def test_checkpoint_and_back(tmp_path):
    save_checkpoint(tmp_path / "last.ckpt", checkpoint())
    loaded = load_checkpoint(tmp_path / "last.ckpt")
    assert (loaded.step, loaded.window_steps, loaded.elapsed_s) == (5, 2, 1.5)
    assert torch.equal(loaded.method["w"], torch.arange(6.0))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x80\x02}q\x00."])
def test_corrupt_checkpoints_are_one_sentence(tmp_path, content):
    (tmp_path / "last.ckpt").write_bytes(content)
    with pytest.raises(CheckpointError, match="corrupt") as caught:
        load_checkpoint(tmp_path / "last.ckpt")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_truncated_checkpoints_are_corrupt(tmp_path, share):
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, checkpoint())
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(CheckpointError, match="corrupt"):
        load_checkpoint(path)


def test_a_pickle_of_something_else_is_corrupt_and_not_run(tmp_path):
    torch.save({"version": 1, "step": 3}, tmp_path / "a.ckpt")
    torch.save(Path("x"), tmp_path / "b.ckpt")
    for name in ("a.ckpt", "b.ckpt"):
        with pytest.raises(CheckpointError, match="corrupt"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path / "c.ckpt")


def test_a_full_disk_keeps_the_checkpoint_that_was_there(tmp_path):
    path = tmp_path / "last.ckpt"
    save_checkpoint(path, checkpoint(step=5))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(TinyEdgeError, match="File too large"):
            save_checkpoint(path, checkpoint(step=6))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    gc.collect()  # What was to be written is part of the error, and on Python 3.12.1 its collection was a crash.
    assert load_checkpoint(path).step == 5
    assert [item.name for item in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_resumed_log_drops_what_will_be_written_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"step": s, "loss": s / 10}) + "\n" for s in (5, 10, 15)) + '{"step": 20, "lo')
    log = MetricsLog(tmp_path, last_step=12)
    log.append({"step": 15, "loss": 1.5, "extra": 2.0})
    log.close()
    assert [record["step"] for record in read_metrics(log.path)] == [5, 10, 15]
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,extra\n5,0.5,\n10,1.0,\n15,1.5,2.0\n"


def test_a_full_disk_stops_the_log_with_a_sentence(tmp_path):
    log = MetricsLog(tmp_path, last_step=0)
    log.path = Path("/dev/full")
    with pytest.raises(TrainingError, match="No space left on device"):
        log.append({"step": 1})


def test_a_missing_log_is_empty(tmp_path):
    assert read_metrics(tmp_path / "metrics.jsonl") == []


def test_plots_are_drawn_for_what_there_is(tmp_path):
    records = [{"step": s, "loss": math.exp(-s), "ratio_mask": 0.5, "lr": 0.1} for s in range(1, 5)]
    files = plot_training(records, tmp_path)
    assert {file.name for file in files} == {"loss.png", "ratios.png", "learning_rate.png"}
    assert all(file.read_bytes()[:4] == b"\x89PNG" for file in files)


def test_weak_views_only_crop_and_flip():
    weak, strong = (view_augment(preset, "photos", 32) for preset in ("weak", "strong"))
    assert weak.crop_area == (0.5, 1.0)
    assert weak.flip_probability == strong.flip_probability
    assert weak.jitter_probability == weak.greyscale_probability == 0 < strong.jitter_probability
    with pytest.raises(ConfigError, match="did you mean strong"):
        view_augment("stronk", "photos", 32)


def gradient_dataset(size=16):
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    image = torch.stack([y * 255 // (size - 1), x * 255 // (size - 1), torch.full_like(x, 90)]).to(torch.uint8)
    return build_dataset("photos", ImageSplit(image.repeat(32, 1, 1, 1), None), None, ())


def test_a_view_that_shares_a_crop_shows_the_same_window():
    dataset = gradient_dataset()
    views = (View("weak"), View("weak"), View("teacher", crop_of=0))
    make = ViewMaker(views, "strong", dataset, 16)
    (first, second, shared), windows = make(dataset.train.images, torch.Generator().manual_seed(0))
    assert torch.equal(first, shared)
    assert not torch.equal(first, second)
    assert all(map(torch.equal, windows[0], windows[2]))
    assert not all(map(torch.equal, windows[0], windows[1]))


def test_windows_say_where_the_views_lie():
    """The mean of a view of a linear gradient is the gradient's value in the middle of its window."""
    size = 16
    dataset = gradient_dataset(size)
    (view,), (window,) = ViewMaker((View("weak"),), "strong", dataset, size)(
        dataset.train.images, torch.Generator().manual_seed(0)
    )
    mean, std = (torch.tensor(values)[:, None, None] for values in (dataset.mean, dataset.std))
    pixels = view * std + mean  # (B, 3, H, W) in [0, 1]
    for channel, middle in ((0, window.top + window.height / 2), (1, window.left + window.width / 2)):
        expected = (middle * size - 0.5) / (size - 1)
        torch.testing.assert_close(pixels[:, channel].mean((1, 2)), expected, atol=4e-3, rtol=0)
    assert torch.equal(window.flipped, pixels[:, 1, 8, 0] > pixels[:, 1, 8, -1])
    assert 0 < window.flipped.sum() < len(view)
    assert (window.height < 1).any()


def test_strength_weakens_only_the_runs_own_augmentation():
    dataset = gradient_dataset()
    make = ViewMaker((View(), View("weak")), "strong", dataset, 16)
    clean = normalise(dataset.train.images, dataset.mean, dataset.std)
    (own, preset), _ = make(dataset.train.images, torch.Generator().manual_seed(0), strength=0.0)
    unchanged = [(view == clean[0]).all() or (view == clean[0].flip(2)).all() for view in own]
    assert all(unchanged)
    assert not torch.equal(preset, clean)
    full, _ = make(dataset.train.images, torch.Generator().manual_seed(0), strength=1.0)
    assert torch.equal(full[1], preset)
    assert not torch.equal(full[0], own)


def test_the_average_follows_its_formula_and_its_state():
    torch.manual_seed(0)
    module = nn.Linear(3, 2)
    average = WeightAverage(module, 0.6)
    expected = module.weight.detach().clone()
    for step in range(12):
        with torch.no_grad():
            module.weight.add_(torch.randn(2, 3))
        average.update(step)
        kept = min(0.6, (1 + step) / (10 + step))
        expected = kept * expected + (1 - kept) * module.weight.detach()
    torch.testing.assert_close(average.state_dict()["weight"], expected)
    other = WeightAverage(module, 0.6)
    other.load_state_dict(average.state_dict())
    other.copy_to_module()
    torch.testing.assert_close(module.weight.detach(), expected)
    with pytest.raises(KeyError):
        other.load_state_dict({"weight": expected})
