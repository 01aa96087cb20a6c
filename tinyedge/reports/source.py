"""What a user asks a report of, a run, an export or a file, and all that was written down about it.

Nothing is computed here, and nothing heavy imported: a mistake is answered at once.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinyedge.benchmark.record import BenchRecord, BenchReport, ModelRecord, read_bench
from tinyedge.errors import CheckpointError, ExportOutdated, ModelError
from tinyedge.evaluation.probe_records import PROBE_FILE, read_probe_records
from tinyedge.manifest.beside import export_of
from tinyedge.manifest.manifest import EXPORT_FOLDER, MANIFEST_FILE, ExportManifest, record_file
from tinyedge.manifest.model_path import resolve_model
from tinyedge.manifest.quantised import QuantisedManifest, is_of_quantise, read_quantised_manifest
from tinyedge.reports.gallery import Gallery, read_gallery
from tinyedge.training.metrics import read_metrics
from tinyedge.training.run import CONFIG_FILE, GALLERY_FILE, METRICS_FILE
from tinyedge.zoo import locate

_log = logging.getLogger(__name__)

_PARITY_FILE = "parity.json"
_PUBLISHED_FILE = "metrics.json"  # of a model of the zoo
_PUBLISHED = {"published": _PUBLISHED_FILE}
_BENCHES = "bench*.json"


@dataclass(frozen=True, eq=False)
class Source:
    """Everything that was written down about one thing that a report is about.

    Attributes:
        given: As the user named it.
        name: What the report calls it.
        model: The quantised file; None of a run that is not exported.
        model_sha256: Of that file; "" without one.
        run: The run's folder; None where there is none.
        export: The manifest of an export.
        quantised: The manifest of `tinyedge quantise`.
        parity: `parity.json`, or the same of `tinyedge quantise`; {} where there is none.
        config: Of the run, its keys as in the file.
        log: Of its training, a record a line.
        probes: Of its encoder.
        gallery: Of its last linear probe.
        benches: Of this very model, those that were given first.
    """

    given: Path
    name: str
    model: Path | None
    model_sha256: str
    run: Path | None
    export: ExportManifest | None
    quantised: QuantisedManifest | None
    parity: dict[str, Any]
    config: dict[str, Any]
    log: tuple[dict[str, Any], ...]
    probes: tuple[dict[str, Any], ...]
    gallery: Gallery | None
    benches: tuple[BenchReport, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes' names by index of the output; empty where they are not known."""
        manifest = self.export or self.quantised
        return manifest.classes if manifest is not None else ()

    @property
    def versions(self) -> dict[str, str]:
        """Of the packages that made the model."""
        manifest = self.export or self.quantised
        return manifest.versions if manifest is not None else {}


def read_source(given: Path, benches: Sequence[BenchReport] = ()) -> Source:
    """Read what there is about a run, an export's folder, a .tflite file, or a model of the zoo.

    Args:
        given: As the user named it.
        benches: Those of this very model are taken.

    Raises:
        ModelError: There is no such thing, or its export is damaged.
        CheckpointError: A file of the run is corrupt.
    """
    place = locate(given)
    run = place if place.is_dir() and (place / CONFIG_FILE).is_file() else None
    exported = any((folder / MANIFEST_FILE).is_file() for folder in (place / EXPORT_FOLDER, place))
    try:
        model = None if run is not None and not exported else resolve_model(given)
    except ExportOutdated as error:
        _log.warning("%s; the report leaves the export out", error)
        model = None
    sha256 = record_file(model).sha256 if model is not None else ""
    export = export_of(model) if model is not None else None
    quantised = read_quantised_manifest(model) if model is not None and is_of_quantise(model) else None
    parity: dict[str, Any] = {}
    if export is not None and model is not None:
        parity = _read_object(model.parent / _PARITY_FILE) or export.parity
    elif quantised is not None:
        parity = quantised.parity
    folders = dict.fromkeys((run, model.parent if model is not None and place.is_dir() else None))
    near = [read_bench(file) for folder in folders if folder is not None for file in sorted(folder.glob(_BENCHES))]
    published = _published_bench(run, sha256) if run is not None and sha256 else None
    return Source(
        given=given,
        name=place.name if place.suffix == ".tflite" else place.resolve().name,
        model=model,
        model_sha256=sha256,
        run=run,
        export=export,
        quantised=quantised,
        parity=parity,
        config=_read_config(run / CONFIG_FILE) if run is not None else {},
        log=tuple(_read_log(run / METRICS_FILE)) if run is not None else (),
        probes=tuple(read_probe_records(run / PROBE_FILE)) if run is not None else (),
        gallery=read_gallery(run / GALLERY_FILE) if run is not None else None,
        benches=tuple(bench for bench in (*benches, *near, *_one(published)) if bench.model.sha256 == sha256),
    )


def _one(bench: BenchReport | None) -> tuple[BenchReport, ...]:
    return () if bench is None else (bench,)


def _read_object(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} cannot be read ({error}): export again, or move it away") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is no JSON object: export again, or move it away")
    return content


def _read_config(path: Path) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} cannot be read ({reason}): give a run of `tinyedge train`") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} is no configuration: give a run of `tinyedge train`")
    return content


def _read_log(path: Path) -> list[dict[str, Any]]:
    try:
        records = read_metrics(path)
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}): move it away") from error
    return [record for record in records if isinstance(record, dict) and isinstance(record.get("step"), int | float)]


def _published_bench(run: Path, sha256: str) -> BenchReport | None:
    """Return the emulated benchmark that a model of the zoo was published with, if the model is still that."""
    content = _read_object(run / _PUBLISHED_FILE)
    try:
        if sha256 not in content["sha256"].values():
            return None
        model = ModelRecord(path=run.name, sha256=sha256, **content["model"])
        return BenchReport(model, tuple(BenchRecord.from_json(record) for record in content["emulator"]), _PUBLISHED)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # A file of that name is anybody's.
