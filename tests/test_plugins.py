from pathlib import Path

import pytest
import torch

from tinyedge import plugins
from tinyedge.encoders import registry as encoders
from tinyedge.errors import ConfigError
from tinyedge.plugins import load_plugin, require_plugin
from tinyedge.ssl import registry as methods

EXAMPLES = Path(__file__).parents[1] / "examples" / "plugins"
ENCODER = """
from tinyedge.encoders.base import Encoder
from tinyedge.encoders.registry import register_encoder
@register_encoder({name!r}, strides={strides})
class Mine(Encoder):
    pass
"""


@pytest.fixture(autouse=True)
def _known_as_before(monkeypatch):
    monkeypatch.setattr(encoders, "_ENTRIES", dict(encoders._ENTRIES))
    monkeypatch.setattr(methods, "_ENTRIES", dict(methods._ENTRIES))
    monkeypatch.setattr(plugins, "_registered", set())


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_one_file_makes_an_encoder_and_a_method_known():
    for name in ("small_cnn", "align_spread"):
        load_plugin(str(EXAMPLES / f"{name}.py"))
    encoder = encoders.create_encoder("small_cnn", input_size=32)
    assert (encoder.name, encoder.strides, encoder.act) == ("small_cnn", (2, 1, 2, 2), "relu")
    assert encoder(torch.zeros(2, 3, 32, 32)).shape == (2, 48)
    assert encoders.encoder_plugin("small_cnn") == str(EXAMPLES / "small_cnn.py")
    assert methods.method_options("align-spread", {"spread_weight": 0.5})["spread_weight"] == 0.5
    with pytest.raises(ConfigError, match="did you mean spread_weight"):
        methods.method_options("align-spread", {"spread": 0.5})
    assert methods.create_method("align-spread", encoder).encoder is encoder


def test_default_strides_follow_the_input_size(tmp_path):
    load_plugin(write(tmp_path / "sized.py", ENCODER.format(name="sized", strides="{64: (2, 2), 32: (1, 2)}")))
    assert encoders.create_encoder("sized", input_size=32).strides == (1, 2)
    assert encoders.create_encoder("sized", input_size=33).strides == (2, 2)
    assert encoders.create_encoder("sized", input_size=500).strides == (2, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1 / 0", r"cannot be imported \(ZeroDivisionError: division by zero, line 1 of own.py\)"),
        ("def f(:", r"cannot be imported \(SyntaxError"),
        ("raise SystemExit(0)", "cannot be imported"),
        ("x = 1", "registers nothing; put @register_encoder or @register_method"),
        (ENCODER.format(name="tinynext_t", strides=(1, 2)), "calls an encoder tinynext_t, but there is one already"),
        (ENCODER.format(name="Mine!", strides=(1, 2)), "cannot be called 'Mine!'"),
        (ENCODER.format(name="mine", strides=(1, 4)), "strides of mine"),
        ("from tinyedge.ssl.registry import register_method\nregister_method('m', options=int)", "frozen dataclass"),
    ],
)
def test_a_plugin_that_is_none_is_refused_in_one_sentence(tmp_path, text, message):
    with pytest.raises(ConfigError, match=message):
        load_plugin(write(tmp_path / "own.py", text))


def test_a_missing_plugin_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"none\.py does not exist"):
        load_plugin(str(tmp_path / "none.py"))
    with pytest.raises(ConfigError, match="no_such_module cannot be imported"):
        load_plugin("no_such_module")
    with pytest.raises(ConfigError, match=r"notes\.txt is no \.py file"):
        load_plugin(write(tmp_path / "notes.txt", "x = 1"))


def test_a_recorded_plugin_runs_no_code_until_it_is_named(tmp_path):
    marker = tmp_path / "ran"
    text = ENCODER.format(name="mine", strides=(1, 2)) + f"open({str(marker)!r}, 'w').close()\n"
    source = write(tmp_path / "mine.py", text)
    with pytest.raises(ConfigError, match=f"runs/x needs the plug-in {source}.*add --plugin {source}"):
        require_plugin(source, Path("runs/x"))
    assert not marker.exists()
    load_plugin(source)
    assert marker.exists()
    require_plugin(source, Path("runs/x"))
    require_plugin("/elsewhere/mine.py", Path("runs/x"))  # It has moved.
    require_plugin(None, Path("runs/x"))


def test_an_installed_plugin_needs_no_option(tmp_path, monkeypatch, caplog):
    # A package as pip would leave it: a module, and the metadata that names its entry point.
    write(tmp_path / "their_encoders.py", ENCODER.format(name="theirs", strides=(2, 2)))
    write(tmp_path / "their_broken.py", "import nothing_of_that_name")
    metadata = tmp_path / "their_encoders-1.0.dist-info"
    metadata.mkdir()
    write(metadata / "METADATA", "Metadata-Version: 2.1\nName: their-encoders\nVersion: 1.0\n")
    write(metadata / "entry_points.txt", "[tinyedge.plugins]\nbroken = their_broken\ntheirs = their_encoders\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load_installed_plugins.cache_clear()  # As in a process that has looked for none yet.
    require_plugin("their_encoders", Path("run"))
    assert encoders.create_encoder("theirs", input_size=32).strides == (2, 2)
    assert encoders.encoder_plugin("theirs") == "their_encoders"
    assert "plug-in broken of their-encoders is left out" in caplog.text
