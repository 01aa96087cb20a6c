"""How a model is compiled."""

from dataclasses import dataclass

from tinyedge.compiler.costs import Costs
from tinyedge.compiler.kernels import INSTRUCTION_SETS, PORTABLE
from tinyedge.compiler.passes import PASS_NAMES
from tinyedge.errors import ConfigError

CASCADES = ("auto", "always", "never")
OPTIMISATIONS = ("balanced", "speed", "size")


@dataclass(frozen=True)
class CompileOptions:
    """What the C may use and which rewrites of the graph it gets. None of them changes a bit of what is computed.

    Attributes:
        instruction_set: What the kernels may use, one of `tinyedge.compiler.kernels.INSTRUCTION_SETS`.
        without: Names of passes to leave out, from `tinyedge.compiler.passes.PASS_NAMES`, to see what they are worth.
            An operator that a pass would have removed may have no kernel.
        cascade: Where layers run together a stripe of rows at a time: "auto" where that lowers the arena and takes at
            most an estimated 4 % more time, "always" wherever it lowers the arena, or "never".
        quantised_ends: Whether the model takes and gives its int8 or int16 tensors where the file has QUANTIZE and
            DEQUANTIZE from and to float32 or uint8 around them.
        optimize: What the kernels are chosen for: "balanced", "speed" for as much flash as that takes and up to a
            quarter more RAM, or "size" for little flash: fewer kernels, which are to be compiled
            with -Os and TE_SMALL=1.
        costs: By which kernels and cascades are chosen, of what the C is to run on; None: those of
            `tinyedge.compiler.costs.default_costs`.

    Raises:
        ConfigError: There is no such instruction set, pass or choice.
    """

    instruction_set: str = PORTABLE
    without: tuple[str, ...] = ()
    cascade: str = "auto"
    quantised_ends: bool = False
    optimize: str = "balanced"
    costs: Costs | None = None

    def __post_init__(self) -> None:
        if self.instruction_set not in INSTRUCTION_SETS:
            raise ConfigError(f"no instruction set {self.instruction_set}: give one of {', '.join(INSTRUCTION_SETS)}")
        for name in self.without:
            if name not in PASS_NAMES:
                raise ConfigError(f"no pass {name} to leave out: give one of {', '.join(PASS_NAMES)}")
        if self.cascade not in CASCADES:
            raise ConfigError(f"no choice {self.cascade} of cascades: give --cascade {', '.join(CASCADES)}")
        if self.optimize not in OPTIMISATIONS:
            raise ConfigError(f"no choice {self.optimize} to optimise for: give --optimize {', '.join(OPTIMISATIONS)}")
