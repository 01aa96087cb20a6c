"""Measure a model on a board that runs its firmware, through its serial port; compare its outputs with the host's."""

import hashlib
import platform
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from tinyedge.announce import Progress
from tinyedge.benchmark.measure import (
    BenchOptions,
    Subject,
    choose_inputs,
    compare,
    golden_outputs,
    make_report,
    model_macs,
    package_versions,
    top1,
    write_outputs,
)
from tinyedge.benchmark.record import BenchRecord, BenchReport
from tinyedge.boards.board import Board, load_board
from tinyedge.devices.answers import DeviceInfo
from tinyedge.devices.board_line import BoardLine
from tinyedge.devices.ports import Port
from tinyedge.devices.serial import DeviceClient
from tinyedge.errors import ConfigError, TargetError
from tinyedge.firmware.mlperf import MLPERF_IDS
from tinyedge.shell import command_line
from tinyedge.tflite.frames import frames_from_bytes
from tinyedge.tflite.graph import Graph


def bench_board(
    subject: Subject, port: Port, baud: int, board: Board | None, options: BenchOptions, progress: Progress
) -> BenchReport:
    """Measure a model on the board at a serial port.

    A line that is lost on the way is waited for, and what was interrupted is done again.

    Args:
        subject: The model, whose firmware the board must run.
        port: Where the board is.
        baud: Of the serial port.
        board: Which board it must be; None for whatever it says.
        options: How to measure.
        progress: Hears how far it is.

    Returns:
        A report with one record. Where the other end turns out to be an emulator it has instructions and no
        milliseconds, and says so as its target.

    Raises:
        ConfigError: An option does not fit the model, or the board is another.
        TargetError: The board runs another model, does not answer or does not come back.
    """
    if options.layers:
        raise ConfigError("layers are measured on an emulated board: add --target emulator, or leave --layers out")
    graph = subject.model.any_graph()
    with BoardLine(port, baud, progress.say) as line:
        info = line.info
        _check_device(info, graph, subject, board)
        described = load_board(info.board) if board is None else board
        if line.run(_mlperf_id) not in (None, info.name):
            command = _flash_command(subject, info, board)
            raise TargetError(f"the board answers as an MLPerf Tiny benchmark: {command}")
        if options.runtimes not in ((), (info.runtime,)):
            raise ConfigError(f"the board runs the {info.runtime} runtime; leave --runtime out")
        options = replace(options, runtimes=(info.runtime,))
        inputs = choose_inputs(subject, graph, options)
        golden = golden_outputs(subject.model, inputs)
        run = _runner(line, graph, progress)
        outputs = run("inputs", inputs)
        counts, times_us, unit = line.run(lambda client: _time(client, inputs[-1], options.timed_runs, progress))
        accuracy, images = top1(lambda values: run("accuracy", values), subject.test, options.accuracy_images)
        info = line.run(DeviceClient.info)
    if unit == "cycles":
        progress.say(f"{info.board} runs at {info.clock_hz:,} Hz: {info.clock}")
    else:
        progress.say(f"{info.board} counts {unit}: it is an emulator, which gives instructions and no milliseconds")
    record = BenchRecord(
        runtime=info.runtime,
        target="board",
        board=info.board,
        cpu=info.cpu,
        arena_bytes=info.arena_bytes,
        outputs_sha256=hashlib.sha256(outputs.tobytes()).hexdigest(),
        inputs=len(inputs),
        accuracy=accuracy,
        accuracy_images=images,
        stack_used_bytes=info.stack_used_bytes,
        clock_hz=info.clock_hz,
        timed_runs=options.timed_runs,
        **compare(outputs, golden),
    )
    write_outputs(outputs, options)
    record = replace(record, **_figures(float(np.median(counts)), unit, times_us, model_macs(graph), info, described))
    environment = {
        "versions": {**package_versions(), "firmware": info.version},
        "machine": platform.machine(),
        "compiler": None,
        "flags": None,
        "seed": options.seed,
        "clock": info.clock,
    }
    return make_report(subject.model, graph, [record], environment)


def _check_device(info: DeviceInfo, graph: Graph, subject: Subject, board: Board | None) -> None:
    sha256 = graph.sha256
    if not info.sha256 or not sha256.startswith(info.sha256):
        raise TargetError(
            f"the board {info.board} runs the model {info.name} ({info.sha256}) and {subject.model.path} is "
            f"{sha256[:16]}: {_flash_command(subject, info, board)}"
        )
    if board is not None and info.board != board.name:
        raise ConfigError(f"the firmware at the port is for {info.board}, not {board.name}: leave --board out")


def _flash_command(subject: Subject, info: DeviceInfo, board: Board | None) -> str:
    argument = board.argument if board is not None and board.name == info.board else info.board
    both = (subject.model.path, "--board", argument)
    return f"run `{command_line('tinyedge', 'build', *both)}` and `{command_line('tinyedge', 'flash', *both)}`"


def _mlperf_id(client: DeviceClient) -> str | None:
    """The benchmark that an image was built to answer as: it takes other input bytes than the model."""
    return next((name for name in MLPERF_IDS if f"m-model-[{name}]" in client.command("profile")), None)


def _runner(line: BoardLine, graph: Graph, progress: Progress) -> Callable[[str, np.ndarray], np.ndarray]:
    """A function that gives the board's outputs for inputs, one by one: what is done stays done."""

    def run(what: str, values: np.ndarray) -> np.ndarray:
        if graph.states:
            answers = line.run(partial(_run_from_reset, values=values, what=what, progress=progress))
        else:
            answers = []
            for index, value in enumerate(values):
                answers.append(line.run(partial(DeviceClient.run, data=value.tobytes())))
                progress.show(what, index + 1, len(values))
        return frames_from_bytes(b"".join(answers), graph.outputs)

    return run


def _run_from_reset(client: DeviceClient, values: np.ndarray, what: str, progress: Progress) -> list[bytes]:
    """The outputs of a model with states: after a lost line they begin again."""
    client.reset()
    answers = []
    for index, value in enumerate(values):
        answers.append(client.run(value.tobytes()))
        progress.show(what, index + 1, len(values))
    return answers


def _time(client: DeviceClient, value: np.ndarray, runs: int, progress: Progress) -> tuple[list[int], list[float], str]:
    """Counts and microseconds of `runs` inferences after a warm-up, and what was counted."""
    client.load_checked(value.tobytes())
    client.infer(1, warmup=1)
    counts, times_us = [], []
    for index in range(runs):
        times_us.append(client.infer(1, warmup=0))
        count, unit = client.count()
        counts.append(count)
        progress.show("timed runs", index + 1, runs)
    return counts, times_us, unit


def _figures(
    count: float, unit: str, times_us: list[float], macs: int, info: DeviceInfo, board: Board
) -> dict[str, Any]:
    """Cycles and milliseconds of silicon; instructions of an emulator, whose time says nothing."""
    if unit == "cycles":
        return {
            "cycles": round(count),
            "macs_per_cycle": macs / count,
            "latency_ms": 1e3 * count / info.clock_hz,
            "timestamps_ms": float(np.median(times_us)) / 1e3,
        }
    per_tick = board.emulator.instructions_per_tick if board.emulator is not None else None
    instructions = None if per_tick is None else round(count * per_tick)
    return {"target": "emulator", "instructions": instructions, "clock_hz": None}
