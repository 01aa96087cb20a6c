"""Our page's WebAssembly beside LiteRT's own, in one headless Chromium, on one thread, in turns.

    python benchmarks/web_peers.py MODEL.tflite... [--rounds 100]

Installs npm's @litertjs/core of `PEER_VERSION` into a temporary folder; nothing of it is kept. LiteRT runs its XNNPACK
with SIMD in the build that it chooses for this browser, without threads. Its JavaScript knows no int8 tensors, though
its WebAssembly does: the script adds the type to its table. Each round gives both the same random input and times some
inferences of one and then of the other, from the input's bytes in place to the output's; both are called as their users
call them. Outputs are compared with TFLite Micro's: ours have to be equal, and how far LiteRT's are off is printed.

Prints a Markdown table and writes benchmarks/results/web_peers.json.
"""

import argparse
import base64
import contextlib
import functools
import http.server
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from chromium import Chromium, find_chromium

from tinyedge.atomic import write_json
from tinyedge.browser.page import page_html
from tinyedge.browser.site import write_site
from tinyedge.browser.wasm import compile_wasm
from tinyedge.browser.web_model import page_program
from tinyedge.errors import ModelError
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.tflite.frames import random_frames
from tinyedge.tflite.reader import read_tflite

PEER, PEER_VERSION = "@litertjs/core", "2.5.3"
RESULTS = Path(__file__).parent / "results" / "web_peers.json"
INPUTS = 20
_SLICE_MS = 8.0
_WARM_UP_RUNS = 100
_TYPES = "var DATATYPES = Object.freeze(["
_INT8 = '{ dtype: "int8", typedArrayConstructor: Int8Array, elementType: ElementType.INT8 },'
_PAGE = """<!DOCTYPE html><meta charset="utf-8"><title>peers</title><link rel="icon" href="data:,">
<script type="importmap">
{"imports": {"@litertjs/wasm-utils": "/node_modules/@litertjs/wasm-utils/dist/index.js"}}
</script>
<script type="module">
import { loadLiteRt, loadAndCompile, Tensor } from "/node_modules/@litertjs/core/dist/index.js";
const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

window.load = async (shape, outputBytes) => {
  window.liteRt ??= loadLiteRt("/node_modules/@litertjs/core/wasm/");
  await window.liteRt;
  const peer = await loadAndCompile("/model.tflite", { accelerator: "wasm", cpuOptions: { numThreads: 1 } });
  const { exports } = (await WebAssembly.instantiate(await bytesOf("/model.wasm"))).instance;
  exports.start();
  window.ours = (input) => {
    new Uint8Array(exports.memory.buffer).set(input, exports.input());
    exports.invoke();
    return new Uint8Array(exports.memory.buffer, exports.output(0), outputBytes);
  };
  window.theirs = async (tensor) => {
    const outputs = await peer.run(tensor);
    const found = outputs[0].toTypedArray();
    for (const output of outputs) output.delete();
    return new Uint8Array(found.buffer);
  };
  window.tensorOf = (input) => new Tensor(new Int8Array(input.buffer, input.byteOffset, input.length), shape);
};
window.outputsOf = async (text, size) => {
  const all = Uint8Array.from(atob(text), (one) => one.charCodeAt(0)), found = [[], []];
  for (let at = 0; at < all.length; at += size) {
    const input = all.slice(at, at + size), tensor = tensorOf(input);
    found[0].push(...ours(input));
    found[1].push(...await theirs(tensor));
    tensor.delete();
  }
  return found;
};
window.time = async (text, runs) => {
  const input = Uint8Array.from(atob(text), (one) => one.charCodeAt(0)), tensor = tensorOf(input), taken = [];
  let start = performance.now();
  for (let run = 0; run < runs; ++run) ours(input);
  taken.push((performance.now() - start) / runs);
  start = performance.now();
  for (let run = 0; run < runs; ++run) await theirs(tensor);
  taken.push((performance.now() - start) / runs);
  tensor.delete();
  return taken;
};
window.loaded = true;
</script>"""


def main() -> None:
    """Parse arguments, measure, print, write."""
    parser = argparse.ArgumentParser(description="Time our WebAssembly beside LiteRT's.")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="tinyedge-peers-") as name:
        folder = Path(name)
        command = ["npm", "install", "--no-audit", "--no-fund", f"{PEER}@{PEER_VERSION}"]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        let_in_int8(folder)
        (folder / "peers.html").write_text(_PAGE)
        with served(folder) as address:
            browser = Chromium(program, folder / "profile")
            rows = [measure(browser, address, folder, model, arguments.rounds) for model in arguments.models]
            version = browser.call("Browser.getVersion")["product"]
            browser.close()
    print(table(rows))
    print(f"\n{version}, {PEER} {PEER_VERSION}, {arguments.rounds} rounds.")
    write_json(RESULTS, {"browser": version, "peer": f"{PEER} {PEER_VERSION}", "rows": rows})


