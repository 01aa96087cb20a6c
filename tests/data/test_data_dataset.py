"""Colour data sets in greyscale."""

import numpy as np
import torch
from PIL import Image

from tinyedge.data.dataset import ImageSplit, build_dataset, greyscale, greyscale_dataset


def test_grey_is_what_pillow_makes_of_colours():
    images = torch.randint(0, 256, (5, 3, 31, 33), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images[0, :, 0, :2] = torch.tensor([[0, 255]] * 3)
    grey = greyscale(images)
    for image, own in zip(images, grey, strict=True):
        pillow = np.asarray(Image.fromarray(image.permute(1, 2, 0).numpy()).convert("L"))
        np.testing.assert_array_equal(own[0].numpy(), pillow)


def test_grey_pixels_stay_what_they_are():
    images = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(greyscale(images.expand(1, 3, 16, 16)), images)


def test_a_grey_data_set_has_statistics_of_its_own():
    images = torch.randint(0, 256, (7, 3, 5, 5), generator=torch.Generator().manual_seed(1), dtype=torch.uint8)
    labels = torch.arange(7)
    colour = build_dataset("own", ImageSplit(images, labels), ImageSplit(images[:2], labels[:2]), "abcdefg", ["x"])
    grey = greyscale_dataset(colour)
    values = grey.train.images.double() / 255
    assert grey.mean == (round(float(values.mean()), 6),)
    assert grey.std == (round(float(values.std(correction=0)), 6),)
    assert grey.test is not None
    assert grey.test.images.shape == (2, 1, 5, 5)
    assert torch.equal(grey.train.labels, labels)
    assert (grey.classes, grey.skipped_files) == (colour.classes, colour.skipped_files)
