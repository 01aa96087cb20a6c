"""What tinyedge makes of models that others trained and published.

    python benchmarks/wild_table.py ../shared/models/wild [--board mps2_an386] [--inputs 5]

FOLDER holds .tflite files from anywhere. Each is compiled and run on random inputs, one after the other, so that
states show: in the portable C on this machine, with what stands in for the kernels of each instruction set, and on an
emulated Cortex-M4. Every output is compared with TFLite Micro's, bit for bit. A file that is quantised to uint8 is made
int8 first, as by `tinyedge requantise`. Each file has a process of its own, for an interpreter may die of it.

With `--files NAME...` only those are examined, and the rest of the last report stays.

With `--only SET...` the models that the last report has as compiled run with the kernels of those instruction sets
alone, and their columns are written anew; the rest of the report stays.

Prints Markdown and writes benchmarks/results/wild_table.json; benchmarks/result_tables.py puts it into docs/wild.md.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rich.console import Console

from tinyedge.atomic import write_json
from tinyedge.boards.board import Board, load_board
from tinyedge.compiler.costs import board_costs
from tinyedge.compiler.kernels import INSTRUCTION_SETS
from tinyedge.compiler.options import CompileOptions
from tinyedge.compiler.program import Program, compile_graph
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import BudgetExceeded, ModelError, TinyEdgeError
from tinyedge.exporter.requantise_model import requantise_model
from tinyedge.firmware.build import build_program
from tinyedge.runtimes.aot import AotRuntime
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import count_differing, frames_from_bytes, random_frames
from tinyedge.tflite.full_int8 import is_uint8
from tinyedge.tflite.model import Model

RESULTS = Path(__file__).parent / "results" / "wild_table.json"
SEED = 0
# Where a model runs, as the table heads it.
_PLACES = {"portable": "C", "scalar": "scalar", "dsp": "DSP", "mve": "MVE", "wasm": "WASM", "board": "board"}


def opened(path: Path) -> tuple[Model, bool]:
    """Return the model of a file, and whether it is that of `tinyedge requantise`, as of a file of uint8."""
    model = Model(path)
    if not is_uint8(model.any_graph()):
        return model, False
    with tempfile.TemporaryDirectory(prefix="tinyedge-wild-") as folder:
        return Model(requantise_model(path, Path(folder) / path.name).path), True


def examine(path: Path, board_name: str, count: int) -> dict[str, Any]:
    """Return the row of one model."""
    row: dict[str, Any] = {"file": path.name, "verdict": "", "exact": {}, "macs": None}
    try:
        model, row["requantised"] = opened(path)
        program = compile_graph(model.graph())
    except ModelError as error:
        return {**row, "verdict": str(error).replace(f"{path.parent}/", "")}
    row |= {"macs": program.macs, "arena_bytes": program.plan.arena_bytes, "state_bytes": program.plan.state_bytes}
    inputs = random_frames(program.inputs, count, SEED)
    golden = TflmRuntime(model)
    expected = golden.run(inputs)
    row |= {"tflm_arena_bytes": golden.arena_bytes, "verdict": "compiled"}
    row["exact"] = exact_with(model, INSTRUCTION_SETS, inputs, expected)
    board = load_board(board_name)
    try:
        outputs, instructions = run_on_board(
            compile_graph(model.graph(), CompileOptions(board.instruction_set, costs=board_costs(board))), board, inputs
        )
    except BudgetExceeded as error:
        return {**row, "board": str(error)}
    row["exact"]["board"] = count_differing(outputs, expected) == 0
    return {**row, "board": board_name, "instructions": instructions}


def exact_with(model: Model, instruction_sets: Sequence[str], inputs: Any, expected: Any) -> dict[str, bool]:
    """Return with which instruction sets the C gives every bit of TFLite Micro's outputs."""
    return {
        name: count_differing(AotRuntime(model, CompileOptions(name)).run(inputs), expected) == 0
        for name in instruction_sets
    }


def fill(report: dict[str, Any], folder: Path, instruction_sets: Sequence[str], console: Console) -> None:
    """Write the columns of some instruction sets anew; no interpreter died of these models before."""
    for row in report["models"]:
        if row["verdict"] != "compiled":
            continue
        console.print(row["file"], highlight=False, markup=False)
        model, _ = opened(folder / row["file"])
        inputs = random_frames(compile_graph(model.graph()).inputs, report["inputs"], SEED)
        row["exact"] |= exact_with(model, instruction_sets, inputs, TflmRuntime(model).run(inputs))


