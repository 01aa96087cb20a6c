"""The probe of an encoder that is in no run."""

from tinyedge.data.dataset import ImageDataset
from tinyedge.encoders.base import Encoder
from tinyedge.evaluation import probe
from tinyedge.evaluation.split import probe_images


def probe_encoder(encoder: Encoder, dataset: ImageDataset, hold_out: int = 0, **options) -> probe.ProbeResult:
    """Return the figures of `tinyedge.evaluation.probe.probe_encoder` on the images of a data set."""
    return probe.probe_encoder(encoder, dataset, probe_images(dataset, hold_out), **options).result
