"""Options of the method of `tinyedge.ssl.multi_pretext`."""

from dataclasses import dataclass

from tinyedge.errors import ConfigError
from tinyedge.ssl.options import check_options, unknown_name


@dataclass(frozen=True)
class MultiPretextOptions:
    """Options of `MultiPretext`.

    Attributes:
        corrupt_at: `stage4` (encoder output), `stage3` (inside the encoder) or `input+stage3`.
        reconstruct: What masked tokens restore: `pixels`, or `codes` of the patches in and around their cells.
        reconstruct_clean: Whether tokens that are not masked restore theirs too; the loss that steers the ratios is
            then of all tokens.
        code_atoms: Patches in the dictionary that the codes are made of.
        code_coordinates: Numbers in a code, at most `code_atoms`.
        mask_block: Masked tokens come in blocks of this side.
        roll_unit: Channels that a shift of 1 rolls a token by; None is a quarter of the channels.
        shift_per_token: Whether each token has its own shift; needs `disentangle_weight: 0`.
        rotation_with_clean: Whether the rotation head also has to tell clean tokens (class 0) from rolled ones.
        ema_beta: Decay of the loss averages that steer ratios and weights.
        normalise_losses: Whether losses are divided by their chance level before they are compared.
        weighting: `difficulty` weights the harder task more, `inverse` weights it less.
        disentangle_weight: Weight of the adversarial loss behind the gradient reversal; 0 leaves it out.
        symmetric_adversary: Whether a second adversary reads the masked region off the rolled tokens.
        decoder_width: Width of the decoder.
        decoder_layers: Its Transformer layers.
        decoder_heads: Attention heads of a layer.
        decoder_mlp_ratio: Hidden width of its MLPs over `decoder_width`.
        pretext_weight: Weight of the pretext losses together.
        vicreg_weight: Weight of VICReg between two views; 0 leaves it, its projector and the second view out.
        vicreg_invariance: Weight of the invariance term within VICReg.
        vicreg_variance: Weight of the variance term within VICReg.
        vicreg_covariance: Weight of the covariance term within VICReg.
        projector_width: Width of VICReg's embeddings.
    """

    corrupt_at: str = "stage3"
    reconstruct: str = "pixels"
    reconstruct_clean: bool = False
    code_atoms: int = 512
    code_coordinates: int = 128
    mask_block: int = 1
    roll_unit: int | None = 1
    shift_per_token: bool = False
    rotation_with_clean: bool = False
    ema_beta: float = 0.99
    normalise_losses: bool = True
    weighting: str = "difficulty"
    disentangle_weight: float = 0.1
    symmetric_adversary: bool = False
    decoder_width: int = 192
    decoder_layers: int = 2
    decoder_heads: int = 8
    decoder_mlp_ratio: int = 2
    pretext_weight: float = 1.0
    vicreg_weight: float = 0.0
    vicreg_invariance: float = 25.0
    vicreg_variance: float = 25.0
    vicreg_covariance: float = 1.0
    projector_width: int = 1024

    def __post_init__(self) -> None:
        for key, known in (
            ("corrupt_at", ("stage4", "stage3", "input+stage3")),
            ("reconstruct", ("pixels", "codes")),
            ("weighting", ("difficulty", "inverse")),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(unknown_name(key, getattr(self, key), known))
        check_options(
            self,
            positive=(
                "code_atoms",
                "code_coordinates",
                "mask_block",
                "decoder_width",
                "decoder_layers",
                "decoder_heads",
                "decoder_mlp_ratio",
                "projector_width",
            ),
            not_negative=(
                "disentangle_weight",
                "pretext_weight",
                "vicreg_weight",
                "vicreg_invariance",
                "vicreg_variance",
                "vicreg_covariance",
            ),
        )
        if self.code_coordinates > self.code_atoms:
            raise ConfigError(
                f"code_coordinates {self.code_coordinates} is above code_atoms {self.code_atoms}, which make no more; "
                "correct code_coordinates"
            )
        if not 0 <= self.ema_beta < 1:
            raise ConfigError(f"ema_beta is {self.ema_beta}, but has to be in [0, 1); correct ema_beta")
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ConfigError(
                f"decoder_width {self.decoder_width} is not a multiple of 4 and of decoder_heads {self.decoder_heads}; "
                "correct decoder_width"
            )
        if self.symmetric_adversary and self.disentangle_weight == 0:
            raise ConfigError("symmetric_adversary is an adversary that weighs nothing; set disentangle_weight above 0")
        if self.shift_per_token and self.disentangle_weight > 0:
            raise ConfigError(
                "shift_per_token leaves the adversary no shift of the sample to predict; set disentangle_weight: 0"
            )
