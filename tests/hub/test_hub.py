"""Models go to and come from the Hugging Face hub as its own library and its users expect; no test needs a network."""

import json
import os
import shutil
import stat
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hub.hub_server import Hub, serving
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

import tinyedge
from tinyedge.cli.app import main
from tinyedge.errors import CheckpointError, ConfigError, ToolMissing
from tinyedge.hub.card import table
from tinyedge.manifest.model_path import resolve_model
from tinyedge.training.config import TrainConfig
from tinyedge.training.run import load_run
from tinyedge.zoo import locate, zoo_names

constants = pytest.importorskip("huggingface_hub.constants")

ZOO = "tinynext_t_cifar10"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of the hub, and a current folder with nothing in it."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.fixture
def hub(monkeypatch):
    with serving() as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        yield served


def fill_cache(cache: Path, files: Path, repository: str = "owner/tiny", commit: str = COMMIT) -> Path:
    """Lay a commit into the hub's cache as its library documents it; returns its snapshot."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / commit
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    shutil.copytree(files, snapshot)
    return snapshot


def test_a_packed_model_of_the_cache_is_loaded_without_a_network(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    packed = tinyedge.pack(ZOO, "packed").path
    fill_cache(cache, packed)
    image = torch.randn(1, 3, 32, 32)
    expected = tinyedge.load(ZOO)
    for revision in (None, "main", COMMIT):
        model = tinyedge.load("owner/tiny", revision=revision)
        assert model.revision == COMMIT
        assert model.classes == expected.classes
        with torch.no_grad():
            torch.testing.assert_close(model(image), expected(image), rtol=0, atol=0)
    assert expected.revision is None
    with pytest.raises(
        CheckpointError, match=r"owner/tiny at v2 is no folder here and not in the cache .* HF_HUB_OFFLINE"
    ):
        tinyedge.load("owner/tiny", revision="v2")
    with pytest.raises(CheckpointError, match=r"owner/other is no folder here"):
        tinyedge.load("owner/other")


def test_a_model_is_fetched_once_and_pinned_by_its_commit(hub: Hub, cache):
    packed = tinyedge.pack(ZOO, "packed").path
    first = hub.push("owner/tiny", packed)
    assert tinyedge.load("owner/tiny").revision == first
    fetched = {Path(path).name for method, path in hub.asked if method == "GET" and "/resolve/" in path}
    assert fetched == {"config.yaml", "encoder.safetensors", "probe.safetensors"}  # No code, and no second model.
    (packed / "README.md").write_text("changed")
    second = hub.push("owner/tiny", packed)
    assert tinyedge.load("owner/tiny").revision == second != first
    hub.asked.clear()
    assert tinyedge.load("owner/tiny", revision=first).revision == first
    assert not [path for method, path in hub.asked if "/resolve/" in path]


def test_the_block_of_the_page_runs(hub: Hub, capsys, page_blocks):
    commit = hub.push("owner/name", tinyedge.pack(ZOO, "packed").path)
    Image.new("RGB", (40, 30), "red").save("picture.jpg")
    (block,) = page_blocks("ecosystems.md", "From the hub")
    exec(compile(block, "docs/ecosystems.md", "exec"), {})
    assert capsys.readouterr().out.strip() == commit


def test_what_the_hub_has_not_is_said(hub: Hub, tmp_path):
    with pytest.raises(
        CheckpointError, match=r"owner/none is no folder here, and on the Hugging Face hub there is none"
    ):
        tinyedge.load("owner/none")
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    hub.push("owner/bert", other)
    with pytest.raises(CheckpointError, match=r"owner/bert of the Hugging Face hub holds no config\.yaml"):
        tinyedge.load("owner/bert")
    with pytest.raises(CheckpointError, match="owner/bert has no revision v9"):
        tinyedge.load("owner/bert", revision="v9")


def test_without_a_network_it_says_so(monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(
        CheckpointError, match=r"owner/tiny is no folder here and not in the cache .* cannot be reached"
    ):
        tinyedge.load("owner/tiny")


def test_without_the_package_it_says_how_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "huggingface_hub"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ToolMissing, match=r"owner/tiny is no folder here.*takes huggingface_hub.*\[hub\]"):
        tinyedge.load("owner/tiny")


@pytest.mark.parametrize("path", ["runs/none", "runs/first", "/x/y", "a/b/c", "first", "owner/encoder.safetensors"])
def test_a_path_is_not_looked_for_on_the_hub(path, tmp_path, hub):
    Path("runs").mkdir()
    with pytest.raises(CheckpointError, match="does not exist"):
        tinyedge.load(path)
    assert not hub.asked


def test_a_revision_of_no_repository_is_refused():
    with pytest.raises(ConfigError, match="revision is main, but tinynext_t_cifar10 is no repository of the hub"):
        tinyedge.load(ZOO, revision="main")


def metadata(card: Path) -> dict:
    """What the hub reads of a card: by its own library, and by YAML alone."""
    from huggingface_hub import ModelCard

    text = card.read_text(encoding="utf-8")
    read = ModelCard(text)
    assert read.text.lstrip().startswith("# ")
    plain = yaml.safe_load(text.split("---\n")[1])
    assert read.data.to_dict() == plain
    results = [(one.metric_name, one.metric_value) for one in read.data.eval_results or []]
    written = plain.get("model-index", [{"results": []}])[0]["results"]
    assert results == [(one["name"], one["value"]) for result in written for one in result["metrics"]]
    return plain


@pytest.mark.parametrize("name", zoo_names())
def test_a_card_of_the_zoo_begins_with_what_the_hub_reads(name):
    figures = json.loads((locate(name) / "metrics.json").read_text())
    card = metadata(locate(name) / "card.md")
    assert (card["license"], card["pipeline_tag"]) == ("apache-2.0", "image-classification")
    assert card["datasets"] == ["uoft-cs/cifar10"]
    assert ("self-supervised" in card["tags"]) == (name != "tinynext_t_cifar10_finetuned")
    values = {one["name"]: one["value"] for one in card["model-index"][0]["results"][0]["metrics"]}
    (aot,) = (one["accuracy"] for one in figures["host"] if one["runtime"] == "aot")
    assert values["classifier, INT8 by our C"] == round(aot, 4)
    assert not any("TFLite Micro" in what for what in values)  # Which had a part of the test images alone.


def test_a_packed_run_is_a_run_an_export_and_a_card(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tinyedge", "pack", ZOO, "--out", "my-tiny", "--license", "MIT", "--json"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 0
    said = capsys.readouterr()
    report = json.loads(said.out)
    assert (report["name"], report["model"]) == ("my-tiny", "model_int8.tflite")
    assert set(report["files"]) == {path.name for path in Path("my-tiny").iterdir()}
    assert "next: hf upload OWNER/my-tiny my-tiny" in said.err
    assert load_run(Path("my-tiny")).config.method == "best"
    assert resolve_model("my-tiny").read_bytes() == resolve_model(ZOO).read_bytes()
    card = metadata(Path("my-tiny/README.md"))
    assert card["license"] == "mit"
    values = {one["name"]: one["value"] for one in card["model-index"][0]["results"][0]["metrics"]}
    assert values == {
        "kNN, all labels": 0.6293,
        "linear probe, 20 % of the labels": 0.6184,
        "linear probe, all labels": 0.6407,
        "classifier, float": 0.6408,
        "classifier, INT8": 0.6393,
    }


def test_a_card_tells_probes_apart_and_leaves_out_those_of_other_images(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(locate(ZOO), run)
    records = json.loads((run / "probe.json").read_text())
    linear = next(one for one in records if (one["protocol"], one["label_fraction"]) == ("linear", 1.0))
    records += [
        {**linear, "stages": [1, 2], "mean": 0.11},
        {**linear, "protocol": "linear-sgd", "mean": 0.22},
        {**linear, "data": "others", "mean": 0.33},
    ]
    (run / "probe.json").write_text(json.dumps(records))
    manifest = json.loads((run / "export.json").read_text())
    manifest["calibration"]["dataset"] = "others"
    (run / "export.json").write_text(json.dumps(manifest))
    tinyedge.pack(run, "packed")
    card = metadata(Path("packed/README.md"))
    values = {one["name"]: one["value"] for one in card["model-index"][0]["results"][0]["metrics"]}
    assert values == {
        "kNN, all labels": 0.6293,
        "linear probe, 20 % of the labels": 0.6184,
        "linear probe, all labels": 0.6407,
        "linear probe, all labels, stages 1,2": 0.11,
        "linear probe by SGD, all labels": 0.22,
    }


def test_a_packed_run_names_no_folder_of_this_machine(tmp_path):
    run = tmp_path / "secret" / "run"
    shutil.copytree(locate(ZOO), run)
    images = str(tmp_path / "secret" / "cats")
    config = load_run(run).config.to_dict()
    config |= {"data": images, "data_root": str(tmp_path / "secret"), "from_run": str(run), "teacher": str(run)}
    TrainConfig(**{key: tuple(value) if isinstance(value, list) else value for key, value in config.items()}).save(
        run / "config.yaml"
    )
    records = json.loads((run / "probe.json").read_text())
    (run / "probe.json").write_text(json.dumps([{**record, "data": images} for record in records]))
    manifest = json.loads((run / "export.json").read_text())
    manifest["calibration"]["dataset"] = images
    (run / "export.json").write_text(json.dumps(manifest))
    with safe_open(run / "probe.safetensors", framework="pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 - it is no mapping.
        described = {**stored.metadata(), "data": images}
    save_file(tensors, run / "probe.safetensors", metadata=described)
    packed = tinyedge.pack(run, "packed")
    for file in packed.files:
        assert os.fsencode(tmp_path / "secret") not in file.read_bytes(), file.name
    assert yaml.safe_load(Path("packed/config.yaml").read_text())["data"] == "cats"
    assert "licen" not in Path("packed/README.md").read_text()
    assert tinyedge.load("packed").classes == tinyedge.load(ZOO).classes
    with safe_open("packed/probe.safetensors", framework="pt") as stored:
        assert stored.metadata() == {**described, "data": "cats"}
        assert all(torch.equal(stored.get_tensor(name), tensor) for name, tensor in tensors.items())


def test_an_encoder_alone_is_packed_as_one(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    for name in ("config.yaml", "encoder.safetensors"):
        shutil.copy(locate(ZOO) / name, run)
    packed = tinyedge.pack(load_run(run), "packed")  # As `train` returns it.
    assert packed.model is None
    assert {file.name for file in packed.files} == {"README.md", "config.yaml", "encoder.safetensors"}
    card = metadata(Path("packed/README.md"))
    assert card["pipeline_tag"] == "image-feature-extraction"
    assert "model-index" not in card
    assert tinyedge.load("packed").classifier is None


def test_the_current_folder_is_not_packed_into():
    with pytest.raises(ConfigError, match="is the folder that this runs in, and cannot be replaced"):
        tinyedge.pack(ZOO, ".")
    assert list(Path().iterdir()) == []


def test_what_is_in_a_folder_stays(tmp_path):
    Path("mine").mkdir()
    Path("mine/notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match=r"mine/notes\.txt is not from tinyedge, which replaces only what is; "):
        tinyedge.pack(ZOO, "mine")
    assert [path.name for path in Path("mine").iterdir()] == ["notes.txt"]
    run = Path("run")
    shutil.copytree(locate(ZOO), run, ignore=lambda folder, names: {name for name in names if name[:6] != "config"})
    with pytest.raises(ConfigError, match="run holds files that `tinyedge pack` did not write"):
        tinyedge.pack(ZOO, run)


def test_a_packed_folder_is_packed_again_until_somebody_changes_it(tmp_path):
    packed = tinyedge.pack(ZOO, "mine")
    assert {stat.S_IMODE(file.stat().st_mode) for file in packed.files} == {0o644}
    before = Path("mine/README.md").read_text()
    assert tinyedge.pack(ZOO, "mine", licence="MIT").files == packed.files
    assert Path("mine/README.md").read_text() != before
    assert metadata(Path("mine/README.md"))["license"] == "mit"
    for name in ("README.md", "encoder.safetensors"):
        tinyedge.pack(ZOO, "mine")
        assert Path("mine/README.md").read_text().splitlines()[:-1] == before.splitlines()[:-1]
        changed = Path("mine", name)
        changed.write_bytes(changed.read_bytes().replace(b"vision", b"kitten") + b" ")
        kept = changed.read_bytes()
        with pytest.raises(ConfigError, match=r"mine holds files .* changed: give another folder to --out"):
            tinyedge.pack(ZOO, "mine")
        assert changed.read_bytes() == kept
        shutil.rmtree("mine")


@pytest.mark.parametrize(
    ("licence", "hint"), [("apache2.0", "did you mean apache-2.0[?] The names"), ("mine", "'mine': .*--license other")]
)
def test_a_licence_that_the_hub_knows_not_is_refused_before_anything_is_written(licence, hint):
    with pytest.raises(ConfigError, match=hint):
        tinyedge.pack(ZOO, "mine", licence=licence)
    assert not Path("mine").exists()


def test_a_bar_in_a_class_name_ends_no_cell_of_a_card():
    assert table([("classes", "a|b, c\nd")]).splitlines()[2] == r"| classes | a\|b, c d |"