def run_on_board(program: Program, board: Board, inputs: Any) -> tuple[Any, int]:
    """Return the outputs of an emulated board, and the instructions of the last inference."""
    with tempfile.TemporaryDirectory(prefix="tinyedge-wild-") as folder:
        image = build_program(program, board, Path(folder))
        with Emulator(image.elf, board) as emulator:
            answers = b"".join(emulator.run(value.tobytes()) for value in inputs)
            return frames_from_bytes(answers, program.outputs), emulator.client.instructions()


def examine_apart(path: Path, board_name: str, count: int) -> dict[str, Any]:
    """Return the row of one model, whatever becomes of the process that examines it."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(examine, path, board_name, count).result()
        except BrokenProcessPool:
            verdict = "an interpreter died of it"
        except TinyEdgeError as error:
            verdict = str(error)
    return {"file": path.name, "verdict": verdict, "exact": {}, "macs": None}


def markdown(report: dict[str, Any]) -> str:
    """Return the Markdown of a report: what compiled, largest first, then what was refused, and why."""
    compiled = [row for row in report["models"] if row["verdict"] == "compiled"]
    places = [place for place in _PLACES if any(place in row["exact"] for row in compiled)]
    lines = [
        f"{len(compiled)} of {len(report['models'])} files compile; of these "
        f"{sum(all(row['exact'].values()) for row in compiled)} have TFLite Micro's bits everywhere that they ran, on "
        f"{report['inputs']} inputs each.\n",
        f"| model | MACs | exact: {', '.join(_PLACES[place] for place in places)} | arena B | states B "
        "| TFLM's arena B | instructions | a MAC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted(compiled, key=lambda row: -row["macs"]):
        exact = ", ".join({True: "yes", False: "NO", None: "-"}[row["exact"].get(place)] for place in places)
        instructions = row.get("instructions")
        a_mac = "-" if not row["macs"] or instructions is None else f"{instructions / row['macs']:.2f}"
        shown = "does not fit" if instructions is None else f"{instructions:,}"
        name = row["file"].removesuffix(".tflite") + (" (requantised)" if row.get("requantised") else "")
        lines.append(
            f"| {name} | {row['macs']:,} | {exact} | {row['arena_bytes']:,} | "
            f"{row['state_bytes'] or '-'} | {row['tflm_arena_bytes']:,} | {shown} | {a_mac} |"
        )
    refused = [row for row in report["models"] if row["verdict"] != "compiled"]
    lines += ["", "| refused | why |", "|---|---|"]
    lines += [
        f"| {row['file'].removesuffix('.tflite')} | {row['verdict'].replace(row['file'], 'it')} |" for row in refused
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Examine a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--board", default="mps2_an386", help="an emulated board; the default has room for most")
    parser.add_argument("--inputs", type=int, default=5)
    parser.add_argument("--files", nargs="+", help="examine these files of the folder alone")
    parser.add_argument("--only", nargs="+", choices=INSTRUCTION_SETS, help="fill in these columns alone")
    parser.add_argument("--json", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    console = Console(stderr=True)
    if arguments.only:
        report = json.loads(arguments.json.read_text(encoding="utf-8"))
        fill(report, arguments.folder, arguments.only, console)
        write_json(arguments.json, report)
        print(markdown(report))
        return
    rows: dict[str, dict[str, Any]] = {}
    paths = [*arguments.folder.glob("*.tflite")]
    if arguments.files:
        known = json.loads(arguments.json.read_text(encoding="utf-8"))
        arguments.board, arguments.inputs = known["board"], known["inputs"]
        rows = {row["file"]: row for row in known["models"]}
        paths = [arguments.folder / name for name in arguments.files]
    for path in sorted(paths):
        console.print(path.name, highlight=False, markup=False)
        rows[path.name] = examine_apart(path, arguments.board, arguments.inputs)
    models = [rows[name] for name in sorted(rows)]
    report = {"schema": 1, "inputs": arguments.inputs, "board": arguments.board, "models": models}
    write_json(arguments.json, report)
    print(markdown(report))


if __name__ == "__main__":
    main()
