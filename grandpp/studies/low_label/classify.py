"""The command that trains node classifiers and compares them over identical splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from grandpp.data import UNVALIDATED, split_notice
from grandpp.studies.low_label.options import (
    DATASET_HELP,
    FirstSplitOptions,
    LabelsChosenOptions,
    ProtocolOptions,
    SeedOptions,
    load_graphs,
)
from grandpp.studies.low_label.plan import plan_runs, sort_records
from grandpp.studies.low_label.report import accuracy_table
from grandpp.studies.low_label.zoo import DEFAULT_MODEL, FAMILIES, MODELS
from grandpp.training.batches import BatchOptions
from grandpp.training.command import Command, Console, resolve_device
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
class ClassifyOptions(
    ReportOptions,
    RecordOptions,
    DeviceOptions,
    DataOptions,
    BatchOptions,
    WorkerOptions,
    LogOptions,
    SeedOptions,
    FirstSplitOptions,
    ProtocolOptions,
    LabelsChosenOptions,
):
    """Options of the command."""

    labels_per_class: tuple[int, ...] = option(
        "labelled training nodes per class, for example 1 2 5 10 20",
        parse=positive_int,
        metavar="K",
    )
    datasets: tuple[str, ...] = option(
        f"one or more {DATASET_HELP}",
        default=(),
        flag="--dataset",
        metavar="NAME",
        shown_default="Cora, or the embedded sbm where Cora is neither on disk nor downloadable",
    )
    models: tuple[str, ...] = option(
        "one or more of {choices}",
        default=(DEFAULT_MODEL, "grand++-l", "grand-l"),
        flag="--model",
        choices=MODELS,
        metavar="NAME",
    )
    settings: Mapping[str, Any] = options_of(FAMILIES)


def classify(options: ClassifyOptions, console: Console) -> int:
    """Do all runs that have no record yet, and print a table per data set and number of labels."""
    records: list[Record] = []
    where = f"kept in {options.out}" if options.out else "shown"
    console.kept = lambda: f"{len(records)} finished runs are {where}"
    try:
        _sweep(options, console, records)
    finally:
        _report(console, records, options.protocol)
    return 0


def _sweep(options: ClassifyOptions, console: Console, records: list[Record]) -> None:
    """Do all runs; append their records, which are in the order of the plan at the end."""

    def on_record(record: Record) -> None:
        records.append(record)
        console.emit(record)

    device = resolve_device(options.device)
    graphs = load_graphs(console, options.datasets, options.root, device)
    for data in graphs:
        if said := split_notice(data, options.protocol):
            console.notice(said)
    runs = plan_runs(
        graphs,
        options.models,
        options.labels_per_class,
        options.split_seeds,
        range(options.seeds),
        options.labels_chosen,
        protocol=options.protocol,
        **options.settings,
    )
    for name, example in (("rewiring", "grand-nl-rw"), ("best_time", "grand-l")):
        wanted = options.settings.get(name)
        if wanted and not any(getattr(run.settings, name) for run, _ in runs):
            raise ValueError(f"expected a model with {name}, for example {example} (got none)")
    try:
        run_sweep(
            runs,
            device,
            on_record,
            out=options.out,
            progress=not options.quiet,
            batch_splits=options.batch_splits,
            logger=options.log,
            **options.pool(),
        )
    finally:
        sort_records(records, runs)


def _report(console: Console, records: list[Record], protocol: str) -> None:
    for message in dict.fromkeys(r["message"] for r in records if r["status"] == "success"):
        if message:
            console.notice(message)
    if protocol not in UNVALIDATED and any(r["labels_chosen"] for r in records):
        console.notice(
            f"random splits have validation labels (protocol {protocol}), chosen nodes have none: "
            "--protocol no_val compares like with like"
        )
    for title, block in groupby(records, _title):
        console.show(f"{title}, protocol {protocol}\n{accuracy_table(list(block))}")


def _title(record: Record) -> str:
    return cell_title(record["dataset"], record["labels_per_class"])


COMMAND = Command(
    "classify",
    """Train node classifiers with few labels and compare them over identical splits.

Examples:
    grandpp classify --labels-per-class 1
    grandpp classify --dataset Cora CiteSeer --labels-per-class 1 2 5 10 20 \\
        --splits 20 --model grand++-l grand-l gcn --workers 4 --out results.jsonl
    grandpp classify --dataset my.npz --labels-per-class 1 --protocol no_val
    grandpp classify --dataset Cora --labels-per-class 1 --protocol no_val \\
        --model grand++-views-l --labels-chosen by=coverage

Run the second command again after an interruption: runs already in the file are not repeated. Two
commands may write one file at once. scripts/node_classify.py is the same command.""",
    ClassifyOptions,
    classify,
)
