"""The command that reproduces a table of the thesis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grandpp.data import DATASETS, load_dataset
from grandpp.studies.low_label.options import (
    DATASET_HELP,
    ProtocolOptions,
    SeedOptions,
    SplitOptions,
)
from grandpp.studies.low_label.zoo import FAMILIES
from grandpp.studies.thesis.folder import adopt, check_settings, file_of, merge, table_records
from grandpp.studies.thesis.layouts import LAYOUTS, TABLES, TEST_LAYOUTS
from grandpp.studies.thesis.page import write_results
from grandpp.studies.thesis.printed import SPLITS
from grandpp.studies.thesis.rebuilt_command import FOLDER
from grandpp.studies.thesis.table_runs import TableRequest, with_graphs
from grandpp.studies.thesis.tables import (
    accuracy_tables,
    cell_rows,
    counts,
    t_test_rows,
    t_test_table,
)
from grandpp.training.command import Command, Console, resolve_device
from grandpp.training.options import (
    DataOptions,
    DeviceOptions,
    ReportOptions,
    option,
    options_of,
    positive_int,
)
from grandpp.training.pools import WorkerOptions
from grandpp.training.records import Record, record_key
from grandpp.training.sweep import run_sweep


@dataclass(frozen=True, kw_only=True)
class ReproduceOptions(
    ReportOptions,
    DeviceOptions,
    DataOptions,
    WorkerOptions,
    SeedOptions,
    SplitOptions,
    ProtocolOptions,
):
    """Options of the command."""

    splits: int = SPLITS
    table: str = option("{choices}", choices=TABLES, metavar="N")
    datasets: tuple[str, ...] = option(
        DATASET_HELP,
        default=(),
        choices=DATASETS,
        metavar="NAME",
        shown_default="the table's own one, or Cora and CiteSeer",
    )
    models: tuple[str, ...] = option(
        "models, with the names of classify",
        default=(),
        metavar="NAME",
        shown_default="the table's; for 4.3 grand-l, grand++-l, grand++-cluster-l, gcn, poisson",
    )
    labels: tuple[int, ...] | None = option(
        "labelled nodes per class, in a table of labels",
        default=None,
        parse=positive_int,
        metavar="K",
        shown_default="the table's",
    )
    depths: tuple[float, ...] | None = option(
        "integration times, or layers, in a table of depths",
        default=None,
        metavar="T",
        shown_default="the table's, NA included",
    )
    settings: Mapping[str, Any] = options_of(FAMILIES, only=("epochs",))
    results: Path = option("folder of the results", default=FOLDER, metavar="DIR")
    records: tuple[Path, ...] = option(
        "reuse runs in these files, .jsonl or .jsonl.gz, instead of repeating them",
        default=(),
        metavar="FILE",
    )
    report_only: bool = option("write the report without training", default=False)


def reproduce(options: ReproduceOptions, console: Console) -> int:
    """Do the runs of a table that have no record yet, write its files and print it."""
    records: list[Record] = []
    console.kept = lambda: (
        f"runs of the table kept: {len(records)}; the same command goes on, --report-only shows "
        "them"
    )
    request = plan_table(options)
    layout, runs = request.layout, request.runs()
    there = table_records(options.results, layout.table, options.protocol)
    records += merge(there, adopt(options.records, runs))
    check_settings(layout, records, () if options.report_only else runs)
    if not options.report_only:
        _train(options, console, request, records)
    result = write_results(options.results, LAYOUTS[layout.table], records)
    if options.table in TEST_LAYOUTS:
        rows = t_test_rows(options.table, result)
        text = t_test_table(options.table, result)
    else:
        models = [variant.name for variant in request.variants] if options.models else None
        shown: dict[str, Any] = {"datasets": options.datasets or None, "models": models}
        rows, text = cell_rows(result, **shown), accuracy_tables(result, **shown)
    for row in rows:
        console.emit(row)
    console.show(text)
    page = file_of(options.results, layout.table, options.protocol, ".md")
    console.show(f"\n{counts(result)}\nMore in {page}")
    return 0


def plan_table(options: ReproduceOptions) -> TableRequest:
    """Return the requested runs; the tables of t-tests are part of Table 4.3."""
    layout = TEST_LAYOUTS.get(options.table) or LAYOUTS[options.table]
    return TableRequest(
        layout,
        options.datasets or layout.datasets,
        layout.choose(options.models),
        labels=options.labels,
        depths=options.depths,
        splits=options.splits,
        seeds=options.seeds,
        protocol=options.protocol,
        **options.settings,
    )


def _train(
    options: ReproduceOptions, console: Console, request: TableRequest, records: list[Record]
) -> None:
    """Do the runs that have no record yet, and add theirs."""
    done = {record_key(record) for record in records}
    todo = [run for run in request.runs() if run.key not in done]
    if not todo:
        return
    device, progress = resolve_device(options.device), not console.quiet
    graphs = {
        name: load_dataset(name, options.root, progress=progress).to(device)
        for name in dict.fromkeys(run.dataset for run in todo)
    }
    runs = with_graphs(todo, graphs)
    out = file_of(options.results, request.layout.table, request.protocol, ".jsonl")
    out.parent.mkdir(parents=True, exist_ok=True)
    run_sweep(runs, device, records.append, out=out, progress=progress, **options.pool())


COMMAND = Command(
    "reproduce",
    """Reproduce a table of thesis chapter 4 and compare our numbers with the printed ones.

Examples:
    grandpp reproduce --table 4.3 --datasets Cora CiteSeer
    grandpp reproduce --table 4.1 --datasets Cora --models grand-l grand++-l \\
        --depths 1 16 256 --splits 10 --workers 4
    grandpp reproduce --table 4.4 --report-only

Tables: 4.1 depth; 4.3 few labels; 4.4 and 4.5 its t-tests, unpaired and paired; 4.6 to 4.8 other
networks; 4.9 and 4.10 nonlinear diffusion and rewiring, against depth and with few labels. The
form of 4.2, on a graph of ogbn-arxiv's size: benchmarks/arxiv_depth.py.

With --json every cell of the table, or every test of 4.4 and 4.5, is a line with the values of the
CSV file, accuracies in fractions.

What happens:
    Every run is appended to DIR/table-4.3.jsonl as it ends. Runs that are there, or in
    DIR/table-4.3.jsonl.gz, or in the files of --records, are not repeated: after an interruption
    run the same command again. At the end DIR holds, of all runs of the table so far,
        table-4.3.jsonl.gz  the records, packed: small enough for version control
        table-4.3.csv       every number, accuracies in fractions
        table-4.3.png       accuracies and paired differences with intervals
        table-4.3.md        all of it as a page, made from the packed records alone
        RESULTS.md          a list of the tables in DIR
    --report-only makes these from what is there, also from part of a sweep.

How to read the table:
    ours        test accuracy at the best validation epoch, as in the thesis, over splits; "last
                epoch" is that after the last epoch, which needs no validation nodes
    difference  ours minus thesis, with its 95 % interval by Welch
    verdict     better, worse or n.s. (not significant) by Welch's t-test from the thesis's mean,
                deviation and 100 splits, corrected by Holm for all tested cells of the table.
                "n.s." is no proof of equality: see the interval. The splits are not known to be
                the thesis's, so this test is unpaired; tests among our own models are paired
    filled      the thesis has NA there: its solver failed

scripts/reproduce.py is the same command.""",
    ReproduceOptions,
    reproduce,
)
