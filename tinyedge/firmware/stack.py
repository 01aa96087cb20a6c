"""The worst-case stack of an image: GCC's frames and call graph for C, the disassembly for all else.

`-fcallgraph-info=su` writes a `.ci` file beside each object: every C function with its frame, and its calls. Functions
in assembly and of the C library have none, so their frames and calls are read from the linked image's disassembly. A
call through a pointer is followed to every function that the pointer may hold (`_POINTERS`); a call that no rule
covers, a recursion or a frame that is not constant leaves the worst case unknown, with the reason.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinyedge.errors import TargetError

# The hardware pushes this when an interrupt comes, and up to a word for alignment: r0 to r3, r12, lr, pc and xPSR, and
# s0 to s15 with FPSCR where there is a floating-point unit (ARMv7-M ARM, DDI 0403E, B1.5.6 and B1.5.7).
_BASIC_FRAME_BYTES = 32
_FLOAT_FRAME_BYTES = 104
_ALIGNMENT_BYTES = 4

# The C function that the reset handler jumps to, and the one interrupt that is ever enabled.
_START = "te_start"
_INTERRUPT = "te_on_systick"

# Who calls what through pointers, as regular expressions of TARGET:FUNCTION, where TARGET is CMake's, and of what the
# pointer may hold. A function also calls those whose addresses it takes itself, as kernels do; these are the pointers
# that come from elsewhere. GCC may inline a caller into its own callers, so those are named too.
_POINTERS = (
    # te_protocol_config, in all of the application.
    (r"tinyedge:.*", r"te_board_.*"),
    # What is counted.
    (r"tinyedge:te_(measure|run_inference|on_infer|protocol_init)", r"te_runtime_invoke|te_nothing"),
    # The table of commands.
    (r"tinyedge:te_(protocol_feed|run_command)", r"te_on_(?!layer_done).*"),
    # What a pooling does with a window, and an LSTM with a gate.
    (r"te_model:te_pool_dsp", r"pool_(words|one)"),
    (r"te_model:te_lstm_steps_s8", r"sum_gate"),
    # The hook after each layer.
    (
        r"te_model:(\w+_invoke_profiled|run|layer_done|cascade_\d+)|tinyedge:te_(calibrate_layers|on_layers|on_te)",
        r"te_on_layer_done",
    ),
)

_INDIRECT = "__indirect_call"
_NODE = re.compile(r'^node: \{ title: "([^"]+)" label: "([^"]*)"( shape : ellipse)? \}$', re.MULTILINE)
_EDGE = re.compile(r'^edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', re.MULTILINE)
_FRAME = re.compile(r"\\n(\d+) bytes \((static|dynamic,bounded)\)$")
_CLONE = re.compile(r"\.(?:isra|constprop|part|cold)\b.*$")
_CMAKE_TARGET = re.compile(r"/CMakeFiles/(\w+)\.dir/")

_FILE = re.compile(r"^.+: +file format \S+$", re.MULTILINE)  # Before what objdump says of each.
_RELOCATION_SECTION = re.compile(r"^RELOCATION RECORDS FOR \[(.+)\]:$")
_RELOCATION = re.compile(r"^[0-9a-f]+ (R_ARM_\w+)\s+(\S+)$")
_CALL_RELOCATIONS = ("R_ARM_THM_CALL", "R_ARM_THM_JUMP24", "R_ARM_THM_JUMP19", "R_ARM_PREL31", "R_ARM_NONE")
# No code calls what these name.
_NO_POINTERS = re.compile(r"\.(debug|vectors|boot|ARM\.|comment)")

# Of any type but O, an object: assembly may leave its functions without a type.
_SYMBOL = re.compile(r"^([0-9a-f]{8}) .{6}[F ] \S+\t[0-9a-f]{8} (?:\.hidden )?([^\s$]+)$")
# Of the linker script, at an address where a function may be.
_BOUNDARY = re.compile(r"te_\w+_(?:start|end|load)")
# The linker's, where a function calls another that is further away than a branch reaches.
_VENEER = re.compile(r"__(\w+)_veneer")
_FUNCTION = re.compile(r"^([0-9a-f]{8}) <([^>]+)>:$")
_INSTRUCTION = re.compile(r"^ *[0-9a-f]+:\t(\S+)(?:\t([^@;]*))?")
_BRANCH = re.compile(r"^(?:bl|b|b(?:eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le))(?:\.[nw])?$")
_BRANCH_TARGET = re.compile(r"(?:^|\s)[0-9a-f]+ <([^>+]+)>$")
_STORE_BELOW = re.compile(r"\[sp, #-(\d+)\]!$")
_SUBTRACTED = re.compile(r"^sp, (?:sp, )?#(\d+)$")
_REGISTERS = ("r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "sl", "fp", "ip", "sp", "lr", "pc")


@dataclass(frozen=True)
class StackReport:
    """The most stack that an image can use.

    Attributes:
        worst_case_bytes: Of the deepest chain of calls with an interrupt on top of it; None where it is not known.
        interrupt_bytes: The interrupt's part of that.
        path: The deepest chain: functions from the start on, each with its frame in bytes.
        unknown: Why the worst case is not known; "" where it is.
    """

    worst_case_bytes: int | None
    interrupt_bytes: int
    path: tuple[tuple[str, int], ...]
    unknown: str


@dataclass
class _Function:
    """A function: `name` is its symbol, `target` CMake's target that it belongs to, `calls` are keys of functions.

    A key is the symbol, or FILE:SYMBOL for a static C function, as in the .ci files.
    """

    name: str
    target: str
    frame_bytes: int
    calls: set[str]
    indirect: bool = False
    unknown: str = ""


def worst_case_stack(build: Path, elf: Path, gcc: Path, has_float: bool) -> StackReport:
    """Find the deepest stack of an image.

    Args:
        build: CMake's folder, with a .ci file beside each object.
        elf: The linked image in it.
        gcc: The cross compiler, which knows where its objdump is.
        has_float: Whether interrupts push floating-point registers.

    Raises:
        TargetError: The image cannot be disassembled.
    """
    reports = function_stacks(build, elf, gcc, [_START, _INTERRUPT])
    program, interrupt = reports[_START], reports[_INTERRUPT]
    if program.worst_case_bytes is None or interrupt.worst_case_bytes is None:
        return StackReport(None, 0, (), program.unknown or interrupt.unknown)
    pushed_bytes = (_FLOAT_FRAME_BYTES if has_float else _BASIC_FRAME_BYTES) + _ALIGNMENT_BYTES
    interrupt_bytes = pushed_bytes + interrupt.worst_case_bytes
    return StackReport(program.worst_case_bytes + interrupt_bytes, interrupt_bytes, program.path, "")


def function_stacks(build: Path, elf: Path, gcc: Path, names: Sequence[str]) -> dict[str, StackReport]:
    """Find the deepest stack of functions of an image, by name, without interrupts.

    Args:
        build: As for `worst_case_stack`, as the next two.
        elf: The image.
        gcc: The compiler.
        names: Functions in C.

    Raises:
        TargetError: The image cannot be disassembled.
    """
    objdump = _output(gcc, "--print-prog-name=objdump").strip()
    functions = _disassembled(_output(objdump, "-d", "-t", "--no-show-raw-insn", elf))
    linked = {function.name for function in functions.values()}
    taken: list[tuple[str, str]] = []
    # CMake's own tests of the compiler are no part of a target.
    graphs = {ci: found.group(1) for ci in sorted(build.rglob("*.c.ci")) if (found := _CMAKE_TARGET.search(str(ci)))}
    relocations = _FILE.split(_output(objdump, "-r", *(ci.with_suffix(".obj") for ci in graphs)))[1:] if graphs else []
    for (ci, target), text in zip(graphs.items(), relocations, strict=True):
        compiled = _compiled(ci.read_text(encoding="utf-8"), target)
        keys = {function.name: key for key, function in compiled.items()}
        taken += _addresses_taken(text, keys)
        functions.update({key: function for key, function in compiled.items() if function.name in linked})
    for function in functions.values():
        function.calls &= set(functions)  # The image links, so GCC dropped a call of what is not in it.
    try:
        _follow_pointers(functions, [(owner, key) for owner, key in taken if key in functions])
    except _UnknownError as error:
        return dict.fromkeys(names, StackReport(None, 0, (), str(error)))
    known: dict[str, tuple[str, ...]] = {}
    return {name: _function_stack(functions, name, known) for name in names}


def _function_stack(functions: dict[str, _Function], name: str, known: dict[str, tuple[str, ...]]) -> StackReport:
    try:
        path = _deepest(functions, name, (), known)
    except _UnknownError as error:
        return StackReport(None, 0, (), str(error))
    frames = tuple((functions[key].name, functions[key].frame_bytes) for key in path)
    return StackReport(_total(functions, path), 0, frames, "")


class _UnknownError(Exception):
    """The worst case cannot be known; the message says why."""


def _compiled(text: str, target: str) -> dict[str, _Function]:
    """The functions of a .ci file by key."""
    functions = {}
    for key, label, outside in _NODE.findall(text):
        if outside:
            continue
        frame = _FRAME.search(label)
        unknown = "" if frame else "its frame depends on its arguments"
        functions[key] = _Function(
            key.rpartition(":")[2], target, int(frame.group(1)) if frame else 0, set(), False, unknown
        )
    for caller, callee in _EDGE.findall(text):
        if callee == _INDIRECT:
            functions[caller].indirect = True
        else:
            functions[caller].calls.add(callee)
    return functions


def _disassembled(text: str) -> dict[str, _Function]:
    """Every function of an image by symbol, from its instructions; other names of the same address too."""
    functions: dict[str, _Function] = {}
    names: defaultdict[int, list[str]] = defaultdict(list)
    current = _Function("", "", 0, set())
    for line in text.splitlines():
        if instruction := _INSTRUCTION.match(line):  # As most lines are.
            _execute(current, instruction.group(1), (instruction.group(2) or "").strip())
        elif function := _FUNCTION.match(line):
            veneer = _VENEER.fullmatch(function.group(2))
            current = _Function(function.group(2), "", 0, {veneer.group(1)} if veneer else set())
            functions |= dict.fromkeys(names[int(function.group(1), 16)], current)  # None where it is data.
        elif (symbol := _SYMBOL.match(line)) and not _BOUNDARY.fullmatch(symbol.group(2)):
            names[int(symbol.group(1), 16) & ~1].append(symbol.group(2))
    return functions


def _execute(function: _Function, mnemonic: str, operands: str) -> None:
    """Add what an instruction does to the stack; what is pushed on any way through a function counts."""
    operation = mnemonic.removesuffix(".n").removesuffix(".w")
    if operation in ("push", "vpush") or (operation in ("stmdb", "vstmdb", "vstmdb.64") and operands.startswith("sp!")):
        function.frame_bytes += _register_bytes(operands)
    elif below := _STORE_BELOW.search(operands):
        function.frame_bytes += int(below.group(1))
    elif operation in ("sub", "subw") and operands.startswith("sp,"):
        subtracted = _SUBTRACTED.match(operands)
        if subtracted:
            function.frame_bytes += int(subtracted.group(1))
        else:
            function.unknown = f"its frame depends on its arguments ({mnemonic} {operands})"
    elif (operation in ("mov", "bic", "and", "ldr") and operands.startswith("sp,")) or (
        operation == "msr" and operands.lower().startswith(("msp", "psp"))
    ):
        function.unknown = f"it moves the stack ({mnemonic} {operands})"
    elif operation == "blx":
        function.indirect = True
    elif _BRANCH.match(mnemonic):
        # Assembly jumps by register within itself only, so `bx` leaves no function but by returning.
        target = _BRANCH_TARGET.search(operands)
        if target and target.group(1) != function.name:
            function.calls.add(target.group(1))


def _register_bytes(operands: str) -> int:
    """What a list of registers takes: "{r4, r5, lr}", "sp!, {r4-r7, lr}", "{d8-d15}" or "{s16}"."""
    total = 0
    for part in operands.partition("{")[2].rstrip("}").split(","):
        first, _, last = part.strip().partition("-")
        size = 8 if first.startswith("d") else 4
        number = _REGISTERS.index if first in _REGISTERS else lambda register: int(register[1:])
        total += size * (number(last or first) - number(first) + 1)
    return total


def _addresses_taken(text: str, keys: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Whose addresses an object takes, from its relocations: (key of the function that does, or "" for data; key)."""
    owner: str | None = None
    for line in text.splitlines():
        if section := _RELOCATION_SECTION.match(line):
            name = section.group(1)
            owner = None if _NO_POINTERS.match(name) else keys.get(name.removeprefix(".text."), "")
        elif owner is not None and (relocation := _RELOCATION.match(line)):
            kind, symbol = relocation.groups()
            symbol = symbol.removeprefix(".text.")
            if kind not in _CALL_RELOCATIONS:
                yield owner, keys.get(symbol, symbol)


