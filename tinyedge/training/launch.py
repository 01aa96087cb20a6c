"""How torchrun and Slurm say which process of a run this one is; free of torch."""

import os
import re
from dataclasses import dataclass

_TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Place:
    """Where a process stands among those of its run.

    Attributes:
        rank: Its number.
        local_rank: Its number on this machine.
        world_size: How many there are.
        local_world_size: How many there are on this machine.
        meeting_point: How they find each other, an `init_method` of `torch.distributed`.
    """

    rank: int
    local_rank: int
    world_size: int
    local_world_size: int
    meeting_point: str


def find_place() -> Place | None:
    """Return the place that torchrun or `srun` gave this process; None where it was started alone."""
    return _torchrun_place() or _slurm_place()


def _torchrun_place() -> Place | None:
    if any(name not in os.environ for name in _TORCHRUN):
        return None
    rank, local_rank, world_size, local_world_size = (int(os.environ[name]) for name in _TORCHRUN[:4])
    return Place(rank, local_rank, world_size, local_world_size, "env://")


def _slurm_place() -> Place | None:
    environment = os.environ
    tasks = int(environment.get("SLURM_STEP_NUM_TASKS", 1))
    if tasks == 1:  # a run of its own
        return None
    nodes = environment["SLURM_STEP_NODELIST"]  # node[01-04,07],other
    host = re.sub(r"\[(\w+)[^\]]*\]", r"\1", nodes).split(",")[0]
    port = environment.get("MASTER_PORT") or 15000 + int(environment["SLURM_JOB_ID"]) % 10000
    local = re.findall(r"\d+", environment["SLURM_STEP_TASKS_PER_NODE"])[0]  # 8(x2)
    rank, local_rank = int(environment["SLURM_PROCID"]), int(environment["SLURM_LOCALID"])
    return Place(rank, local_rank, tasks, int(local), f"tcp://{host}:{port}")
