import re
from typing import get_type_hints

import pytest

from tinyedge.errors import CheckpointError, ConfigError
from tinyedge.training.config import (
    TrainConfig,
    TrainOptions,
    changed_keys,
    compose_config,
    config_from_mapping,
    load_config,
)
from tinyedge.training.run import load_run


def test_yaml_and_back(tmp_path):
    config = TrainConfig(strides=(2, 1, 2, 2, 2), epochs=7, devices=2, method_options={"roll_unit": None})
    config.save(tmp_path / "config.yaml")
    assert load_config(tmp_path / "config.yaml") == config


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epoch": 3}, "unknown key epoch; did you mean epochs"),
        ({"epochs": 0}, "epochs is 0, but has to be at least 1"),
        ({"epochs": None}, "epochs is None"),
        ({"epochs": 1.5}, "epochs is 1.5"),
        ({"epochs": True}, "epochs is True"),
        ({"strides": "2,1"}, "strides is '2,1'"),
        ({"strides": ["a"]}, "strides is"),
        ({"lr_per_256": -1}, "lr_per_256 is -1"),
        ({"lr_per_256": "nan"}, "lr_per_256 is nan"),
        ({"precision": "bf16"}, "did you mean bf16-mixed"),
        ({"devices": "two"}, "devices is 'two'"),
        ({"enforce_budget": 1}, "enforce_budget is 1"),
        ({"method_options": 3}, "method_options is 3"),
        ({"betas": [0.9]}, "betas has 1 values"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0"),
        ({"batch_size": 1}, "batch_size is 1"),
        ({"betas": [0.9, 1.0]}, "betas is"),
        ({"warmup_epochs": -1}, "warmup_epochs is -1"),
        ({"weight_decay": -0.05}, "weight_decay is -0.05"),
        ({"min_lr_fraction": "nan"}, "min_lr_fraction is nan"),
        ({"epochs": float("inf")}, "epochs is inf, but takes a whole number"),
        ({"strides": [2, float("-inf")]}, "strides is"),
        ({"lr_per_256": 10**400}, "lr_per_256 is 1000"),
    ],
)
def test_wrong_values_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        config_from_mapping(values)


def test_yaml_numbers_in_scientific_notation_are_numbers(tmp_path):
    (tmp_path / "c.yaml").write_text("lr_per_256: 1e-3\nepochs: 5\n")  # YAML 1.1 reads 1e-3 as a text
    assert load_config(tmp_path / "c.yaml").lr_per_256 == 1e-3


@pytest.mark.parametrize(
    "text",
    ["", "- a\n", "a: [", "epochs 3", "[" * 700, "epochs: " + "9" * 5000, "seed: 2024-99-99"],
    ids=lambda t: t[:9],
)
def test_files_that_are_no_mapping(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        load_config(tmp_path / "c.yaml")


def test_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_config(tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match=r"is not a readable YAML file \(Is a directory\)"):
        load_config(tmp_path)


def test_command_line_wins_over_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 5\nseed: 3\nmethod_options: {ema_beta: 0.9, mask_block: 2}\n")
    config = compose_config(tmp_path / "c.yaml", {"epochs": 9, "seed": None}, ["ema_beta=0.5"])
    assert (config.epochs, config.seed) == (9, 3)
    assert config.method_options == {"ema_beta": 0.5, "mask_block": 2}
    with pytest.raises(ConfigError, match="KEY=VALUE"):
        compose_config(None, {}, ["ema_beta"])


@pytest.mark.parametrize("value", ["[1", "'a", "2024-99-99"])
def test_options_that_are_no_yaml(value):
    with pytest.raises(ConfigError, match=re.escape(f"--option temperature={value} is no YAML")) as caught:
        compose_config(None, {}, [f"temperature={value}"])
    assert "\n" not in str(caught.value)


def test_only_keys_that_change_the_numbers_count_as_changed():
    assert changed_keys(TrainConfig(), TrainConfig(devices=4, accelerator="cpu")) == []
    assert changed_keys(TrainConfig(), TrainConfig(epochs=4, seed=2)) == ["epochs", "seed"]


def test_folders_that_are_no_run(tmp_path):
    with pytest.raises(CheckpointError, match="does not exist"):
        load_run(tmp_path / "none")
    with pytest.raises(CheckpointError, match="is no run"):
        load_run(tmp_path)
    (tmp_path / "config.yaml").write_text("epochs: {")
    with pytest.raises(CheckpointError, match=r"config\.yaml"):
        load_run(tmp_path)


def test_weights_that_are_missing_corrupt_or_of_another_encoder(tmp_path):
    TrainConfig(image_size=32).save(tmp_path / "config.yaml")
    run = load_run(tmp_path)
    with pytest.raises(CheckpointError, match="--resume"):
        run.load_encoder()
    run.encoder_path.write_bytes(b"\x08\0\0\0\0\0\0\0{}")
    with pytest.raises(CheckpointError, match="corrupt"):
        run.load_encoder()
    from safetensors.torch import save_file
    from torch import zeros

    save_file({"weight": zeros(2)}, run.encoder_path)
    with pytest.raises(CheckpointError, match="does not hold a tinynext_t"):
        run.load_encoder()
    save_file({"weight": zeros(2), "bias": zeros(2) / 0}, run.encoder_path)
    with pytest.raises(CheckpointError, match=r"encoder\.safetensors holds numbers that are not finite, in bias"):
        run.load_encoder()


def test_a_run_can_be_opened_on_another_data_set(tmp_path):
    TrainConfig(data="digits", image_size=32).save(tmp_path / "config.yaml")
    assert load_run(tmp_path).config.data == "digits"
    assert load_run(tmp_path, "elsewhere").config == TrainConfig(data="elsewhere", image_size=32)


def test_the_keyword_arguments_of_train_are_the_fields():
    assert get_type_hints(TrainOptions) == get_type_hints(TrainConfig)
