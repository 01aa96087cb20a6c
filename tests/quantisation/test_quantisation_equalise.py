import pytest
import torch
from exports.export_inputs import make_dataset, normalised_images

from tinyedge.conversion.fold import Deployable, fold_classifier, fold_encoder
from tinyedge.encoders.fold import FoldedResidual
from tinyedge.encoders.registry import create_encoder
from tinyedge.quantisation.equalise import equalise

torch.set_num_threads(1)


def channel_ranges(network: Deployable, images: torch.Tensor) -> torch.Tensor:
    """Largest magnitude of each channel of what the head reads."""
    return network.body(images).abs().amax(dim=(0, 2, 3))


@pytest.mark.parametrize(
    ("name", "strides"),
    [("tinynext_t", (2, 1, 2, 2, 2)), ("tinynext_t", (1, 2, 2, 1, 1)), ("mobilenetv2_035", (1, 1, 1, 2, 2, 1, 2, 1))],
)
@pytest.mark.parametrize("classes", [0, 5])
@pytest.mark.parametrize("stages", [(4,), (1, 2, 3, 4)])
def test_the_outputs_stay_and_the_network_given_too(trained_like, name, strides, classes, stages):
    encoder = trained_like(create_encoder(name, input_size=32, strides=strides, feature_stages=stages))
    weight, bias = torch.randn(classes, encoder.feature_dim), torch.randn(classes)
    folded = (fold_classifier(encoder, weight, bias) if classes else fold_encoder(encoder)).double()
    images = normalised_images(make_dataset(32))[:4].double()
    before = {key: value.clone() for key, value in folded.state_dict().items()}
    with torch.no_grad():
        equalised = equalise(folded, images)
        torch.testing.assert_close(equalised(images), folded(images), atol=1e-9, rtol=1e-9)
    assert all(torch.equal(value, before[key]) for key, value in folded.state_dict().items())
    assert any(not torch.equal(value, before[key]) for key, value in equalised.state_dict().items())


def test_a_stream_of_unlike_channels_becomes_more_even(trained_like):
    encoder = trained_like(create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2)))
    with torch.no_grad():
        encoder.embed3.project[0].weight[::2] *= 30
    folded, images = fold_encoder(encoder), normalised_images(make_dataset(32))[:4]
    with torch.no_grad():
        before, after = channel_ranges(folded, images), channel_ranges(equalise(folded, images), images)
    assert after.max() / after.median() < 0.5 * before.max() / before.median()
    assert after.max() == pytest.approx(float(before.max()), rel=1e-3)  # The widest channel keeps its range.


def test_each_depthwise_filter_starts_a_map_of_its_own(trained_like):
    encoder = trained_like(create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2)))
    with torch.no_grad():
        encoder.stage3[2].local.weight[0] *= 1000  # The first channel is loud from here on, and not before.
    folded, images = fold_encoder(encoder), normalised_images(make_dataset(32))[:4]
    equalised = equalise(folded, images)
    mixers = [n for n, block in enumerate(folded.body) if isinstance(next(block.children()), FoldedResidual)]
    third = mixers[2]

    def spread(network: Deployable, parts: int) -> torch.Tensor:
        """Range of the first channel over the median of all, after so many parts of the third mixer block."""
        ranges = network.body[third][:parts](network.body[:third](images)).abs().amax(dim=(0, 2, 3))
        return ranges[0] / ranges.median()

    with torch.no_grad():
        assert spread(folded, 1) < 3
        assert spread(folded, 2) > 30
        assert spread(equalised, 1) < 3
        assert spread(equalised, 2) < spread(folded, 2) ** 0.5


def test_a_dead_channel_stays_finite(trained_like):
    encoder = trained_like(create_encoder("tinynext_t", input_size=32, strides=(2, 1, 2, 2, 2)))
    images = normalised_images(make_dataset(32))[:4]
    folded = fold_encoder(encoder)
    with torch.no_grad():
        for parameter in folded.body[-1].parameters():
            parameter.zero_()
        for parameter in folded.body[-2].parameters():
            parameter.zero_()
        for parameter in folded.body[-3].parameters():
            parameter.zero_()
        torch.testing.assert_close(equalise(folded, images)(images), folded(images))
