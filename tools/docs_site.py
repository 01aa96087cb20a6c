"""Writes what the documentation's site is built from: `python tools/docs_site.py build/docs`, then zensical.

The pages are docs/*.md as GitHub shows them, the README and its neighbours, charts of benchmarks/results/*.json, the
zoo's models that run in a browser, and a reference of what `import tinyedge` has. Links from one page to another are
those of the site; links to other files of the repository lead to GitHub. Needs the standard library alone.
"""

import ast
import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from html import escape
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
REPOSITORY = "https://github.com/tinyedge-mcu/tinyedge/blob/main/"

# Pages of the site that lie elsewhere in the repository; docs/README.md is what the navigation is.
ELSEWHERE = {
    "README.md": "index.md",
    "docs/README.md": "index.md",
    "models/README.md": "zoo.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
GENERATED = ("benchmarks.md", "demo.md", "reference.md")
# Code in fences and indented, then [text](target) and ![text](target), then code in a line: the first that fits.
_LINK_OR_CODE = re.compile(
    r"^```[\s\S]*?^```$|^    .*$|(?P<head>!?\[[^\]\n]*(?:\n[^\]\n]*)?\]\()(?P<target>[^)\s]+)\)|`[^`\n]+`", re.MULTILINE
)


def main() -> None:
    """Write the sources into the folder that is named."""
    out = Path(sys.argv[1])
    count = write_site(out)
    print(f"{count} pages in {out / 'source'}")


def write_site(out: Path) -> int:
    """Write the configuration and the pages, over what is there; return how many pages."""
    source = out / "source"
    if source.exists():
        shutil.rmtree(source)
    source.mkdir(parents=True)
    shutil.copy(ROOT / "docs" / "zensical.toml", out / "zensical.toml")
    for pattern in ("*.svg", "*.js"):
        for file in (ROOT / "docs").glob(pattern):
            shutil.copy(file, source)
    pages = site_pages()
    for name, text in pages.items():
        (source / name).write_text(text, encoding="utf-8")
    return len(pages)


def site_pages() -> dict[str, str]:
    """Every page of the site: its Markdown by its name."""
    places = {f"docs/{path.name}": path.name for path in sorted((ROOT / "docs").glob("*.md"))} | ELSEWHERE
    own = {page: place for place, page in places.items() if place != "docs/README.md"}
    pages = {page: site_text(place, (ROOT / place).read_text("utf-8"), places) for page, place in own.items()}
    return pages | {"benchmarks.md": benchmarks_page(), "demo.md": demo_page(), "reference.md": reference_page()}


def navigation(config: Path = ROOT / "docs" / "zensical.toml") -> list[str]:
    """The pages that the site's navigation names, in its order."""

    def names(entry: Any) -> Iterator[str]:
        if isinstance(entry, str):
            yield entry
        else:
            for part in entry.values() if isinstance(entry, dict) else entry:
                yield from names(part)

    return list(names(tomllib.loads(config.read_text("utf-8"))["project"]["nav"]))


def site_text(place: str, text: str, places: dict[str, str]) -> str:
    """A page with its links as the site has them.

    Args:
        place: Where it is in the repository.
        text: Its Markdown.
        places: The names of all pages by where they are.
    """

    def link(found: re.Match[str]) -> str:
        head, whole = found["head"], found["target"]
        if head is None or whole.startswith("#") or re.match(r"[a-z]+:", whole):
            return found[0]
        target, hash_, anchor = whole.partition("#")
        path = _normal(PurePosixPath(place).parent / target)
        if path in places:
            return f"{head}{places[path]}{hash_}{anchor})"
        if head.startswith("!"):
            return f"{head}{PurePosixPath(path).name})"
        return f"{head}{REPOSITORY}{path}{hash_}{anchor})"

    return _LINK_OR_CODE.sub(link, text)


def links_of(text: str) -> list[str]:
    """The targets of the links of a page."""
    return [found["target"] for found in _LINK_OR_CODE.finditer(text) if found["target"] is not None]


def _normal(path: PurePosixPath) -> str:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return "/".join(parts)


def reference_page() -> str:
    """What `import tinyedge` has, for mkdocstrings to fill in."""
    tree = ast.parse((ROOT / "tinyedge" / "__init__.py").read_text("utf-8"))
    homes = {
        alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("tinyedge.")
        for alias in node.names
    }
    del homes["__version__"]
    functions = [name for name in homes if homes[name].startswith("tinyedge.api.")]
    rest = [name for name in homes if name not in functions]
    heading = "    options:\n      heading: tinyedge.{0}\n      toc_label: {0}\n"
    parts = [
        "# Functions and classes\n",
        "All that `import tinyedge` has; [every command as a function](python.md) shows them at work.\n",
        *(f"::: {homes[name]}\n{heading.format(name)}" for name in (*functions, *rest)),
    ]
    return "\n".join(parts)


def demo_page() -> str:
    """The zoo's models, each with the page that `make docs` lets `tinyedge web` write beside this one."""
    models = sorted(path.parent.name for path in (ROOT / "models").glob("*/export.json"))
    rows = (f'<li><a href="demo/{escape(name)}/index.html">{escape(name)}</a></li>' for name in models)
    parts = [
        "# In your browser\n",
        "Models of [the zoo](zoo.md), as the C that runs on a microcontroller: show one a picture or the camera, teach "
        "it classes of your own, or connect a board. What you show stays on your machine; [how it works](web.md).\n",
        f"<ul>\n{chr(10).join(rows)}\n</ul>\n",
    ]
    return "\n".join(parts)


def benchmarks_page() -> str:
    """Charts of what was measured."""
    parts = [
        "# Charts\n",
        "Drawn from `benchmarks/results/*.json`; [results](results.md) has the tables, and above each the command that "
        "measures it anew. Instructions are executed ones of an emulated board, not cycles; cycles are "
        "[modelled](cycles.md).\n",
        *(f"## {title}\n\n{note}\n\n{chart(title, *rows())}\n" for title, note, rows in _CHARTS),
    ]
    return "\n".join(parts)


Rows = tuple[str, Sequence[tuple[str, str, float]]]


def _engine() -> Rows:
    rows = []
    for one in _load("engine_table")["boards"]:
        if one["board"] == "mps2_an386" and one["optimize"] == "balanced" and one["peers"]:
            rows.append((one["model"], "tinyedge", one["instructions"] / 1e6))
            rows += [(one["model"], name, peer["instructions"] / 1e6) for name, peer in one["peers"].items()]
    return "M instructions", rows


def _cycles() -> Rows:
    rows = [
        (one["model"], one["optimize"], one["modelled"]["cycles"] / 1e6)
        for one in _load("engine_table")["boards"]
        if one["board"] == "nucleo_l4r5zi"
    ]
    return "M cycles", sorted(rows, key=lambda row: row[0])


def _methods() -> Rows:
    rows = [
        (cell["row"], "20 % of the labels", 100 * probe["mean"])
        for cell in _load("ssl_table")["cells"]
        if cell["dataset"] == "cifar10"
        for probe in cell["probes"]
        if probe["protocol"] == "linear" and probe["label_fraction"] == 0.2
    ]
    return "% top-1", sorted(rows, key=lambda row: -row[2])


def _int8() -> Rows:
    rows: list[tuple[str, str, float]] = []
    for one in _load("int8_table")["rows"]:
        if one["way"] == "plain":
            rows.append((one["run"], "float", one["float_top1"]))
        rows.append((one["run"], one["way"], one["top1"]))
    return "% top-1", rows


def _throughput() -> Rows:
    results = _load("train_throughput")["results"]
    rows = [(name, results[name]["images_per_s_median"]) for name in ("tinyedge", "lightly")]
    return "images/s", [("SimCLR, TinyNeXt-T", name, speed) for name, speed in rows]


_CHARTS: tuple[tuple[str, str, Callable[[], Rows]], ...] = (
    (
        "One inference on a Cortex-M4, instructions",
        "Emulated MPS2 AN386, beside TFLite Micro with CMSIS-NN and TinyEngine on the same models.",
        _engine,
    ),
    (
        "One inference on an STM32L4R5, modelled cycles",
        "With its flash of 5 wait states; `speed` takes more flash and up to a quarter more RAM.",
        _cycles,
    ),
    ("Pretraining methods on CIFAR-10 (JPEG)", "A linear probe on the frozen encoder.", _methods),
    ("Float and INT8", "The zoo's models on the 10,000 test images, by how they were quantised.", _int8),
    ("Training speed", "Two CPU threads, 256 images a step, the same machine in turns.", _throughput),
)


def _load(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text("utf-8"))


def chart(title: str, unit: str, rows: Sequence[tuple[str, str, float]]) -> str:
    """Horizontal bars in groups, as SVG in the page's own colours.

    Args:
        title: For those who do not see it.
        unit: Of the values.
        rows: Group, series and value of each bar; those of a group beside each other.
    """
    width, left, bar, gap = 760, 250, 16, 10
    highest = max(value for _, _, value in rows)
    series = list(dict.fromkeys(name for _, name, _ in rows))
    body, y, group = [], 4, None
    for name, of, value in rows:
        if name != group:
            y += gap if group is not None else 0
            body.append(f'<text x="{left - 8}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
            group = name
        length = round((width - left - 260) * value / highest, 1)
        opacity = round(1 - 0.65 * series.index(of) / max(len(series) - 1, 1), 2)
        body.append(f'<rect x="{left}" y="{y}" width="{length}" height="{bar - 3}" rx="2" opacity="{opacity}"/>')
        label = escape(f"{value:,.1f} {unit}" if len(series) == 1 else f"{value:,.1f} {unit}, {of}")
        body.append(f'<text x="{left + length + 6}" y="{y + 11}">{label}</text>')
        y += bar
    style = "width:100%;height:auto;font:12px sans-serif;fill:currentColor"
    return (
        f'<svg viewBox="0 0 {width} {y + 6}" role="img" aria-label="{escape(title)}" style="{style}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(body)}</svg>'
    )


if __name__ == "__main__":
    main()
