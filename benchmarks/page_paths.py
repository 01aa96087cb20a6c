"""A stranger's way to each page, timed: from the command to what the page is for, in a headless Chromium.

    python benchmarks/page_paths.py [MODEL] [--pyodide FOLDER]

A step is a command of the terminal or one act on the page, and lasts until the page has answered. Commands run in
processes of their own, so their time has the start of Python. Without `--pyodide` the page
that checks models is left out.

Prints Markdown and writes benchmarks/results/page_paths.json.
"""

import argparse
import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))

from chromium import Chromium, find_chromium
from loopback import served
from PIL import Image

from tinyedge.atomic import write_json
from tinyedge.manifest.model_path import resolve_model

RESULTS = Path(__file__).parent / "results" / "page_paths.json"
_LONGEST_S = 600.0
_SAID = "$('message').textContent !== ''"


class Way:
    """The way to one page.

    Args:
        page: What the page is.
        folder: Where commands run.
    """

    def __init__(self, page: str, folder: Path):
        self.page = page
        self.steps: list[dict[str, Any]] = []
        self._folder = folder

    def step(self, said: str, act: Callable[[], Any]) -> None:
        """Time an act that returns when it is done."""
        started, before = time.perf_counter(), os.times()
        act()
        seconds, after = time.perf_counter() - started, os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        cpu = used if used > 0 else None  # Only a command is a child that ends.
        print(f"{self.page}: {said}: {seconds:.2f} s", file=sys.stderr, flush=True)
        self.steps.append({"page": self.page, "step": said, "seconds": seconds, "cpu_seconds": cpu})

    def command(self, *arguments: str) -> None:
        """Time a command of tinyedge."""
        shown = " ".join(Path(one).name for one in arguments)
        called = [sys.executable, "-m", "tinyedge", *arguments]
        self.step(
            f"`tinyedge {shown}`", lambda: subprocess.run(called, cwd=self._folder, check=True, capture_output=True)
        )


def wait_for(browser: Chromium, condition: str) -> None:
    """Wait until a page says so."""
    end = time.monotonic() + _LONGEST_S
    while not browser.run(condition):
        if time.monotonic() > end:
            raise SystemExit(f"never: {condition}")
        time.sleep(0.01)


def drop(browser: Chromium, name: str, content: bytes) -> None:
    """Drop a file onto a page."""
    text = base64.b64encode(content).decode()
    browser.run(
        f"""{{
          document.getElementById("message").textContent = "";
          const dataTransfer = new DataTransfer();
          const bytes = Uint8Array.from(atob("{text}"), (one) => one.charCodeAt(0));
          dataTransfer.items.add(new File([bytes], {json.dumps(name)}));
          document.body.dispatchEvent(new DragEvent("drop", {{ dataTransfer, bubbles: true, cancelable: true }}));
        }}"""
    )


def picture() -> bytes:
    """Return a PNG of a photograph's size."""
    pixels = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    made = io.BytesIO()
    Image.fromarray(pixels).save(made, "PNG")
    return made.getvalue()


def to_model_page(browser: Chromium, model: str, folder: Path) -> Way:
    """Run a model, and teach it a class."""
    way = Way("a model", folder)

    def open_page() -> None:
        browser.open(folder / "site" / "index.html")
        browser.run("ready")

    def show() -> None:
        drop(browser, "picture.png", picture())
        wait_for(browser, _SAID)

    def teach() -> None:
        browser.run("addClass('mine')")
        browser.run("addThis(learned[0])")
        wait_for(browser, "model.count(0) === 1")

    way.command("web", model, "--out", "site")
    way.step("open the page", open_page)
    way.step("drop a picture of 640 × 480, see its answer", show)
    if not browser.run("$('teach').hidden"):
        way.step("name a class, add the picture", teach)
        way.step("drop a picture, see the nearest class", show)
    return way


def to_check_page(browser: Chromium, model: str, folder: Path, pyodide: Path) -> Way:
    """Check a model's file."""
    way = Way("the check of any model", folder)
    content = resolve_model(model).read_bytes()

    def check() -> None:
        drop(browser, "model.tflite", content)
        wait_for(browser, "asked === null && !$('report').hidden")

    def open_page() -> None:
        browser.open(f"{address}/index.html")
        wait_for(browser, "isLoaded")

    way.command("web", "--check", "--pyodide", str(pyodide), "--out", "check-site")
    with served(folder / "check-site") as address:
        way.step("open the page, until Python is loaded", open_page)
        way.step("drop a .tflite file, see its report", check)
    return way


def to_report(browser: Chromium, model: str, folder: Path) -> Way:
    """Read about a model."""
    way = Way("a report", folder)
    way.command("report", model, "--out", "report.html")
    way.step("open the page", lambda: browser.open(folder / "report.html"))
    return way


def markdown(report: dict[str, Any]) -> str:
    """Return the Markdown of a report."""
    lines = ["| page | step | seconds | of a processor |", "|---|---|---:|---:|"]
    page = ""
    for step in report["steps"]:
        cpu = "" if step["cpu_seconds"] is None else f"{step['cpu_seconds']:.1f}"
        shown = "" if step["page"] == page else step["page"]
        lines.append(f"| {shown} | {step['step']} | {step['seconds']:.2f} | {cpu} |")
        page = step["page"]
    return "\n".join([*lines, "", f"{report['browser']}, `{report['model']}`."])


def main(arguments: Sequence[str] | None = None) -> None:
    """Go all ways, print, write."""
    parser = argparse.ArgumentParser(description="Time a stranger's way to each page.")
    parser.add_argument("model", nargs="?", default="mobilenetv2_035_cifar10", help="a model of images, as for `web`")
    parser.add_argument("--pyodide", type=Path, help="a release of Pyodide that has NumPy")
    options = parser.parse_args(arguments)
    program = find_chromium()
    if program is None:
        raise SystemExit("no Chromium: apt-get install chromium")
    with tempfile.TemporaryDirectory(prefix="tinyedge-paths-") as name:
        folder = Path(name)
        browser = Chromium(program, folder / "profile")
        version = browser.call("Browser.getVersion")["product"]
        ways = [to_model_page(browser, options.model, folder)]
        if options.pyodide is not None:
            ways.append(to_check_page(browser, options.model, folder, options.pyodide.resolve()))
        ways.append(to_report(browser, options.model, folder))
        browser.close()
    steps = [step for way in ways for step in way.steps]
    report = {"browser": version, "model": options.model, "steps": steps}
    write_json(RESULTS, report)
    print(markdown(report))


if __name__ == "__main__":
    main()
