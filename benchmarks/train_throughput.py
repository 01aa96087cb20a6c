"""Images a second of tinyedge's SimCLR, beside lightly's on the same encoder, batch and machine.

    python benchmarks/train_throughput.py                     CPU: tinyedge, also in float32, and lightly, in turns
    python benchmarks/train_throughput.py --device cuda       also the share of the memory's bandwidth
    python benchmarks/train_throughput.py --device cuda --compile

lightly is set up as its tutorial does: its SimCLRTransform without blur for 32 pixels, its DataLoader with a worker a
core, its projection head (of tinyedge's sizes) and NTXentLoss, SGD. Its images are PIL images in memory, so it
decodes no files. Both train on all cores; the repetitions take turns, since a machine's speed drifts. A repetition
starts the workers anew and its clock starts at the first batch, so that the batches prefetched by then are free.

Bytes of a step, as every value of the encoder has to move at least: for each leaf module 3 * (input + output), which
are read and written forward, and read or written as values and as gradients backward; and 12 * 4 bytes a parameter
(read forward and backward, gradient written, read by the clip and by AdamW, AdamW's three states read and written).
What a fused kernel keeps on the chip counts too, so the share may be above what the device really moves. It is a share
of what a copy of 1 GiB reaches on the device. Writes benchmarks/results/train_throughput.json (--json).
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table
from torch import nn

from tinyedge.atomic import write_json
from tinyedge.data.dataset import ImageDataset, ImageSplit, build_dataset
from tinyedge.data.registry import load_dataset
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import create_encoder
from tinyedge.ssl.base import Batch
from tinyedge.ssl.registry import create_method, method_entry
from tinyedge.training.memory import keep_freed_memory
from tinyedge.training.optimizer import create_optimizer
from tinyedge.training.processes import default_precision
from tinyedge.training.views import ViewMaker

RESULTS = Path(__file__).parent / "results"
COPY_BYTES = 2**30


def generated_images(count: int, size: int) -> ImageDataset:
    """Smooth coloured noise: a photograph's statistics matter to no kernel here, only its size does."""
    coarse = np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    images = np.stack([np.asarray(Image.fromarray(item).resize((size, size), Image.BICUBIC)) for item in coarse])
    split = ImageSplit(torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(), None)
    return build_dataset("generated", split, None, ())


def new_encoder(strides: tuple[int, ...], size: int) -> Encoder:
    """Return TinyNeXt-T with the same initial weights for both sides."""
    torch.manual_seed(0)
    return create_encoder("tinynext_t", input_size=size, strides=strides)


