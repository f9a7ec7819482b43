"""The command that trains the same models at growing depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grandpp.studies.low_label.depth_report import draw_depth, summarise, table
from grandpp.studies.low_label.options import DATASET_HELP, FirstSplitOptions, load_graphs
from grandpp.studies.low_label.plan import plan_runs, sort_records
from grandpp.studies.low_label.zoo import FAMILIES, ZOO
from grandpp.training.command import Command, Console, resolve_device
from grandpp.training.figures import check_picture
from grandpp.training.loggers import LogOptions
from grandpp.training.options import (
    DataOptions,
    DeviceOptions,
    RecordOptions,
    ReportOptions,
    option,
    options_of,
    positive_int,
)
from grandpp.training.pools import WorkerOptions
from grandpp.training.records import Record
from grandpp.training.sweep import run_sweep
from grandpp.training.table_cells import cell_title


@dataclass(frozen=True, kw_only=True)
class DepthOptions(
    ReportOptions,
    RecordOptions,
    DeviceOptions,
    DataOptions,
    WorkerOptions,
    LogOptions,
    FirstSplitOptions,
):
    """Options of the command."""

    splits: int = 1
    dataset: str | None = option(
        f"one {DATASET_HELP}",
        default=None,
        metavar="NAME",
        shown_default="Cora, or the embedded sbm without it",
    )
    models: tuple[str, ...] = option(
        "models that solve an equation, one or more of {choices}",
        default=("grand-l", "grand++-l", "hb-l"),
        flag="--model",
        choices=tuple(name for name, variant in ZOO.items() if variant.has_time),
        metavar="NAME",
    )
    times: tuple[float, ...] = option(
        "one or more integration times",
        default=(1.0, 4.0, 16.0, 64.0, 256.0, 1024.0),
        flag="--time",
        metavar="T",
    )
    labels_per_class: int = option(
        "labelled training nodes per class", default=20, parse=positive_int, metavar="K"
    )
    settings: Mapping[str, Any] = options_of(FAMILIES, only=("gamma", "epochs"), epochs=100)
    plot: Path | None = option("save accuracy and energy against T", default=None, metavar="FILE")


def study_depth(options: DepthOptions, console: Console) -> int:
    """Do all runs that have no record yet, and print one row per model and depth."""
    if options.plot:
        check_picture(options.plot)
    records: list[Record] = []
    console.kept = lambda: "the finished runs are shown"
    try:
        _sweep(options, console, records)
    finally:
        _report(options, console, records)
    return 0


def _sweep(options: DepthOptions, console: Console, records: list[Record]) -> None:
    device = resolve_device(options.device)
    names = [options.dataset] if options.dataset else []
    graphs, numbers = load_graphs(console, names, options.root, device), [options.labels_per_class]
    runs = [
        run
        for time in options.times
        for run in plan_runs(
            graphs, options.models, numbers, options.split_seeds, time=time, **options.settings
        )
    ]
    progress = not options.quiet
    run_sweep(
        runs,
        device,
        records.append,
        out=options.out,
        progress=progress,
        logger=options.log,
        **options.pool(),
    )
    sort_records(records, runs)


def _report(options: DepthOptions, console: Console, records: list[Record]) -> None:
    rows = summarise(records)
    for row in rows:
        console.emit(row)
    if rows:
        console.show(table(rows))
    if options.plot and rows:
        title = cell_title(records[0]["dataset"], records[0]["labels_per_class"])
        draw_depth(rows, f"{title}, splits: {options.splits}", options.plot)


COMMAND = Command(
    "depth",
    """Train the same models at growing depth T: accuracy, over-smoothing and cost.

Examples:
    grandpp depth
    grandpp depth --dataset CiteSeer --model grand++-l --model grand-l \\
        --time 16 --time 256 --splits 5 --out depth.jsonl --plot depth.png

"energy" is the Dirichlet energy of the diffused features over that of the encoded ones, averaged
geometrically: near 0 all nodes look alike. "NFE" counts evaluations, products for exact solves,
per training forward pass. A failed run is counted as failed, not as accuracy 0. With --out runs
already in the file are not repeated. scripts/depth_study.py is the same command.""",
    DepthOptions,
    study_depth,
)
