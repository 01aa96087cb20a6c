"""The processes of a run, one a device: started here, or found as torchrun or Slurm started them."""

import atexit
import multiprocessing
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from tinyedge.errors import ConfigError, TinyEdgeError, TrainingError
from tinyedge.training.launch import Place, find_place
from tinyedge.training.memory import keep_freed_memory

T = TypeVar("T")

PRELOADED = ("torch._dynamo", "torch.distributed", "tinyedge.training.train")
"""What every process of a run imports; optimisers import torch._dynamo when they are made."""


@dataclass(frozen=True)
class Rank:
    """One process of a run.

    Attributes:
        rank: Its number; the first, 0, writes and prints.
        world_size: How many there are.
        device: What it computes on.
        mixed_precision: Whether it computes in bfloat16 where autocast says so.
    """

    rank: int
    world_size: int
    device: torch.device
    mixed_precision: bool = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.rank == 0

    def autocast(self) -> torch.autocast:
        """Return the context that a forward pass runs in."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed_precision)

    def place(self, module: nn.Module) -> nn.Module:
        """Move `module` to the device and return it, where there are more ranks with its gradients averaged."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        return DistributedDataParallel(module, device_ids=[self.device] if self.device.type == "cuda" else None)


def run_on_devices(
    first: Callable[[Rank], T], other: Callable[[Rank], T], accelerator: str, devices: int | str, precision: str
) -> T:
    """Call a function in one process a device, and return what it returns in this one.

    Processes of torchrun or Slurm each call this. Without them this process is the first and starts the others, which
    import the main module anew: a script keeps its work behind `if __name__ == "__main__"`.

    Args:
        first: What the first rank does.
        other: What each other rank does, a function that can be pickled.
        accelerator: `auto`, `cpu`, `cuda` or `mps`.
        devices: How many of them on this machine; `auto` is every GPU, or one CPU.
        precision: `32-true` or `bf16-mixed`.

    Raises:
        ConfigError: The devices are not there, or are not as many as the processes that were started.
        TrainingError: The memory of a device is full.
        TinyEdgeError: What `first` raises, on the first rank; it has to raise it on all of them. The others exit.
    """
    kind = _device_type(accelerator)
    there = torch.cuda.device_count() if kind == "cuda" else None
    place = find_place()
    wanted = (there or 1) if devices == "auto" else int(devices)
    if place is not None:
        if devices != "auto" and wanted != place.local_world_size:
            raise ConfigError(
                f"--devices is {wanted}, but {place.local_world_size} processes were started on this machine; "
                "leave out --devices"
            )
        wanted = place.local_world_size
    if wanted < 1 or (kind == "mps" and wanted > 1) or (there is not None and wanted > there):
        raise ConfigError(
            f"cannot train on {wanted} devices of {kind}: this machine has {there or 1}; leave out --devices"
        )
    if place is not None:
        return _run_rank(first if place.rank == 0 else other, place, kind, precision)
    if wanted == 1:
        return _run_rank(first, Place(0, 0, 1, 1, ""), kind, precision)
    with tempfile.TemporaryDirectory(prefix="tinyedge-") as folder:
        places = [Place(rank, rank, wanted, wanted, f"file://{folder}/ranks") for rank in range(wanted)]
        tasks = [(dict(os.environ), other, place, kind, precision) for place in places[1:]]
        try:
            others = _start(start_context(kind), tasks)
        except OSError:  # A server of copies needs a socket, whose path may be too long in a folder of a cluster's job.
            others = _start(multiprocessing.get_context("spawn"), tasks)
        try:
            result = _run_rank(first, places[0], kind, precision)
            for process in others:
                process.join()
            return result
        finally:
            for process in others:
                process.join(10)
                process.terminate()
            if dist.is_initialized():
                dist.destroy_process_group()


def default_precision(accelerator: str) -> str:
    """Return `bf16-mixed` for a GPU or a CPU that has bfloat16 in hardware, `32-true` for everything else."""
    kind = _device_type(accelerator)
    on_gpu = kind == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if on_gpu or (kind == "cpu" and _cpu_multiplies_bfloat16()) else "32-true"


def _cpu_multiplies_bfloat16() -> bool:
    """Return whether the CPU has AVX512_BF16: AMD's since Zen 4 and Intel's for servers; on ARM nobody measured."""
    if not hasattr(torch.cpu, "get_capabilities"):  # an older PyTorch
        return False
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def _device_type(accelerator: str) -> str:
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if accelerator == "auto":
        return next(name for name, there in available.items() if there)
    kind = "cuda" if accelerator == "gpu" else accelerator
    if not available[kind]:
        raise ConfigError(f"cannot train on {accelerator}: this machine has none; leave out --accelerator")
    return kind


def _run_rank(body: Callable[[Rank], T], place: Place, kind: str, precision: str) -> T:
    device = torch.device(kind, place.local_rank) if kind == "cuda" else torch.device(kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")  # TF32
        torch.backends.cudnn.benchmark = True  # all batches have one shape
    elif kind == "cpu":
        keep_freed_memory()
        if place.local_world_size > 1 and "OMP_NUM_THREADS" not in os.environ:
            torch.set_num_threads(max((os.cpu_count() or 1) // place.local_world_size, 1))
    if place.world_size > 1:
        dist.init_process_group(
            "nccl" if kind == "cuda" else "gloo",
            init_method=place.meeting_point,
            rank=place.rank,
            world_size=place.world_size,
        )
        atexit.register(_leave)
    try:
        return body(Rank(place.rank, place.world_size, device, precision == "bf16-mixed"))
    except TinyEdgeError as error:
        if place.rank == 0:
            raise
        raise SystemExit(error.exit_code) from error  # all ranks have the error, and the first one says it
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"the memory of {device} is full; give a smaller --batch-size to train") from error


def start_context(kind: str = "cpu") -> ForkServerContext | SpawnContext:
    """Return what starts the other processes of a run.

    On Linux they are copies of one that has imported PyTorch. Elsewhere a copy may lack what the system's libraries
    began before it, and GPUs refuse a copy of a process that asked for them, as an import may: each imports anew.

    Args:
        kind: What the run computes on, `cpu`, `cuda` or `mps`.
    """
    if kind != "cpu" or platform.system() != "Linux":
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


def _start(context: ForkServerContext | SpawnContext, tasks: Sequence[tuple[Any, ...]]) -> list[BaseProcess]:
    """Start a process for each rank."""
    processes: list[BaseProcess] = [context.Process(target=_run_other_rank, args=task, daemon=True) for task in tasks]
    for process in processes:
        process.start()
    return processes


def _run_other_rank(environment: dict[str, str], *rank: Any) -> None:
    """Run a rank in the environment of the first: a copy has that of the first run of its caller."""
    os.environ.clear()
    os.environ.update(environment)
    _run_rank(*rank)


def _leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
