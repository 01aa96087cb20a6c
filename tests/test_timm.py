"""tinyedge's encoders are what users of timm expect of a model that `timm.create_model` makes."""

import shutil
from functools import partial

import pytest
import torch
from torch import nn

timm = pytest.importorskip("timm")

import tinyedge  # noqa: E402
import tinyedge.timm as names  # noqa: E402
from tinyedge.encoders.registry import create_encoder  # noqa: E402
from tinyedge.errors import ConfigError  # noqa: E402
from tinyedge.training.classifier_file import StoredClassifier, save_classifier  # noqa: E402
from tinyedge.zoo import locate  # noqa: E402

VARIANTS = ("tinyedge_tinynext_t", "tinyedge_tinynext_s", "tinyedge_mobilenetv2_035")
DEPLOYED = ("tinyedge_tinynext_t", "tinyedge_mobilenetv2_035")  # TinyNeXt-S has the layers of T.
TAGS = {
    "tinyedge_tinynext_t.cifar10": "tinynext_t_cifar10",
    "tinyedge_tinynext_t.cifar10_finetuned": "tinynext_t_cifar10_finetuned",
    "tinyedge_tinynext_t.cifar10_patches": "tinynext_t_cifar10_patches",
    "tinyedge_tinynext_t.cifar10_efficientnet_lite0": "tinynext_t_cifar10_efficientnet_lite0",
    "tinyedge_mobilenetv2_035.cifar10": "mobilenetv2_035_cifar10",
}


