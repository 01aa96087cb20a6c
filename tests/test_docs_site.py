"""The site of `make docs`: every page is in its navigation, and every link of every page leads somewhere."""

import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest
from chromium import Chromium, find_chromium

from tinyedge.zoo import zoo_names

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def docs_site(tool_script: Callable[[str], ModuleType]) -> ModuleType:
    return tool_script("docs_site")


def test_the_navigation_has_every_page_once(docs_site: ModuleType) -> None:
    named = docs_site.navigation()
    assert len(named) == len(set(named))
    assert set(named) == set(docs_site.site_pages())


def test_the_contents_of_the_folder_have_every_page_too(docs_site: ModuleType) -> None:
    linked = docs_site.links_of((ROOT / "docs" / "README.md").read_text("utf-8"))
    assert sorted(linked) == sorted({path.name for path in (ROOT / "docs").glob("*.md")} - {"README.md"})


def test_every_link_leads_to_a_page_or_a_file(docs_site: ModuleType, tmp_path: Path) -> None:
    pages = docs_site.site_pages()
    docs_site.write_site(tmp_path)
    dead = []
    for page, text in pages.items():
        for target in docs_site.links_of(text):
            path, _, anchor = target.partition("#")
            if target.startswith(docs_site.REPOSITORY):
                found = (ROOT / path.removeprefix(docs_site.REPOSITORY)).exists()
            elif re.match(r"[a-z]+:", target):
                continue  # Somebody else's.
            else:
                found = (tmp_path / "source" / (path or page)).is_file()
                found = found and (not anchor or anchor in anchors(pages[path or page]))
            if not found:
                dead.append(f"{page}: {target}")
    assert not dead


def anchors(text: str) -> set[str]:
    """As GitHub and Python-Markdown both make them of headings."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_links_become_those_of_the_site_and_code_stays(docs_site: ModuleType) -> None:
    text = "[a](b.md#c) [`d`](../e/f.c) ![g](h.svg) `[i](b.md)` [j](#k) [l](https://m)\n\n    [n](b.md)\n\n[o](b.md)\n"
    assert docs_site.site_text("docs/x.md", text, {"docs/b.md": "q.md"}) == (
        f"[a](q.md#c) [`d`]({docs_site.REPOSITORY}e/f.c) ![g](h.svg) `[i](b.md)` [j](#k) [l](https://m)\n\n"
        "    [n](b.md)\n\n[o](q.md)\n"
    )


def test_the_charts_hold_every_value_inside_their_frames(docs_site: ModuleType) -> None:
    page = docs_site.benchmarks_page()
    charts = re.findall(r"<svg.*?</svg>", page)
    assert len(charts) == page.count("\n## ")
    for drawn in charts:
        svg = ElementTree.fromstring(drawn)
        width, height = map(float, svg.attrib["viewBox"].split()[2:])
        bars = [part.attrib for part in svg if part.tag.endswith("rect")]
        assert bars
        assert all(float(bar["x"]) + float(bar["width"]) <= width for bar in bars)
        assert all(float(bar["y"]) + float(bar["height"]) <= height for bar in bars)


def test_the_reference_has_all_that_the_package_offers(docs_site: ModuleType) -> None:
    import tinyedge

    page = docs_site.reference_page()
    assert set(re.findall(r"heading: tinyedge\.(\w+)", page)) == set(tinyedge.__all__) - {"__version__"}
    for path in re.findall(r"^::: (.*)$", page, re.MULTILINE):
        assert (ROOT / Path(*path.split(".")[:-1]).with_suffix(".py")).is_file(), path


def test_the_demo_has_the_zoo_and_make_writes_its_pages(docs_site: ModuleType, tmp_path: Path) -> None:
    linked = re.findall(r'href="demo/(\w+)/index\.html"', docs_site.demo_page())
    assert linked == sorted(zoo_names())
    # What make would run, with a tinyedge that only notes what it is asked.
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    noted = tmp_path / "noted"
    (bin_folder / "tinyedge").write_text(f'#!/bin/sh\necho "$@" >> {noted}\n')
    (bin_folder / "tinyedge").chmod(0o755)
    recipe = subprocess.run(
        ["make", "-n", "-o", "build/docs_venv/.installed", "docs", f"BIN={bin_folder}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (loop,) = re.findall(r"^set -e; for model in .*?done$", recipe, re.MULTILINE | re.DOTALL)
    subprocess.run(["sh", "-c", loop], cwd=ROOT, check=True)
    assert noted.read_text().splitlines() == [f"web {name} --out build/docs/site/demo/{name} --json" for name in linked]


def test_a_worker_runs_in_a_page_from_a_folder(tmp_path: Path) -> None:
    program = find_chromium()
    if program is None:
        pytest.skip("Chromium is not installed")
    polyfills = tomllib.loads((ROOT / "docs" / "zensical.toml").read_text())["project"]["extra"]["polyfills"]
    # The offline plugin adds one of that name from a server where there is none.
    (script,) = (one["path"] for one in polyfills if "iframe-worker" in one["path"])
    shutil.copy(ROOT / "docs" / script, tmp_path)
    (tmp_path / "worker.js").write_text("self.onmessage = (event) => self.postMessage(2 * event.data);\n")
    (tmp_path / "page.html").write_text(
        f'<!doctype html><script src="{script}"></script><body><script>window.heard = [];'
        'const worker = new Worker("worker.js"); worker.onmessage = (event) => heard.push(event.data);'
        "worker.postMessage(1); worker.postMessage(21);</script></body>"
    )
    browser = Chromium(program, tmp_path / "profile")
    try:
        browser.open(tmp_path / "page.html")
        limit_s = time.monotonic() + 20
        while browser.run("heard.length") < 2 and time.monotonic() < limit_s:
            time.sleep(0.05)
        assert browser.run("heard.join()") == "2,42"
        assert browser.complaints() == []
    finally:
        browser.close()
