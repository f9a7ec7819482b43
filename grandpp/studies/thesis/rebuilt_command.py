"""Rebuild the command of a table from its records."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from grandpp.data import DATASETS
from grandpp.studies.low_label.zoo import MODELS
from grandpp.studies.thesis.layouts import TableLayout
from grandpp.studies.thesis.printed import ModelVariant
from grandpp.studies.thesis.table_runs import TableRequest, cell_run
from grandpp.training.records import Record

FOLDER = Path("results")
"""Default folder of a reproduction."""

_Cell = tuple[str, int, float | None, ModelVariant]


def rebuild_command(
    layout: TableLayout, protocol: str, records: Sequence[Record], folder: Path = FOLDER
) -> tuple[str, list[str]]:
    """Return the shortest command for these runs, and remarks on what it would not reproduce.

    Args:
        layout: The table.
        protocol: That of every record.
        records: Records, one configuration in each cell.
        folder: Where they are. (default: ``FOLDER``)

    Returns:
        The command, and remarks: on runs of the command that are not there yet, and on settings
        that are not those of this version.
    """
    hashes = {_cell(layout, r): r["config_hash"] for r in records}
    epochs, changed = _epochs(records, hashes, protocol)
    request = TableRequest(
        layout,
        _known_first({c[0] for c in hashes}, DATASETS),
        [ModelVariant(m) for m in _known_first({c[3].model for c in hashes}, MODELS)],
        splits=max(r["split"] for r in records) + 1,
        seeds=max(r["seed"] for r in records) + 1,
        protocol=protocol,
        epochs=epochs,
    )
    remarks = []
    if changed:
        remarks.append(f"Other settings than this version's: {', '.join(changed)}.")
    missing = _wanted(request, hashes) - {
        (*_cell(layout, r), r["split"], r["seed"]) for r in records
    }
    if missing:
        remarks.append(f"Unfinished: {len(missing)} runs of this command are not there yet.")
    usual = folder.resolve() == FOLDER.resolve()
    place = [] if usual else ["--results", str(folder)]
    options = [*_options(request, hashes), *place]
    return shlex.join(["python", "scripts/reproduce.py", *options]), remarks


def _cell(layout: TableLayout, record: Record) -> _Cell:
    depth, variant = layout.depth_of(record), layout.variant_of(record)
    return record["dataset"], record["labels_per_class"], depth, variant


def _options(request: TableRequest, cells: Mapping[_Cell, str]) -> list[str]:
    layout = request.layout
    options = ["--table", layout.table, "--datasets", *request.datasets]
    models = [variant.model for variant in request.variants]
    if set(models) != set(layout.models or (variant.model for variant in layout.variants)):
        options += ["--models", *models]
    labels, depths = _columns(cells)
    if layout.axis == "labels" and labels != layout.labels:
        options += ["--labels", *map(str, labels)]
    if layout.axis == "depth" and not _has_usual_depths(request, cells):
        options += ["--depths", *(f"{depth:g}" for depth in depths)]
    options += ["--splits", str(request.splits)]
    given = {"--seeds": (request.seeds, 1), "--protocol": (request.protocol, "grand"),
             "--epochs": (request.epochs, None)}  # fmt: skip
    return options + [
        part for name, (own, usual) in given.items() if own != usual for part in (name, str(own))
    ]


def _columns(cells: Mapping[_Cell, str]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    labels, depths = {cell[1] for cell in cells}, {cell[2] for cell in cells}
    return tuple(sorted(labels)), tuple(sorted(d for d in depths if d is not None))


def _has_usual_depths(request: TableRequest, cells: Mapping[_Cell, str]) -> bool:
    usual = {
        depth
        for dataset in request.datasets
        for variant in request.variants
        for depth in request.layout.depths(dataset, variant)
    }
    return usual == {cell[2] for cell in cells}


def _wanted(
    request: TableRequest, cells: Mapping[_Cell, str]
) -> set[tuple[str, int, float | None, ModelVariant, int, int]]:
    """All runs of the command, whatever their settings."""
    layout = request.layout
    labels, depths = _columns(cells)
    usual = layout.axis == "labels" or _has_usual_depths(request, cells)
    return {
        (dataset, k, depth, variant, split, seed)
        for dataset in request.datasets
        for k in labels
        for variant in dict.fromkeys(cell[3] for cell in cells)
        for depth in (layout.depths(dataset, variant) if usual else depths)
        for split in range(request.splits)
        for seed in range(request.seeds)
    }


def _epochs(
    records: Sequence[Record], hashes: Mapping[_Cell, str], protocol: str
) -> tuple[int | None, list[str]]:
    """The epochs that were asked for, if any, and the rows whose settings have changed since."""
    chosen = {r.get("config", {}).get("epochs") for r in records} - {None, 0}
    changed = _changed(hashes, protocol, None)
    if changed and len(chosen) == 1:
        (epochs,) = chosen
        under = _changed(hashes, protocol, epochs)
        if len(under) < len(changed):
            return epochs, under
    return None, changed


def _changed(hashes: Mapping[_Cell, str], protocol: str, epochs: int | None) -> list[str]:
    return sorted({
        f"{variant.name} on {dataset}"
        for (dataset, labels, depth, variant), found in hashes.items()
        if _present_hash(dataset, labels, depth, variant, protocol, epochs) != found
    })  # fmt: skip


def _present_hash(
    dataset: str,
    labels: int,
    depth: float | None,
    variant: ModelVariant,
    protocol: str,
    epochs: int | None,
) -> str | None:
    """The hash that this version gives a cell; ``None`` where it cannot run it."""
    try:
        run = cell_run(variant, dataset, labels, depth, protocol=protocol, epochs=epochs)
    except (ValueError, TypeError, KeyError):
        return None
    return run.config_hash


def _known_first(names: set[str], order: Sequence[str]) -> list[str]:
    return sorted(names, key=lambda n: (order.index(n) if n in order else len(order), n))