def _follow_pointers(functions: dict[str, _Function], taken: list[tuple[str, str]]) -> None:
    """Add to each function what it may call through pointers.

    Raises:
        _UnknownError: A pointer may hold more than is known.
    """
    everything = {key for _, key in taken}
    claimed = set()
    for key, function in functions.items():
        if not function.indirect or not function.target:
            continue
        caller = f"{function.target}:{_CLONE.sub('', function.name)}"
        callees = {callee for owner, callee in taken if owner == key}
        patterns = [pattern for callers, pattern in _POINTERS if re.fullmatch(callers, caller)]
        for pattern in patterns:  # Of a kind that the image has none of, a pointer holds NULL.
            callees |= {callee for callee in everything if re.fullmatch(pattern, functions[callee].name)}
        if not callees and not patterns:
            function.unknown = "it calls through a pointer, and no rule says what that holds"
        function.calls |= callees
        claimed |= callees
    for key in sorted(everything - claimed):
        raise _UnknownError(f"{functions[key].name} is called through a pointer, and no rule says by whom")


def _deepest(
    functions: dict[str, _Function], key: str, callers: tuple[str, ...], known: dict[str, tuple[str, ...]]
) -> tuple[str, ...]:
    """The chain of calls from a function on that takes the most stack.

    Raises:
        _UnknownError: A frame on the way is not known, or the function calls itself.
    """
    if key in known:
        return known[key]
    function = functions[key]
    if key in callers:
        raise _UnknownError(f"{function.name} calls itself, by way of {functions[callers[-1]].name}")
    if function.unknown:
        raise _UnknownError(f"the stack of {function.name} is not known: {function.unknown}")
    if function.indirect and not function.target:
        raise _UnknownError(f"{function.name} of a library calls through a pointer")
    chains = [_deepest(functions, callee, (*callers, key), known) for callee in sorted(function.calls)]
    known[key] = (key, *max(chains, key=lambda chain: _total(functions, chain), default=()))
    return known[key]


def _total(functions: dict[str, _Function], chain: tuple[str, ...]) -> int:
    return sum(functions[key].frame_bytes for key in chain)


def _output(*command: object) -> str:
    try:
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=120, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise TargetError(f"{command[0]} does not run ({error}): run `tinyedge doctor`") from error
    return done.stdout