def let_in_int8(folder: Path) -> None:
    """Add int8 to the table of types of LiteRT's JavaScript."""
    script = folder / "node_modules" / PEER / "dist" / "index.js"
    text = script.read_text()
    if text.count(_TYPES) != 1:
        raise SystemExit(f"{PEER} {PEER_VERSION} has no such table of types: {_TYPES}")
    script.write_text(text.replace(_TYPES, f"{_TYPES}\n  {_INT8}"))


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        """Isolate the page, whose clock ticks in 5 us then and not in 100."""
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on the loopback interface."""
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def measure(browser: Chromium, address: str, folder: Path, model: Path, rounds: int) -> dict[str, Any]:
    """Return the row of a model."""
    graph = read_tflite(model)
    wasm = compile_wasm(page_program(graph), None)
    (folder / "model.wasm").write_bytes(wasm)
    (folder / "model.tflite").write_bytes(model.read_bytes())
    inputs = random_frames(graph.inputs, INPUTS, np.random.default_rng(0))
    expected = TflmRuntime(model).run(inputs).reshape(INPUTS, -1)
    browser.call("Page.navigate", url=f"{address}/peers.html")
    while not browser.run("window.loaded === true"):
        pass
    browser.run(f"load({list(graph.inputs[0].shape)}, {graph.outputs[0].bytes})")
    texts = [base64.b64encode(one.tobytes()).decode() for one in inputs]
    whole = base64.b64encode(inputs.tobytes()).decode()
    ours, theirs = (
        np.array(one, np.uint8).view(expected.dtype).reshape(INPUTS, -1)
        for one in browser.run(f"outputsOf('{whole}', {inputs[0].nbytes})")
    )
    np.testing.assert_array_equal(ours, expected)
    browser.run(f"time('{texts[0]}', {_WARM_UP_RUNS})")  # Until the browser has its best code of both.
    once = max(browser.run(f"time('{texts[0]}', 5)"))
    runs = max(int(_SLICE_MS / once), 1)
    taken = np.array([browser.run(f"time('{texts[at % INPUTS]}', {runs})") for at in range(rounds)])
    package = folder / "node_modules" / PEER
    # What LiteRT's page loads: its scripts, the build without threads, and the model.
    needed = [package / "dist/index.js", *(package / "wasm" / f"litert_wasm_internal.{end}" for end in ("js", "wasm"))]
    return {
        "model": model.name,
        "sha256": graph.sha256,
        "ours_ms": {"median": statistics.median(taken[:, 0]), "minimum": taken[:, 0].min()},
        "theirs_ms": {"median": statistics.median(taken[:, 1]), "minimum": taken[:, 1].min()},
        "ratio": {
            "median": statistics.median(taken[:, 0] / taken[:, 1]),
            "of_minima": taken[:, 0].min() / taken[:, 1].min(),
        },
        "their_largest_difference": int(np.abs(theirs.astype(int) - expected.astype(int)).max()),
        "our_bytes": our_bytes(model, wasm),
        "their_bytes": sum(path.stat().st_size for path in [*needed, model]),
    }


def our_bytes(model: Path, wasm: bytes) -> int:
    """Return the size of the page of a model; of one that takes no image, of its WebAssembly in such a page."""
    with tempfile.TemporaryDirectory(prefix="tinyedge-page-") as name:
        try:
            return write_site(model, model.stem, Path(name)).page_bytes
        except ModelError:
            return len(page_html(model.stem, {}, wasm))


def table(rows: list[dict[str, Any]]) -> str:
    """Return Markdown."""
    lines = [
        "| model | tinyedge | LiteRT | time, ours / theirs | page | LiteRT's page | bytes, ours / theirs |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ours, theirs, ratio = (row[name] for name in ("ours_ms", "theirs_ms", "ratio"))
        lines.append(
            f"| `{row['model']}` | {ours['median']:.3f} ms | {theirs['median']:.3f} ms | {ratio['median']:.2f} "
            f"(minima {ratio['of_minima']:.2f}) | {row['our_bytes']:,} | {row['their_bytes']:,} "
            f"| {row['our_bytes'] / row['their_bytes']:.3f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
