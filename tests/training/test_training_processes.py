"""One process a device: started by us, by torchrun or by Slurm, over real gloo."""

import os
import runpy
import sys
from functools import partial

import pytest
import torch
import torch.distributed as dist

from tinyedge.errors import ConfigError, TrainingError
from tinyedge.training.launch import Place, find_place
from tinyedge.training.processes import Rank, default_precision, run_on_devices, start_context

SLURM = {
    "SLURM_STEP_NUM_TASKS": "12",
    "SLURM_STEP_NODELIST": "node[07-08,11],spare",
    "SLURM_STEP_TASKS_PER_NODE": "4(x3)",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_JOB_ID": "7654321",
}
TORCHRUN = {"RANK": "3", "LOCAL_RANK": "1", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2"}
TORCHRUN |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
# What a process of a launcher runs: it keeps the sum of (rank + 1) over both, and who it is, in a file of its own.
SCRIPT = """
import sys
from pathlib import Path
import torch, torch.distributed as dist
from tinyedge.training.processes import run_on_devices

def body(rank):
    total = torch.tensor(rank.rank + 1.0)
    dist.all_reduce(total)
    return f"{rank.rank} of {rank.world_size}: {total.item():g}"

said = run_on_devices(body, body, "cpu", "auto", "32-true")
Path(sys.argv[1], said[0]).write_text(said)
"""


@pytest.fixture(autouse=True)
def _started_alone(monkeypatch):
    for name in (*SLURM, *TORCHRUN):
        monkeypatch.delenv(name, raising=False)


def test_a_process_without_a_launcher_has_no_place(monkeypatch):
    assert find_place() is None
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")  # an interactive shell
    assert find_place() is None


def test_slurm_names_the_first_host_and_the_rank(monkeypatch):
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    assert find_place() == Place(5, 1, 12, 4, "tcp://node07:19321")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "login-1,login-2")
    monkeypatch.setenv("MASTER_PORT", "4000")
    assert find_place() == Place(5, 1, 12, 4, "tcp://login-1:4000")


def test_torchrun_names_the_rank(monkeypatch):
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert find_place() == Place(3, 1, 4, 2, "env://")
    with pytest.raises(ConfigError, match="2 processes were started"):
        run_on_devices(returned, returned, "cpu", 3, "32-true")


def returned(rank: Rank) -> Rank:
    return rank


def test_one_device_is_this_process():
    assert run_on_devices(returned, returned, "cpu", "auto", "32-true") == Rank(0, 1, torch.device("cpu"))
    assert run_on_devices(returned, returned, "cpu", 1, "bf16-mixed").mixed_precision


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16-mixed"), ({"avx512_bf16": False}, "32-true"), ({"neon": True}, "32-true")],
)
def test_a_cpu_trains_in_bfloat16_where_it_multiplies_that(capabilities, precision, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert default_precision("cpu") == precision


def test_a_pytorch_that_knows_nothing_of_the_cpu_trains_in_float32(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert default_precision("cpu") == "32-true"


@pytest.mark.skipif(torch.cuda.is_available(), reason="of machines without a GPU")
def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ConfigError, match="this machine has none; leave out --accelerator"):
        run_on_devices(returned, returned, "cuda", "auto", "32-true")
    with pytest.raises(ConfigError, match="cannot train on 0 devices"):
        run_on_devices(returned, returned, "cpu", 0, "32-true")


def summed(rank: Rank, fails: bool) -> float:
    total = torch.tensor(rank.rank + 1.0)
    dist.all_reduce(total)
    if fails:
        raise TrainingError(f"both stop at {float(total)}")
    return float(total)


@pytest.mark.slow
def test_processes_that_are_started_here_meet_and_part():
    assert run_on_devices(*[partial(summed, fails=False)] * 2, "cpu", 2, "32-true") == 3.0
    with pytest.raises(TrainingError, match=r"both stop at 3\.0"):  # They met the second time too.
        run_on_devices(*[partial(summed, fails=True)] * 2, "cpu", 2, "32-true")
    assert not dist.is_initialized()


def torchrun(*words: str) -> None:
    from torch.distributed.run import main

    main(words)


@pytest.mark.slow
def test_processes_of_torchrun_meet(tmp_path):
    script, said = tmp_path / "meet.py", tmp_path / "said"
    script.write_text(SCRIPT)
    said.mkdir()
    # The command is a copy of a process that has imported PyTorch: it changes how its own process takes signals.
    words = ("--standalone", "--nproc-per-node", "2", str(script), str(said))
    command = start_context().Process(target=torchrun, args=words)
    command.start()
    command.join(120)
    assert command.exitcode == 0
    assert sorted(file.read_text() for file in said.iterdir()) == ["0 of 2: 3", "1 of 2: 3"]


def launched(script: str, folder: str, environment: dict[str, str]) -> None:
    """What a launcher starts, in a copy of a process that has imported PyTorch."""
    os.environ.update(environment)
    sys.argv = [script, folder]
    runpy.run_path(script, run_name="__main__")


@pytest.mark.slow
def test_processes_of_slurm_meet(tmp_path, monkeypatch):
    script = tmp_path / "meet.py"
    script.write_text(SCRIPT)
    common = {"SLURM_STEP_NUM_TASKS": "2", "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_TASKS_PER_NODE": "2"}
    common["SLURM_JOB_ID"] = str(os.getpid())
    for name, value in common.items():
        monkeypatch.setenv(name, value)
    second = {**common, "SLURM_PROCID": "1", "SLURM_LOCALID": "1"}
    other = start_context().Process(target=launched, args=(str(script), str(tmp_path), second))
    other.start()
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_LOCALID", "0")
    try:
        assert run_on_devices(*[partial(summed, fails=False)] * 2, "cpu", "auto", "32-true") == 3.0
    finally:
        dist.destroy_process_group()
    other.join(120)
    assert other.exitcode == 0
    assert (tmp_path / "1").read_text() == "1 of 2: 3"
