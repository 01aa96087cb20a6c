"""A kernel in place of another, or why there is none."""

import dataclasses

from tinyedge.ops.kernel_call import KernelCall


def chosen(call: KernelCall, choice: KernelCall | str) -> KernelCall:
    """Return the call that was chosen in place of another, or that one with the reason why none was."""
    return dataclasses.replace(call, kept_because=choice) if isinstance(choice, str) else choice
