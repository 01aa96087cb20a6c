"""From portable kernel calls to those that use a processor's instructions: one file an instruction set.

A set maps a call to a faster one with the same bits, or returns it as it is where it has none. The lowerings know no
processor, and the planner and the emitter take either.
"""

import dataclasses
from collections.abc import Callable

from tinyedge.compiler.costs import Costs
from tinyedge.compiler.kernels.dsp import hasten_dsp, use_dsp
from tinyedge.compiler.kernels.dsp_condense import condense_dsp
from tinyedge.compiler.kernels.mve import use_mve
from tinyedge.compiler.kernels.scalar import use_scalar
from tinyedge.compiler.kernels.wasm import use_wasm
from tinyedge.compiler.kernels.wasm_winograd import hasten_wasm
from tinyedge.ops.kernel_call import PORTABLE, KernelCall

__all__ = ["INSTRUCTION_SETS", "PORTABLE", "condense", "hasten", "specialise"]

_SETS: dict[str, Callable[[KernelCall], KernelCall]] = {
    PORTABLE: lambda call: call,
    "scalar": use_scalar,
    "dsp": use_dsp,
    "mve": use_mve,
    "wasm": use_wasm,
}

INSTRUCTION_SETS = tuple(_SETS)
"""`portable`: C99 for any machine. `scalar`: Armv6-M, Armv7-M and Armv8-M Baseline (Cortex-M0+, M3, M23). `dsp`:
Armv7E-M and Armv8-M with the DSP extension (Cortex-M4, M7, M33). `mve`: Armv8.1-M with the vector extension
(Cortex-M55, M85). `wasm`: WebAssembly with its vectors, as browsers have them."""


def specialise(calls: list[KernelCall], instruction_set: str) -> list[KernelCall]:
    """Choose the fastest kernels that an instruction set has.

    Args:
        calls: As lowered.
        instruction_set: One of `INSTRUCTION_SETS`.

    Returns:
        As many calls. `kept_because` says which sums of products none of its kernels runs, and why.
    """
    return [_specialise(call, instruction_set) for call in calls]


def condense(portable_calls: list[KernelCall], calls: list[KernelCall], instruction_set: str) -> list[KernelCall]:
    """Choose fewer kernels, which take less flash and more time, where the instruction set has any to spare.

    Args:
        portable_calls: As lowered.
        calls: What `specialise` made of them.
        instruction_set: One of `INSTRUCTION_SETS`.

    Returns:
        As many calls.
    """
    return condense_dsp(portable_calls, calls) if instruction_set == "dsp" else calls


def hasten(
    portable_calls: list[KernelCall], calls: list[KernelCall], instruction_set: str, costs: Costs, *, spend_flash: bool
) -> list[KernelCall]:
    """Choose kernels that spend scratch for time, where the instruction set has them.

    Args:
        portable_calls: As lowered.
        calls: What `specialise` made of them.
        instruction_set: One of `INSTRUCTION_SETS`.
        costs: Of what they run on.
        spend_flash: Whether they may also take more flash.

    Returns:
        As many calls; where one is another than before, the one before is its `smaller`.
    """
    pairs = zip(portable_calls, calls, strict=True)
    if instruction_set == "dsp":
        return [hasten_dsp(*pair, costs, spend_flash=spend_flash) for pair in pairs]
    return [hasten_wasm(*pair, costs) for pair in pairs] if instruction_set == "wasm" and spend_flash else calls


def _specialise(call: KernelCall, instruction_set: str) -> KernelCall:
    made = _SETS[instruction_set](call)
    if made.macs and made.kernel.instruction_set == PORTABLE != instruction_set and not made.kept_because:
        return dataclasses.replace(made, kept_because=f"{call.function} has no form in {instruction_set} instructions")
    return made
