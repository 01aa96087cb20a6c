"""Files that a vendor's compiler has already been at: a custom operator holds code for its accelerator."""

_COMPILERS = {
    "ethos-u": "Arm's Vela, for an Ethos-U",
    "edgetpu-custom-op": "Google's Edge TPU compiler",
    "NeutronGraph": "NXP's Neutron converter",
}


def vendor_compiler(op: str) -> str | None:
    """Return which compiler writes a custom operator, as the middle of a sentence; None if none is known to."""
    return _COMPILERS.get(op)
