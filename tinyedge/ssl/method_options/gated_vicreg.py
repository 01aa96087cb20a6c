"""Options of the method of `tinyedge.ssl.vicreg_dual`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.method_options.vicreg import VicRegOptions
from tinyedge.ssl.options import check_options, unknown_name


@dataclass(frozen=True)
class GatedVicRegOptions(VicRegOptions):
    """What can be chosen about VICReg with gates, beside what `VicRegOptions` has.

    Attributes:
        target_density: Share of the encoder's multiply-accumulates that the gates are to leave.
        budget_weight: Of the squared distance to it.
        bound_weight: Of the bounds on each layer's share of open channels.
        bound_target: Where the bounds start: `linear`, at `target_density`, or `sqrt`, at its root as in the paper.
        bound_decay: How fast the bounds give way, as exp(-bound_decay * progress).
        gate_warmup: Share of the training for which all gates are open and cost nothing (`warmup_gate` of the paper's
            code). Few epochs need it: a network whose channels come and go by chance learns slowly at first.
        pruned_share: Share of the training, its last, in which the gated network has the channels that pruning keeps,
            for every image: its weights learn to do without the others.
        prune_by: Which channels the pruned encoder keeps: the most frequent ones that `target_density` pays for
            (`target`), or those that are open at least as often as `prune_threshold` says (`threshold`).
        prune_threshold: Share of the images, for `prune_by: threshold`.
    """

    target_density: float = 0.5
    budget_weight: float = 5.0
    bound_weight: float = 1.0
    bound_target: str = "linear"
    bound_decay: float = 10.0
    gate_warmup: float = 0.0
    pruned_share: float = 0.0
    prune_by: str = "target"
    prune_threshold: float = 0.5

    @property
    def weights(self) -> tuple[float, float, float]:
        """The weights of VICReg's terms, in the order of `vicreg_loss`."""
        return self.invariance_weight, self.variance_weight, self.covariance_weight

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, known in (("bound_target", ("linear", "sqrt")), ("prune_by", ("threshold", "target"))):
            if getattr(self, key) not in known:
                raise ConfigError(unknown_name(key, getattr(self, key), known))
        for key in ("target_density", "prune_threshold"):
            if not 0 < getattr(self, key) <= 1:
                raise ConfigError(f"{key} is {getattr(self, key)}, but has to be in (0, 1]; give a share such as 0.5")
        check_options(self, not_negative=("budget_weight", "bound_weight", "bound_decay"))
        if not 0 <= self.gate_warmup < 1:
            raise ConfigError(f"gate_warmup is {self.gate_warmup}, but has to be in [0, 1); correct gate_warmup")
        most = 1 - self.gate_warmup
        if not 0 <= self.pruned_share < most:
            raise ConfigError(
                f"pruned_share is {self.pruned_share}, but has to be in [0, {most:g}), which gate_warmup leaves; "
                "correct pruned_share"
            )
