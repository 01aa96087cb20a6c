"""What a report shows of a probe is what the probe saw."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from tinyedge.plots.embedding import map_features
from tinyedge.plots.gallery import write_gallery


@pytest.mark.parametrize(("count", "channels"), [(1, 3), (7, 3), (7, 1), (2100, 3)])
def test_points_classes_and_thumbnails_are_those_of_the_images(tmp_path, count, channels, monkeypatch):
    monkeypatch.setattr("tinyedge.plots.embedding.embed", lambda features: (features[:, :2], "as it is"))
    random = np.random.default_rng(0)
    features = random.normal(size=(count, 4))
    labels, predicted = random.integers(0, 3, (2, count))
    embedding = map_features(features)
    colours = random.integers(0, 256, (len(embedding.chosen), 1, 1, channels), dtype=np.uint8)
    pixels = np.broadcast_to(colours, (len(embedding.chosen), 6, 9, channels))
    write_gallery(tmp_path / "g.json", "a title", embedding, pixels, labels, predicted, ("a", "b", "c"))
    gallery = json.loads((tmp_path / "g.json").read_text())
    assert np.sum(gallery["confusion"]) == count  # Of all images, not of those in the map alone.
    assert len(gallery["points"]) == min(count, 2000)
    assert [point[2:] for point in gallery["points"]] == [[labels[i], predicted[i]] for i in embedding.chosen]
    places = np.array([point[:2] for point in gallery["points"]])
    assert places.min() >= 0
    assert places.max() <= 1
    if count > 1:
        scaled = (embedding.points - embedding.points.min(0)) / np.ptp(embedding.points, axis=0)
        np.testing.assert_allclose(places, scaled, atol=1e-4)
    side, columns = gallery["side"], gallery["columns"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(gallery["thumbnails"]))).convert("RGB"), dtype=int)
    for index in range(len(pixels)):
        row, column = side * (index // columns), side * (index % columns)
        middle = sheet[row + side // 3 : row + 2 * side // 3, column + side // 3 : column + 2 * side // 3]
        assert np.abs(middle.mean((0, 1)) - colours[index, 0, 0]).max() < 40  # WebP halves the colours' resolution.
