import pytest
import torch

from tinyedge.conversion.fold import fold_encoder
from tinyedge.encoders.registry import count_parameters, create_encoder, deployable_encoders, encoder_names
from tinyedge.encoders.resnet import ResNet18
from tinyedge.errors import ConfigError

torch.set_num_threads(1)


def sides(encoder):
    with torch.no_grad():
        return [m.shape[2] for m in encoder.eval().forward_maps(torch.zeros(1, 3, *[encoder.input_size] * 2))]


def test_it_has_the_published_parameters_and_no_budget():
    encoder = create_encoder("resnet18", input_size=32)
    assert count_parameters(encoder) == 11_168_832  # 11,173,962 of CIFAR ResNet-18s with their 10-way classifier
    assert encoder.feature_dim == 512
    assert "resnet18" in encoder_names()
    assert "resnet18" not in deployable_encoders()


def test_it_computes_what_torchvisions_does():
    torchvision = pytest.importorskip("torchvision")
    theirs = torchvision.models.resnet18(weights=None).eval()
    theirs.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    theirs.maxpool = theirs.fc = torch.nn.Identity()
    ours = create_encoder("resnet18", input_size=16, strides=(1, 1, 2, 2, 2)).eval()
    renamed = {
        name.replace("stem.0", "conv1")
        .replace("stem.1", "bn1")
        .replace("stage", "layer")
        .replace("shortcut", "downsample"): value
        for name, value in ours.state_dict().items()
    }
    theirs.load_state_dict(renamed)
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


@pytest.mark.parametrize(
    ("size", "expected"), [(32, [32, 16, 8, 4]), (64, [32, 16, 8, 4]), (96, [24, 12, 6, 3]), (33, [33, 17, 9, 5])]
)
def test_grids(size, expected):
    assert sides(create_encoder("resnet18", input_size=size)) == expected


def test_the_papers_stem_grows_the_maps():
    assert sides(ResNet18("resnet18", 32, (1, 1, 2, 2, 2), stem_padding=2)) == [34, 17, 9, 5]


def test_tokens_and_corruption():
    encoder = create_encoder("resnet18", input_size=16).train()
    images = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        clean = encoder.forward_tokens(images)
        early = encoder.forward_tokens(images, 3, lambda tokens: tokens * 0)
        late = encoder.forward_tokens(images, 4, lambda tokens: tokens * 0)
    assert clean.shape == early.shape == (2, 4, 512)
    assert not torch.allclose(clean, early)
    assert not late.any()
    with pytest.raises(ValueError, match="stage 3 or 4"):
        encoder.forward_tokens(images, 1)


def test_export_refuses_it_with_the_way_out():
    with pytest.raises(ConfigError, match=r"resnet18 only trains other encoders.*tinynext_t.*--teacher"):
        fold_encoder(create_encoder("resnet18", input_size=16))
