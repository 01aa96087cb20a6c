"""`tinyedge.compile`: a full-INT8 model as C99 for any project."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.boards.board import load_board
from tinyedge.destination import check_folder
from tinyedge.installation import missing_packages_told
from tinyedge.manifest.model_path import resolve_model
from tinyedge.zoo import locate

if TYPE_CHECKING:
    from tinyedge.compiler.compile import CompileReport


@missing_packages_told()
def compile(
    model: Path | str,
    out: Path | str,
    *,
    name: str | None = None,
    board: Path | str | None = None,
    instruction_set: str | None = None,
    without: Sequence[str] = (),
    cascade: str = "auto",
    quantised_ends: bool = False,
    optimize: str = "balanced",
    layouts: Sequence[str] = (),
) -> "CompileReport":
    """Compile a model to standalone C99: no malloc, no interpreter, floats only where a model takes or gives them.

    Args:
        model: A full-INT8 .tflite file, or a run directory with an export.
        out: Folder for the C sources. Its other models stay, and so does what is not tinyedge's.
        name: What the model is called in C: "ic" gives ic_model.h and ic_invoke(). None: as the file or
            the run.
        board: A board's name or .toml file: kernels and cascades are chosen by their costs there, and the header tells
            the stack of an inference, found with the cross compiler. None: it does not, and `dsp` is for the costs of a
            NUCLEO-L4R5ZI.
        instruction_set: `portable` for any processor; `scalar` for Cortex-M0+, M3 and M23; `dsp` for M4, M7 and M33;
            `mve` for M55 and M85; `wasm` for WebAssembly. None: the board's, or `portable` without a board.
        without: Names of passes to leave out.
        cascade: Where layers run together a stripe of rows at a time: `auto` where that saves RAM for 4 % more
            time at most, `always` or `never`.
        quantised_ends: Take and give the int8 or int16 inside, with its scale and zero point in the header, where the
            model converts from and to float32 or uint8 itself.
        optimize: What the kernels are chosen for: `balanced`, `speed` for more flash and up to a quarter more RAM, or
            `size`.
        layouts: The build systems to make the folder for: `cmake`, `zephyr`, `arduino`, `esp-idf`, `platformio`,
            `cmsis-pack`, `make`. Their examples compare one inference with the golden output, for which TFLite Micro
            runs the model here. Empty: the first four, and nothing is run.

    Raises:
        ModelError: The model cannot be read or compiled.
        ConfigError: `out` cannot be written to or a file in it is in the way, or there is no such name, board,
            instruction set, pass, cascade, aim or layout.
        ToolMissing: The cross compiler is not installed, and a board was given.
        TargetError: The model does not compile for the board's processor.
    """
    from tinyedge.compiler.emit.library_layout import USUAL_LAYOUTS, check_layouts
    from tinyedge.compiler.emit.names import check_name, default_name

    check_layouts(layouts)  # What was asked for, before the model is looked at.
    if name is not None:
        check_name(name)
    target = None if board is None else load_board(board)
    model = Path(model)
    file = resolve_model(model)
    check_folder(Path(out), "give another folder to --out")
    from tinyedge.compiler.compile import compile_model
    from tinyedge.compiler.costs import board_costs
    from tinyedge.compiler.options import CompileOptions
    from tinyedge.firmware.model_stack import model_stack
    from tinyedge.runtimes.golden import golden_of

    chosen = instruction_set or ("portable" if target is None else target.instruction_set)
    folder = locate(model)
    if name is None and folder.is_dir():
        name = default_name(folder.resolve().name)
    costs = board_costs(target) if target is not None and chosen == target.instruction_set else None
    options = CompileOptions(chosen, tuple(without), cascade, quantised_ends, optimize, costs)
    return compile_model(
        file,
        Path(out),
        options,
        name,
        None if target is None else partial(model_stack, board=target),
        layouts or USUAL_LAYOUTS,
        golden_of if layouts else None,
    )
