"""Writes the tables of documentation from benchmarks/results/*.json, so that pages and measurements cannot differ.

    python benchmarks/result_tables.py

A table stands between `<!-- NAME: COMMAND -->` and `<!-- /NAME -->`, where COMMAND measures it anew. Nothing is
measured here, and what nobody measured has no row.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ablation_table
import chromium_tests
import engine_table
import int8_table
import layer_shapes
import quantise_table
import ssl_table
import web_peers
import wild_table

from tinyedge.atomic import write_text

RESULTS = Path(__file__).parent / "results"
DOCS = Path(__file__).resolve().parents[1] / "docs"


def _read(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def whole_way(results: dict[str, Any]) -> str:
    """Return the probes and the deployed classifier of one run as Markdown."""
    lines = ["| | linear probe, 20 % of labels | linear probe, all labels | kNN, all labels |", "|---|---|---|---|"]
    for title, records in (("random weights", results["random"]), ("`s0-plus`, 8 epochs", results["pretrained"])):
        measured = {(record["protocol"], record["label_fraction"]): record for record in records}
        cells = [
            f"{100 * measured[key]['mean']:.1f} ± {100 * measured[key]['sd']:.1f}"
            for key in (("linear", 0.2), ("linear", 1.0), ("knn", 1.0))
        ]
        lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


PAGES: dict[Path, dict[str, Callable[[], str]]] = {
    DOCS / "results.md": {
        "pretraining": lambda: ssl_table.markdown(_read("ssl_table")["cells"]),
        "whole way": lambda: whole_way(_read("cifar10_tinynext_t")),
        "quantisation": lambda: int8_table.markdown(_read("int8_table")["rows"]),
        "engines": lambda: engine_table.board_table(_read("engine_table")["boards"]),
    },
    DOCS / "cycles.md": {"engines": lambda: engine_table.cycles_table(_read("engine_table")["boards"])},
    DOCS / "engine.md": {"layer shapes": lambda: layer_shapes.markdown(_read("layer_shapes")["shapes"])},
    DOCS / "recipe.md": {"ablation": lambda: ablation_table.markdown(_read("ablation_table"))},
    DOCS / "quantisation.md": {"networks": lambda: quantise_table.markdown(_read("quantise")["rows"])},
    DOCS / "web.md": {
        "peers": lambda: web_peers.table(_read("web_peers")["rows"]),
        "chromium": lambda: chromium_tests.markdown(_read("chromium_tests")),
    },
    DOCS / "wild.md": {"wild": lambda: wild_table.markdown(_read("wild_table"))},
}
"""The pages with tables, and how each table is made."""


def with_tables(page: str, tables: Mapping[str, Callable[[], str]]) -> str:
    """Return the text of a page with every table as the results have it."""
    for name, table in tables.items():
        before, rest = page.split(f"<!-- {name}: ", 1)
        command, rest = rest.split(" -->\n", 1)
        _, after = rest.split(f"<!-- /{name} -->", 1)
        page = f"{before}<!-- {name}: {command} -->\n{table().strip()}\n<!-- /{name} -->{after}"
    return page


def main() -> None:
    """Write the pages."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    for page, tables in PAGES.items():
        write_text(page, with_tables(page.read_text(encoding="utf-8"), tables))
        print(f"wrote {page}")


if __name__ == "__main__":
    main()
