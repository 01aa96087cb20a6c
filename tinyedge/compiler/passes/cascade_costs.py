"""What the stripes of a cascade cost beside whole images, by the instruction set of the kernels."""

from dataclasses import dataclass

from tinyedge.compiler.kernels import PORTABLE


@dataclass(frozen=True)
class CascadeCosts:
    """Costs of a cascade and of a whole inference, in one unit.

    Attributes:
        layer: Of a layer in a stripe.
        channel: Of a channel of what a layer with a window makes, for what its kernel prepares anew in a stripe.
        table: Of the table that an ADD makes anew in a stripe.
        moved_byte: Of a byte that moves within a rolling buffer.
        mac: Of a multiply-accumulate of the inference.
        value: Of a value that a layer makes.
    """

    layer: float
    channel: float
    table: float
    moved_byte: float
    mac: float
    value: float


# Fitted to six models (MLPerf Tiny's IC, VWW and KWS, person_detect, and the zoo's two) without cascades, with those of
# "auto" and with those of "always": each within 1 % of the inference, the inference within 8 %, but KWS for `scalar`
# within 14 %. For `dsp` modelled cycles of a Cortex-M4 with flash of five wait states, for `scalar` of a Cortex-M3,
# for `mve` instructions of a Cortex-M55.
_SCALAR = CascadeCosts(layer=560, channel=0, table=0, moved_byte=1.2, mac=3.2, value=88)
_COSTS = {
    PORTABLE: _SCALAR,
    "scalar": _SCALAR,
    "dsp": CascadeCosts(layer=300, channel=470, table=6600, moved_byte=0, mac=1.34, value=19),
    "mve": CascadeCosts(layer=470, channel=35, table=0, moved_byte=0.4, mac=0.13, value=5.2),
}


def cascade_costs(instruction_set: str) -> CascadeCosts:
    """Return what cascades cost with the kernels of one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`."""
    return _COSTS[instruction_set]
