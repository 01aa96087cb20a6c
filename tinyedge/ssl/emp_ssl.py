"""EMP-SSL: many crops of each image agree with their mean, and the embeddings of each crop fill the space.

Tong et al. 2023, "EMP-SSL: Towards Self-Supervised Learning in One Training Epoch" (arXiv 2304.03977), equation 2; code
https://github.com/tsb0601/EMP-SSL, whose coding rate has eps and not its square. Here it is a way to train in few
epochs, and its encoder is evaluated like any other, by one forward pass: the published figures average the features of
128 crops of each test image, which no microcontroller has time for.

Deviations: 8 crops of a quarter of the area or more instead of 20 to 200 of exactly a quarter, so that the encoder also
learns whole images, which it will see; a projector D-1024-256 instead of D-4096-4096-1024, since the rate of a batch of
256 cannot grow with more dimensions than images; both terms divided by the published weight of 200, so that gradients
keep their length when they are clipped; AdamW instead of LARS.
"""

import torch
import torch.nn.functional as F

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.base import Batch, PretrainingMethod, StepResult, View
from tinyedge.ssl.distributed import gather_rows
from tinyedge.ssl.method_options.emp_ssl import EmpSslOptions
from tinyedge.ssl.projector import Projector


class EmpSsl(PretrainingMethod):
    """Encoder and projector.

    Args:
        encoder: The encoder to pretrain.
        options: See `EmpSslOptions`.
    """

    any_view_size = True

    def __init__(self, encoder: Encoder, options: EmpSslOptions):
        super().__init__()
        self.encoder = encoder
        self.views = (View(),) * options.patches
        self.options = options
        self.projector = Projector(encoder.feature_dim, options.projector_hidden, options.embedding_dim)

    def forward(self, batch: Batch, generator: torch.Generator, progress: float) -> StepResult:
        """Draw the crops of each image together and spread the images, over the global batch."""
        options = self.options
        embeddings = self.projector(self.encoder(torch.cat(batch.views)))  # (K B, D): all crops in one pass
        with torch.autocast(embeddings.device.type, enabled=False):
            by_image = embeddings.float().unflatten(0, (options.patches, -1)).transpose(0, 1)  # (B, K, D)
            z = F.normalize(gather_rows(by_image).transpose(0, 1), dim=-1)  # (K, B, D)
            invariance = agreement_with_mean(z)
            rate = total_coding_rate(z, options.rate_eps).mean()
            loss = -options.invariance_weight * invariance - options.rate_weight * rate
        metrics = {"loss": loss, "patch_agreement": invariance, "coding_rate": rate}
        return StepResult(loss, {key: value.detach() for key, value in metrics.items()})


def agreement_with_mean(z: torch.Tensor) -> torch.Tensor:
    """Return the mean cosine, in [-1, 1], between each crop's embedding in (K, B, D) and the mean over its K crops."""
    return F.cosine_similarity(z, z.mean(dim=0, keepdim=True), dim=-1).mean()


def total_coding_rate(z: torch.Tensor, eps: float) -> torch.Tensor:
    """Return R = 1/2 logdet(I + D / (B eps) Z^T Z), in nats, of each batch of embeddings.

    Args:
        z: (..., B, D) float32 or float64 of unit length.
        eps: Distortion, above 0.

    Returns:
        (...), 0 or more; largest where the embeddings have no direction in common.
    """
    batch, width = z.shape[-2:]
    # det(I + Z^T Z) = det(I + Z Z^T): the smaller of the two is cheaper.
    gram = z.mT @ z if width <= batch else z @ z.mT
    identity = torch.eye(gram.shape[-1], dtype=z.dtype, device=z.device)
    # Without a check, which would make a GPU wait; what is not finite shows in the loss.
    factor: torch.Tensor = torch.linalg.cholesky_ex(identity + width / (batch * eps) * gram).L
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)  # twice the half