def test_the_names_are_listed():
    assert set(timm.list_models("tinyedge_*")) >= set(VARIANTS)
    assert set(timm.list_models("tinyedge_*", pretrained=True)) == set(TAGS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_has_the_parts_of_timm_s_own(variant):
    torch.manual_seed(0)
    model = timm.create_model(variant, num_classes=7, in_chans=1, img_size=48, drop_rate=0.5).eval()
    images = torch.randn(2, 1, 48, 48)
    with torch.no_grad():
        last = model.forward_features(images)
        features = model.forward_head(last, pre_logits=True)
        logits = model(images)
        encoder = create_encoder(variant.removeprefix("tinyedge_"), input_size=48, channels=1, enforce_budget=False)
        encoder.load_state_dict(model.encoder.state_dict())
        torch.testing.assert_close(features, encoder.eval()(images))
        torch.testing.assert_close(logits, features @ model.fc.weight.T + model.fc.bias)
        torch.testing.assert_close(model.forward_head(last), logits)
    assert last.shape[:2] == (2, model.num_features)
    assert (features.shape, logits.shape) == ((2, model.head_hidden_size), (2, 7))
    assert model.get_classifier() is model.fc
    assert model.head_drop.p == 0.5
    model.reset_classifier(3)
    assert model(images).shape == (2, 3)
    model.reset_classifier(0)
    assert isinstance(model.get_classifier(), nn.Identity)
    with torch.no_grad():
        torch.testing.assert_close(model(images), features)
    model.reset_classifier(0, "")
    assert model(images).shape == last.shape


@pytest.mark.parametrize("variant", DEPLOYED)
def test_features_only_gives_the_maps_that_their_description_says(variant):
    model = timm.create_model(variant, features_only=True, img_size=64).eval()
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        maps = model(images)
        few = timm.create_model(variant, features_only=True, img_size=64, out_indices=(1, -1))
        few.load_state_dict(model.state_dict())
        taken = few.eval()(images)
    assert [one.shape[1] for one in maps] == model.feature_info.channels()
    assert [64 // one.shape[2] for one in maps] == model.feature_info.reduction()
    assert len(maps) == 4
    for one, expected in zip(taken, (maps[1], maps[3]), strict=True):
        torch.testing.assert_close(one, expected)


@pytest.mark.parametrize("name", TAGS)
def test_a_pretrained_model_is_that_of_the_zoo(name):
    model = timm.create_model(name, pretrained=True).eval()
    zoo = tinyedge.load(TAGS[name])
    images = torch.randn(2, 3, 32, 32)
    of_four_stages = name.endswith(("_patches", "_efficientnet_lite0"))  # Their classifiers fit no head of timm's.
    with torch.no_grad():
        expected = zoo.encoder.forward_maps(images)[-1].mean((2, 3)) if of_four_stages else zoo(images)
        torch.testing.assert_close(model(images), expected)
    assert model.pretrained_cfg.get("label_names") == (None if of_four_stages else zoo.classes)
    data = timm.data.resolve_model_data_config(model)
    assert data["input_size"] == (3, 32, 32)
    torch.testing.assert_close(torch.tensor(data["mean"]), torch.tensor(zoo.mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.tensor(data["std"]), torch.tensor(zoo.std), atol=1e-5, rtol=0)


def test_other_classes_and_maps_keep_the_pretrained_encoder():
    zoo = tinyedge.load("tinynext_t_cifar10")
    for more in ({"num_classes": 5}, {"num_classes": 0}):
        model = timm.create_model("tinyedge_tinynext_t", pretrained=True, **more)
        assert model.num_classes == more["num_classes"]
        assert all(
            torch.equal(value, zoo.encoder.state_dict()[key]) for key, value in model.encoder.state_dict().items()
        )
    images = torch.randn(1, 3, 32, 32)
    maps = timm.create_model("tinyedge_tinynext_t", pretrained=True, features_only=True).eval()
    with torch.no_grad():
        torch.testing.assert_close(maps(images)[-1], zoo.encoder.forward_maps(images)[-1])


def test_a_run_of_one_s_own_is_loaded_and_another_encoder_s_refused(tmp_path):
    zoo = tinyedge.load("tinynext_t_cifar10")
    for name in ("encoder.safetensors", "probe.safetensors"):
        shutil.copy(locate("tinynext_t_cifar10") / name, tmp_path)
    overlay = {"file": str(tmp_path / "encoder.safetensors"), "num_classes": 10}
    images = torch.randn(1, 3, 32, 32)
    model = timm.create_model("tinyedge_tinynext_t", pretrained=True, pretrained_cfg_overlay=overlay).eval()
    with torch.no_grad():
        torch.testing.assert_close(model(images), zoo(images))
    (tmp_path / "probe.safetensors").unlink()
    model = timm.create_model("tinyedge_tinynext_t", pretrained=True, pretrained_cfg_overlay=overlay).eval()
    with torch.no_grad():
        torch.testing.assert_close(model.forward_features(images), zoo.encoder.forward_maps(images)[-1])
    # Weights have the same shapes for all strides.
    with pytest.raises(ConfigError, match=r"strides is \(1, 1, 2, 2, 2\), but .* was trained with \(2, 1, 2, 2, 2\)"):
        timm.create_model(
            "tinyedge_tinynext_t", pretrained=True, pretrained_cfg_overlay=overlay, strides=(1, 1, 2, 2, 2)
        )


def test_a_classifier_of_several_stages_is_refused_where_its_classes_are_wanted(tmp_path):
    shutil.copy(locate("tinynext_t_cifar10") / "encoder.safetensors", tmp_path)
    several = StoredClassifier(torch.zeros(10, 384), torch.zeros(10), ("a",) * 10, 1.0, None, stages=(1, 2, 3, 4))
    save_classifier(tmp_path / "probe.safetensors", several, l2=1.0)
    create = partial(
        timm.create_model,
        "tinyedge_tinynext_t",
        pretrained=True,
        pretrained_cfg_overlay={"file": str(tmp_path / "encoder.safetensors"), "num_classes": 10},
    )
    with pytest.raises(
        ConfigError, match=r"384 features, of several stages, .* the 192 of the last one: .* --stages 4"
    ):
        create()
    zoo = tinyedge.load("tinynext_t_cifar10").encoder.state_dict()
    for classes in (0, 5):
        weights = create(num_classes=classes).encoder.state_dict()
        assert all(torch.equal(value, zoo[key]) for key, value in weights.items())


@pytest.mark.parametrize("variant", DEPLOYED)
def test_timm_s_optimiser_tells_layers_apart(variant):
    from timm.optim import create_optimizer_v2

    model = timm.create_model(variant, num_classes=4, img_size=32)
    model.set_grad_checkpointing(False)
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, layer_decay=0.5)
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(model.parameters()))
    scales = {id(one): group["lr_scale"] for group in optimizer.param_groups for one in group["params"]}
    assert scales[id(model.fc.weight)] == 1.0
    stem, deep = (next(model.get_submodule(f"encoder.{part}").parameters()) for part in ("stem", "stage4"))
    assert scales[id(stem)] < scales[id(deep)] < 1.0
    loss = model(torch.randn(4, 3, 32, 32)).square().mean()
    loss.backward()
    optimizer.step()


def test_an_encoder_of_one_s_own_is_registered(small_cnn):
    assert names.register("small_cnn") == "tinyedge_small_cnn"
    model = timm.create_model("tinyedge_small_cnn", num_classes=2, img_size=16)
    assert model(torch.randn(2, 3, 16, 16)).shape == (2, 2)


def test_an_unknown_encoder_and_the_file_of_another_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown encoder tinynext; did you mean tinynext_t\?; one of your own"):
        names.register("tinynext")
    assert "tinyedge_tinynext" not in names.default_cfgs
    shutil.copy(locate("tinynext_t_cifar10") / "encoder.safetensors", tmp_path)
    overlay = {"file": str(tmp_path / "encoder.safetensors"), "num_classes": 0}
    with pytest.raises(ConfigError, match=r"is mobilenetv2_035, but .* is of tinynext_t: create 'tinyedge_tinynext_t'"):
        timm.create_model("tinyedge_mobilenetv2_035", pretrained=True, pretrained_cfg_overlay=overlay)


def test_what_cannot_be_is_said():
    with pytest.raises(ConfigError, match="channels is 4"):
        timm.create_model("tinyedge_tinynext_t", in_chans=4)
    with pytest.raises(ConfigError, match="32 x 48"):
        timm.create_model("tinyedge_tinynext_t", img_size=(32, 48))
    with pytest.raises(ConfigError, match="checkpointing"):
        timm.create_model("tinyedge_tinynext_t").set_grad_checkpointing()


def test_the_block_of_the_page_runs(capsys, page_blocks):
    (block,) = page_blocks("ecosystems.md", "timm")
    exec(compile(block, "docs/ecosystems.md", "exec"), {})
    assert capsys.readouterr().out == "[32, 64, 96, 192] [2, 4, 8, 16]\n"