class Tinyedge:
    """The steps of `tinyedge train --method simclr`, from the resident images on."""

    def __init__(
        self,
        dataset: ImageDataset,
        strides: tuple[int, ...],
        batch_size: int,
        device: torch.device,
        compile_encoder: bool,
        precision: str,
    ):
        self.device, self.batch_size = device, batch_size
        self.images = dataset.train.images.to(device)
        size = self.images.shape[-1]
        self.encoder = new_encoder(strides, size)
        self.method = create_method("simclr", self.encoder).to(device, memory_format=torch.channels_last).train()
        if compile_encoder:
            self.encoder.compile()
        self.optimizer = create_optimizer(self.method, 0.05, (0.9, 0.95))
        for group in self.optimizer.param_groups:
            group["lr"] = 1e-3
        self.make_views = ViewMaker(self.method.views, method_entry("simclr").augment, dataset, size)
        self.generator = torch.Generator(device)
        self.mixed = precision == "bf16-mixed"

    def seconds(self, steps: int) -> float:
        """Train some steps and return how long they took."""
        self.finish()
        start = time.perf_counter()
        for step in range(steps):
            indices = torch.randint(len(self.images), (self.batch_size,), device=self.device)
            self.generator.manual_seed(step)
            views, _ = self.make_views(self.images[indices], self.generator)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                result = self.method(Batch(views, indices, None), self.generator, 0.5)
            self.optimizer.zero_grad(set_to_none=True)
            result.loss.backward()
            nn.utils.clip_grad_norm_(self.method.parameters(), 1.0)
            self.optimizer.step()
        self.finish()
        return time.perf_counter() - start

    def finish(self) -> None:
        """Wait for the device."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


class PilImages(torch.utils.data.Dataset):
    """PIL images in memory, transformed when they are asked for."""

    def __init__(self, images: torch.Tensor, transform: Any):
        self.images = [Image.fromarray(image) for image in images.permute(0, 2, 3, 1).numpy()]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Any:
        return self.transform(self.images[index])


class Lightly:
    """lightly's SimCLR as its tutorial sets it up."""

    def __init__(self, dataset: ImageDataset, strides: tuple[int, ...], batch_size: int, workers: int):
        from lightly.loss import NTXentLoss
        from lightly.models.modules import SimCLRProjectionHead
        from lightly.transforms import SimCLRTransform

        size = dataset.train.images.shape[-1]
        encoder = new_encoder(strides, size)
        hidden, out = 512, 128  # tinyedge's
        self.model = nn.Sequential(encoder, SimCLRProjectionHead(encoder.feature_dim, hidden, out)).train()
        self.loss = NTXentLoss(temperature=0.5)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
        self.loader = torch.utils.data.DataLoader(
            PilImages(dataset.train.images, SimCLRTransform(input_size=size, gaussian_blur=0.0)),
            batch_size=batch_size,
            shuffle=True,
            drop_last=True,
            num_workers=workers,
        )

    def seconds(self, steps: int) -> float:
        """Train some steps and return how long they took."""
        batches = self._batches()
        batch = next(batches)
        start = time.perf_counter()
        for step in range(steps):
            if step:
                batch = next(batches)
            loss = self.loss(self.model(batch[0]), self.model(batch[1]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        elapsed = time.perf_counter() - start
        batches.close()  # ends the workers
        return elapsed

    def _batches(self) -> Iterator[Any]:
        while True:
            yield from self.loader


def bytes_per_step(encoder: nn.Module, size: int, batch_size: int, views: int, value_bytes: int) -> int:
    """Return what a training step of an encoder moves at least; the module's docstring has the formula."""
    counted = 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal counted
        counted += inputs[0].numel() + output.numel()

    hooks = [m.register_forward_hook(count) for m in encoder.modules() if not list(m.children())]
    with torch.no_grad():
        encoder.eval()(torch.zeros(1, 3, size, size))
    for hook in hooks:
        hook.remove()
    parameters = sum(parameter.numel() for parameter in encoder.parameters())
    return 3 * counted * batch_size * views * value_bytes + 12 * 4 * parameters


def copy_bandwidth(device: torch.device) -> float:
    """Return the bytes a second that a copy within the device's memory reads and writes."""
    source = torch.empty(COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * COPY_BYTES / best


def record(seconds: list[float], images: int) -> dict[str, Any]:
    """Return median and best of the repetitions, in images a second."""
    rates = [images / value for value in seconds]
    return {
        "images_per_s_median": round(statistics.median(rates), 1),
        "images_per_s_best": round(max(rates), 1),
        "images_per_s": [round(rate, 1) for rate in rates],
    }


def main() -> None:
    """Measure, print a table and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--compile", action="store_true", help="tinyedge's encoder by torch.compile")
    parser.add_argument("--batch-size", type=int, help="256 on a CPU, 512 on a GPU")
    parser.add_argument("--strides", help="2,1,2,2,2 on a CPU, 1,1,2,2,2 on a GPU")
    parser.add_argument("--data", help="data set or folder; generated images without it")
    parser.add_argument("--steps", type=int, help="of one repetition; 8 on a CPU, 100 on a GPU")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="cores: threads, and lightly's workers")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    device = torch.device(options.device)
    batch_size = options.batch_size or (512 if on_gpu else 256)
    steps = options.steps or (100 if on_gpu else 8)
    strides = tuple(int(part) for part in (options.strides or ("1,1,2,2,2" if on_gpu else "2,1,2,2,2")).split(","))
    torch.set_num_threads(options.threads)
    dataset = load_dataset(options.data, image_size=32) if options.data else generated_images(max(4096, batch_size), 32)

    precision = default_precision(options.device)
    tinyedge = Tinyedge(dataset, strides, batch_size, device, options.compile, precision)
    sides: dict[str, Tinyedge | Lightly] = {"tinyedge": tinyedge}
    if on_gpu:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True
    else:
        keep_freed_memory()  # for the whole process, so lightly has it too
        if precision != "32-true":
            sides["tinyedge, 32-true"] = Tinyedge(dataset, strides, batch_size, device, options.compile, "32-true")
        sides["lightly"] = Lightly(dataset, strides, batch_size, options.threads)
    for side in sides.values():
        side.seconds(3)  # warms up
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(options.repetitions):
        for name, side in sides.items():
            seconds[name].append(side.seconds(steps))

    results: dict[str, Any] = {name: record(values, steps * batch_size) for name, values in seconds.items()}
    if on_gpu:
        moved = bytes_per_step(new_encoder(strides, 32), 32, batch_size, views=2, value_bytes=2)
        reached = moved * results["tinyedge"]["images_per_s_best"] / batch_size
        copied = copy_bandwidth(device)
        results["memory"] = {
            "bytes_per_step": moved,
            "bytes_per_s": round(reached),
            "copy_bytes_per_s": round(copied),
            "share_of_copy": round(reached / copied, 3),
        }
    else:
        pairs = zip(seconds["lightly"], seconds["tinyedge"], strict=True)
        results["speed_up_median"] = round(statistics.median(slow / fast for slow, fast in pairs), 3)

    table = Table("SimCLR", "images/s, median", "best")
    for name in sides:
        table.add_row(name, str(results[name]["images_per_s_median"]), str(results[name]["images_per_s_best"]))
    console = Console()
    console.print(table)
    for key in ("speed_up_median", "memory"):
        if key in results:
            console.print(key, results[key])
    setting = {
        "encoder": "tinynext_t",
        "strides": list(strides),
        "image_size": 32,
        "batch_size": batch_size,
        "steps": steps,
        "repetitions": options.repetitions,
        "precision": precision,
        "data": options.data or "generated",
    }
    env = {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or platform.machine(),
        "threads": options.threads,
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "torch": torch.__version__,
    }
    path = options.json or RESULTS / ("train_throughput_cuda.json" if on_gpu else "train_throughput.json")
    write_json(path, {"schema": 1, "setting": setting, "results": results, "env": env})
    console.print(f"wrote {path}")


if __name__ == "__main__":
    main()
