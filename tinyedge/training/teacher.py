"""Teachers by what a user says: the run of another encoder, or a published network."""

import hashlib
from pathlib import Path

import torch

from tinyedge.encoders.base import Encoder
from tinyedge.ssl.teacher import Teacher, TeacherOutput
from tinyedge.training.run import load_run


class EncoderTeacher(Teacher):
    """An encoder that this toolkit pretrained; its maps are those of its last three stages.

    Args:
        encoder: In evaluation mode.
    """

    def __init__(self, encoder: Encoder):
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.feature_dim = encoder.feature_dim
        size = encoder.input_size
        with torch.no_grad():
            maps = encoder.forward_maps(torch.zeros(1, 3, size, size))[1:]
        self.map_channels = tuple(feature_map.shape[1] for feature_map in maps)
        digest = hashlib.sha256(f"{size} {encoder!r}".encode())
        for name, value in sorted(encoder.state_dict().items()):
            digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
        self.digest = digest.hexdigest()

    def train(self, mode: bool = True) -> "EncoderTeacher":
        """Stay in evaluation mode, whatever the method around it does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, images: torch.Tensor) -> TeacherOutput:
        """Return the encoder's pooled features and the maps of its last three stages."""
        maps = tuple(feature_map.float() for feature_map in self.encoder.forward_maps(images)[1:])
        return TeacherOutput(maps[-1].mean(dim=(2, 3)), maps)


def load_teacher(source: str) -> Teacher:
    """Return the teacher that `source` names: the directory of a finished run.

    Raises:
        CheckpointError: `source` is no run, or its encoder is missing or corrupt.
    """
    return EncoderTeacher(load_run(Path(source)).load_encoder())
