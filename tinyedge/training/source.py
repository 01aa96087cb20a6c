"""Where a step's images come from: a split in memory, or a stream of shards."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch

from tinyedge.data.dataset import ImageSplit
from tinyedge.data.shards import ShardStream
from tinyedge.training.batches import epoch_order, rank_batch


class SourceBatch(NamedTuple):
    """One rank's images of a step, on its device.

    Attributes:
        images: (B, C, H, W) uint8.
        indices: (B,) int64, the images' places in the split; -1 where there is none.
        labels: (B,) int64 classes, or None.
    """

    images: torch.Tensor
    indices: torch.Tensor
    labels: torch.Tensor | None


class BatchSource(Protocol):
    """What the training loop takes its images from.

    Attributes:
        steps_per_epoch: Steps until each image was seen once, or nearly.
        sample: (N, C, H, W) uint8 on the device, what a method may look at before the first step.
    """

    steps_per_epoch: int
    sample: torch.Tensor

    def batches(self, first_step: int) -> Iterator[SourceBatch]:
        """Yield the batches of the steps from `first_step` on, the same ones in each run, without end."""
        ...


class ResidentSource:
    """A split that stays on the device whole.

    Args:
        split: Its images.
        batch_size: Images a step over all ranks.
        seed: Of the order.
        rank: Of this process.
        world_size: Ranks.
        device: Of this process.
        with_labels: Whether batches carry labels.
    """

    def __init__(
        self,
        split: ImageSplit,
        batch_size: int,
        seed: int,
        rank: int,
        world_size: int,
        device: torch.device,
        with_labels: bool,
    ):
        self.sample = split.images.to(device)
        self.steps_per_epoch = len(split) // batch_size
        self._labels = split.labels.to(device) if with_labels and split.labels is not None else None
        self._batch_size, self._seed = batch_size, seed
        self._rank, self._world_size, self._device = rank, world_size, device

    def batches(self, first_step: int) -> Iterator[SourceBatch]:
        """Yield this rank's rows of each step; see `BatchSource.batches`."""
        epoch, position = divmod(first_step, self.steps_per_epoch)
        while True:
            order = epoch_order(len(self.sample), self._seed, epoch).to(self._device)
            for place in range(position, self.steps_per_epoch):
                indices = rank_batch(order, place, self._batch_size, self._rank, self._world_size)
                labels = None if self._labels is None else self._labels[indices]
                yield SourceBatch(self.sample[indices], indices, labels)
            epoch, position = epoch + 1, 0


class ShardSource:
    """A stream of shards.

    Args:
        stream: This rank's.
        sample: Some of the images, in memory.
        device: Of this process.
    """

    def __init__(self, stream: ShardStream, sample: torch.Tensor, device: torch.device):
        self.steps_per_epoch = stream.steps_per_epoch
        self.sample = sample.to(device)
        self._stream, self._device = stream, device

    def batches(self, first_step: int) -> Iterator[SourceBatch]:
        """Yield this rank's batches; see `BatchSource.batches`."""
        for images in self._stream.batches(first_step):
            if self._device.type == "cuda":
                images = images.pin_memory()
            indices = torch.full((len(images),), -1, device=self._device)
            yield SourceBatch(images.to(self._device, non_blocking=True), indices, None)
