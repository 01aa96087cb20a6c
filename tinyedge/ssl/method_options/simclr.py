"""Options of the method of `tinyedge.ssl.simclr`."""

from dataclasses import dataclass

from tinyedge.ssl.options import check_options


@dataclass(frozen=True)
class SimClrOptions:
    """What can be chosen about SimCLR.

    Attributes:
        temperature: Divides the cosines; lower ones weigh the nearest negatives more.
        projector_hidden: Width of the projector's hidden layer.
        embedding_dim: Length of the embeddings that are compared.
    """

    temperature: float = 0.2
    projector_hidden: int = 512
    embedding_dim: int = 128

    def __post_init__(self) -> None:
        check_options(self, positive=("temperature", "projector_hidden", "embedding_dim"))
