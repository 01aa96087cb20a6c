#!/usr/bin/env bash
# ai-edge-litert 2.1.2 brings an empty tflite/__init__.py of its own. `tflite` 2.18.0, the package of TFLite's schema for
# Python, brings one that exports every class. Both claim the same file, and neither depends on the other or warns.
#
# Expected: two packages that declare no conflict can be installed together, in either order.
# Seen: installed after `tflite`, ai-edge-litert replaces its file, and `tflite.Model` is an AttributeError; installed
# before it, all is well. `pip check` finds nothing wrong in either environment. The modules of the schema stay, so that
# `from tflite.Model import Model` works in both.
#
# Exit code 0: as described; 1: something has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

seen() { # the packages in the order of installation
    local venv="$folder/$1-first"
    python3 -m venv "$venv"
    for package in "$@"; do "$venv/bin/pip" install -q --disable-pip-version-check "$package"; done
    "$venv/bin/pip" check >/dev/null && echo "pip check: no broken requirements"
    "$venv/bin/python" - <<'PYTHON'
import importlib.metadata as metadata
import tflite

versions = {name: metadata.version(name) for name in ("tflite", "ai-edge-litert")}
owners = sorted(
    name for name in versions if any(str(file) == "tflite/__init__.py" for file in metadata.files(name) or [])
)
print(f"{versions}, tflite/__init__.py is claimed by {' and '.join(owners)}")
print("tflite.Model is", "there" if hasattr(tflite, "Model") else "missing")
from tflite.Model import Model  # Sets the attribute, so it comes last.
PYTHON
}

litert_last=$(seen tflite==2.18.0 ai-edge-litert==2.1.2)
litert_first=$(seen ai-edge-litert==2.1.2 tflite==2.18.0)
printf 'tflite, then ai-edge-litert:\n%s\n\nai-edge-litert, then tflite:\n%s\n' "$litert_last" "$litert_first"
grep -q "claimed by ai-edge-litert and tflite" <<<"$litert_last" || exit 1
grep -q "pip check: no broken requirements" <<<"$litert_last" || exit 1
grep -q "tflite.Model is missing" <<<"$litert_last" || exit 1
grep -q "tflite.Model is there" <<<"$litert_first" || exit 1
