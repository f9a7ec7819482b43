"""The command that compares models with a baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from grandpp.data import PROTOCOLS
from grandpp.studies.low_label.comparison import Comparison
from grandpp.studies.low_label.comparison import compare as compare_records
from grandpp.studies.low_label.comparison_figures import draw_accuracy_against_labels
from grandpp.studies.low_label.comparison_tables import (
    as_csv,
    as_row,
    comparison_table,
    paired_table,
    unpaired_table,
)
from grandpp.training.atomic_files import check_target, write_whole
from grandpp.training.command import Command, Console
from grandpp.training.figures import check_picture
from grandpp.training.options import option, positive_int
from grandpp.training.reading import METRICS, load_records


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """Options of the command."""

    results: tuple[Path, ...] = option(
        "files of records, .jsonl or .jsonl.gz", positional=True, metavar="RESULTS"
    )
    baseline: str = option("model the others are compared with", default="grand-l", metavar="MODEL")
    datasets: tuple[str, ...] | None = option(
        "data sets to compare on",
        default=None,
        flag="--dataset",
        metavar="NAME",
        shown_default="all",
    )
    labels: tuple[int, ...] | None = option(
        "labelled nodes per class",
        default=None,
        parse=positive_int,
        metavar="K",
        shown_default="all",
    )
    models: tuple[str, ...] | None = option(
        "models to compare, in this order; the baseline is always included",
        default=None,
        metavar="MODEL",
        shown_default="all",
    )
    protocol: str | None = option(
        "protocol of the runs; needed if the files hold several", default=None, choices=PROTOCOLS
    )
    configs: tuple[str, ...] = option(
        "configurations to keep of a model that has several (the error message lists them)",
        default=(),
        flag="--config",
        metavar="HASH",
    )
    metric: str = option(
        "what to compare: the test accuracy at the best validation epoch or after the last epoch, "
        "the validation accuracy, or the test accuracy at the best time (runs with --best-time)",
        default=METRICS[0],
        choices=METRICS,
    )
    json: bool = option(
        "print JSON, one line per row, to stdout, and the table to stderr; in JSON and in the CSV "
        "file accuracies are fractions",
        default=False,
    )
    csv: Path | None = option("write all values as CSV", default=None, metavar="FILE")
    markdown: Path | None = option(
        "write the table, and the t-tests in the form of thesis Tables 4.4 and 4.5, as Markdown",
        default=None,
        metavar="FILE",
    )
    latex: Path | None = option(
        "write the same as LaTeX, which needs no extra packages", default=None, metavar="FILE"
    )
    plot: Path | None = option(
        "draw accuracy and differences against the number of labels, with intervals",
        default=None,
        metavar="FILE.png",
    )


def compare(options: CompareOptions, console: Console) -> int:
    """Compare the records, write the files asked for, and print the table."""
    check_outputs(options)
    rows = compare_records(
        load_records(options.results),
        options.baseline,
        metric=options.metric,
        datasets=options.datasets,
        labels=options.labels,
        models=options.models,
        protocol=options.protocol,
        configs=options.configs,
    )
    write_outputs(options, rows)
    for row in rows:
        console.emit(as_row(row))
    console.show(comparison_table(rows))
    return 0


def check_outputs(options: CompareOptions) -> None:
    """Raise an error for outputs that cannot be written or would replace an input or each other."""
    wanted = (options.csv, options.markdown, options.latex, options.plot)
    outputs = [path for path in wanted if path is not None]
    for path in outputs:
        check_target(path)
    if options.plot is not None:
        check_picture(options.plot)
    for first, second in combinations([*options.results, *outputs], 2):
        if second in outputs and first.resolve() == second.resolve():
            raise ValueError(f"expected outputs apart from inputs and each other (got {second})")


def write_outputs(options: CompareOptions, rows: Sequence[Comparison]) -> None:
    """Write the files asked for, each whole or not at all."""
    if options.csv is not None:
        write_whole(options.csv, as_csv(rows).encode())
    for path, style in ((options.markdown, "markdown"), (options.latex, "latex")):
        if path is not None:
            tables = (comparison_table, unpaired_table, paired_table)
            text = "\n\n".join(table(rows, style) for table in tables)
            write_whole(path, f"{text}\n".encode())
    if options.plot is not None:
        draw_accuracy_against_labels(rows, options.plot)


COMMAND = Command(
    "compare",
    """Compare models with a baseline over identical splits: means, intervals, tests, verdicts.

Examples:
    grandpp compare results.jsonl
    grandpp compare cora.jsonl citeseer.jsonl.gz --baseline gcn --labels 1 2 5 \\
        --models grand++-l grand-l --markdown table.md --plot table.png

RESULTS are files written by classify --out, plain or compressed by gzip; they are not
changed. Accuracies are in percent, differences in points, p-values two-sided; seeds are averaged
within a split before anything else, because seeds are no independent evidence about splits.

How to read the columns:
    accuracy    mean and standard deviation over splits. At few labels the deviation is mostly
                that of the splits, which all models share: it does not tell models apart.
    pairs       splits on which the model and the baseline both have a result
    difference  mean over these pairs, with its 95 % t-interval
    Welch t     unpaired test, thesis Table 4.4 (whose formula prints one variance twice): blind
                to small differences, because the splits' variance hides them
    paired t    test of the differences, thesis Table 4.5
    Wilcoxon p  signed-rank test of the same differences, for those far from normal
    Holm p      p of the paired t-test, corrected for all comparisons in this table; --models,
                --labels and --dataset choose what is in it: choose before looking
    d_z         effect size: mean difference over its standard deviation
    verdict     in words, from Holm p at the level of 5 %. "n.s." (not significant) is no proof of
                equality: the interval says how large a difference the runs still allow.

Refused, with one line and exit code 2: splits that differ, two protocols in one cell, two
configurations of one model (--protocol and --config choose), two results of one run, broken
files. A run found twice with the same result counts once. Failed runs are counted and shown; they
are in no mean and no pair. scripts/compare.py is the same command.""",
    CompareOptions,
    compare,
)
