"""The model's page against an emulated board, whose serial line a bridge on the loopback interface carries.

WebSerial asks a person which port it may use, which a headless browser cannot; `navigator.serial` is a stand-in whose
port reads and writes by that bridge.
"""

import functools
import http.server
import threading

import numpy as np
import pytest
from browser.page_models import HEIGHT, WIDTH, image_model, write_export
from chromium import Chromium, find_chromium

import tinyedge
from tinyedge.boards.board import load_board
from tinyedge.devices.emulator import Emulator
from tinyedge.errors import LineLost, ToolMissing
from tinyedge.learning.nearest_mean import NearestMean
from tinyedge.runtimes.tflm import TflmRuntime
from tinyedge.toolchain import find_build_tools, find_tool

BOARD = "mps2_an386"
CLASSES = 2
STAND_IN = """
const port = {
  refuses: "",
  async open({ baudRate }) {
    if (baudRate !== 115200) throw new Error(`not ${baudRate}`);
    if (this.refuses !== "") throw new DOMException(this.refuses, "NetworkError");
    this.readable = new ReadableStream({
      async pull(controller) {
        const answer = await fetch("/line");
        if (answer.ok) controller.enqueue(new Uint8Array(await answer.arrayBuffer()));
        else controller.error(new DOMException("The device has been lost.", "NetworkError"));
      },
    }, { highWaterMark: 0 });
    this.writable = new WritableStream({
      async write(body) {
        if (!(await fetch("/line", { method: "POST", body })).ok) throw new DOMException("lost", "NetworkError");
      },
    });
  },
  async close() {},
};
const serial = { chosen: port, async requestPort() {
  if (this.chosen === null) throw new DOMException("No port selected by the user.", "NotFoundError");
  return this.chosen;
} };
Object.defineProperty(navigator, "serial", { value: serial });
"""


class Bridge(http.server.SimpleHTTPRequestHandler):
    """Gives out a folder, and at /line what comes from `stream`; 410 once that is None."""

    stream = None

    def do_GET(self) -> None:
        if self.path != "/line":
            super().do_GET()
            return
        found = b""
        while self.stream is not None and not found:
            try:
                found = self.stream.read(0.05)
            except LineLost:
                break
        self._answer(found)

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.stream is not None:
            self.stream.write(data)
        self._answer(b"")

    def _answer(self, content: bytes) -> None:
        self.send_response(410 if self.stream is None else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format, *arguments) -> None:
        pass


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A classifier with its page in site/, and an image of it that learns in image/."""
    if find_chromium() is None:
        pytest.skip("apt-get install chromium")
    try:
        find_build_tools()
        for name in ("qemu-system-arm", "clang", "wasm-ld"):
            find_tool(name)
    except ToolMissing as error:
        pytest.skip(str(error))
    root = tmp_path_factory.mktemp("board")
    write_export(root / "site" / "run" / "export", ("no", "yes"))
    tinyedge.web(root / "site" / "run", root / "site")
    tinyedge.build(root / "site" / "run", board=BOARD, out=root / "image", enroll=CLASSES)
    return root


@pytest.fixture
def chromium(tmp_path):
    browser = Chromium(find_chromium(), tmp_path / "profile")
    browser.call("Page.setBypassCSP", enabled=True)  # The stand-in fetches; a real port is no request.
    browser.call("Page.addScriptToEvaluateOnNewDocument", source=STAND_IN)
    yield browser
    browser.close()


def said_of_board(chromium: Chromium, work: str) -> str:
    """Do something with the board; returns what the page says then."""
    chromium.run(f"(async () => {{ await ready; await ({work}); }})()")
    return chromium.run("$('board-message').textContent")


def test_a_board_runs_and_learns_what_the_page_does_and_may_vanish(root, chromium):
    pictures = np.random.default_rng(4).integers(-128, 128, (4, HEIGHT, WIDTH, 3), np.int8)
    encoder = root / "encoder.tflite"
    encoder.write_bytes(image_model(0))
    embeddings = TflmRuntime(encoder).run(pictures)
    host = NearestMean(CLASSES, 5)  # The embedding's zero point.
    handler = type("Line", (Bridge,), {})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    elf = next((root / "image").glob("*.elf"))

    def show(number: int) -> None:
        values = ",".join(map(str, pictures[number].ravel()))
        chromium.run(f"input = new Int8Array([{values}]); ask()")

    with Emulator(elf, load_board(BOARD)) as emulator:
        handler.stream = emulator.stream
        chromium.open(f"{address}/site/index.html")
        assert said_of_board(chromium, "(navigator.serial.chosen = null, connectBoard())") == "No port was chosen."
        said = said_of_board(
            chromium, "(navigator.serial.chosen = port, port.refuses = 'Failed to open serial port.', connectBoard())"
        )
        assert said.startswith("The port cannot be opened (Failed to open serial port.): close the program")
        assert said_of_board(chromium, "(port.refuses = '', connectBoard())") == "The board runs this model."
        facts = chromium.run("$('board-facts').textContent")
        assert f"{BOARD} (cortex-m4)" in facts
        assert f"room for {CLASSES}" in facts
        assert said_of_board(chromium, "runOnBoard()").startswith("There is no picture yet")
        show(0)
        same = f"The board gives the same {embeddings.shape[1]} bytes as this page."
        assert said_of_board(chromium, "runOnBoard()") == same
        for number, which in ((0, 0), (1, 1), (2, 1)):
            show(number)
            host.enroll(which, embeddings[number])
            said = said_of_board(chromium, f"teachBoard({which})")
            assert said == f"The board's class {which} has {number or 1} picture{'s' if number == 2 else ''}."
        assert chromium.run("board.classes") == [1, 2]
        show(3)
        nearest, distance = host.classify(embeddings[3])
        cosine = f"{1 - distance / 2**24:.3f}"
        assert said_of_board(chromium, "classifyOnBoard()") == f"The board says class {nearest}, cosine {cosine}."
        said_of_board(chromium, "forgetOnBoard(1)")
        assert chromium.run("board.classes") == [1, 0]
        assert "answers “te enroll 9” with e-[" in said_of_board(chromium, "teachBoard(9)")
        chromium.run("addClass('mug'); addThis(learned[0])")
        handler.stream = None
        assert said_of_board(chromium, "runOnBoard()").startswith("The board has gone: its port vanished.")
        assert chromium.run("[$('connect').textContent, board, model.count(0)]") == ["Connect a board", None, 1]
        handler.stream = emulator.stream
        assert said_of_board(chromium, "connectBoard()") == "The board runs this model."
        assert chromium.run("board.classes") == [1, 0]
        said_of_board(chromium, "connectBoard()")
        assert chromium.run("board") is None
        chromium.run("about.sha256 = '0'.repeat(64)")
        assert "The board runs another model" in said_of_board(chromium, "connectBoard()")
        assert chromium.run("$('board-run').disabled && $('board-learning').hidden")
    handler.stream = None
    server.shutdown()
    server.server_close()
