import subprocess
import sys
from pathlib import Path

from tinyedge.tflite.schema import enumeration_values

MODEL = Path(__file__).parents[2] / "models" / "tinynext_t_cifar10" / "model_int8.tflite"

_UNDER_AN_EMPTY_PACKAGE = """\
import importlib.util, sys, types
package = types.ModuleType("tflite")
package.__path__ = list(importlib.util.find_spec("tflite").submodule_search_locations)
sys.modules["tflite"] = package
from pathlib import Path
from tinyedge.tflite.reader import read_tflite
from tinyedge.tflite.writer import tflite_bytes
content = tflite_bytes(read_tflite(Path(sys.argv[1])))
sys.exit(content != Path(sys.argv[1]).read_bytes())
"""


def test_files_are_read_and_written_where_another_package_has_emptied_the_schema_s() -> None:
    # As ai-edge-litert 2.1.2 does, whose `tflite/__init__.py` replaces that of the package `tflite`.
    subprocess.run([sys.executable, "-c", _UNDER_AN_EMPTY_PACKAGE, str(MODEL)], check=True)


def test_an_enumeration_has_the_schema_s_values_and_none_of_python_s() -> None:
    assert enumeration_values("Padding") == {"SAME": 0, "VALID": 1}
