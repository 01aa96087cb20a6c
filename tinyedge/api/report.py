"""`tinyedge.report`: one self-contained page about a run, an export or a model, or a comparison of several."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tinyedge.announce import silent
from tinyedge.errors import ConfigError
from tinyedge.installation import missing_packages_told
from tinyedge.reports.written import check_page, default_page
from tinyedge.shell import command_line

if TYPE_CHECKING:
    from tinyedge.reports.report import WrittenReport

_MOST_SOURCES = 8


@missing_packages_told()
def report(
    *sources: Path | str,
    out: Path | str | None = None,
    bench: Sequence[Path | str] = (),
    announce: Callable[[str], None] = silent,
) -> "WrittenReport":
    """Write one HTML page, which needs no network, about a run, an export or a model; of several, a comparison.

    Args:
        sources: Run directories, folders of exports, .tflite files, or names of the zoo; at most eight.
        out: The page; None is `NAME-report.html`, or `comparison.html`, in the current folder. A page of tinyedge is
            replaced, any other file is not.
        bench: Files with what `tinyedge bench --json` printed of the models; `bench*.json` in a run is found by itself.
        announce: Called with the name of each step when it begins.

    Raises:
        ConfigError: Nothing or too much is given, the page cannot be written or is somebody else's file, or a benchmark
            is damaged or of another model.
        ModelError: A source is not there, or is no TFLite model.
        CheckpointError: A file of a run is corrupt.
    """
    given = [Path(source) for source in sources]
    if not 1 <= len(given) <= _MOST_SOURCES:
        raise ConfigError(f"a report is about 1 to {_MOST_SOURCES} runs or models, and {len(given)} were given")
    page = default_page(given) if out is None else Path(out)
    check_page(page)
    from tinyedge.benchmark.record import read_bench
    from tinyedge.reports.source import read_source

    benches = [(Path(file), read_bench(Path(file))) for file in bench]
    found = [read_source(source, [one for _, one in benches]) for source in given]
    for file, one in benches:
        if one.model.sha256 not in {source.model_sha256 for source in found}:
            raise ConfigError(
                f"{file} is a benchmark of {one.model.path}, whose SHA-256 is none of these models': run "
                f"`{command_line('tinyedge', 'bench', given[0], '--json')}` again"
            )
    from tinyedge.reports.report import write_report

    options = [word for file, _ in benches for word in ("--bench", str(file))]
    command = command_line("tinyedge", "report", *given, *options, *(() if out is None else ("--out", page)))
    return write_report(found, page, command, announce)
