"""Compare models with a baseline over identical splits: means, intervals, tests, verdicts.

Examples:
    python scripts/compare.py results.jsonl
    python scripts/compare.py cora.jsonl citeseer.jsonl.gz --baseline gcn --labels 1 2 5 \\
        --models grand++-l grand-l --markdown table.md --plot table.png

RESULTS are files written by node_classify --out, as they are or compressed by gzip; none is
changed. Accuracies are in percent, differences in points, p-values two-sided; seeds are averaged
within a split before anything else, for seeds are no independent evidence about splits.

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
are in no mean and no pair.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from grandpp.data import PROTOCOLS
from grandpp.studies.low_label.comparison_figures import draw_accuracy_against_labels
from grandpp.studies.low_label.comparison_tables import (
    as_csv,
    as_row,
    comparison_table,
    paired_table,
    unpaired_table,
)
from grandpp.training.atomic_files import check_target, write_whole
from grandpp.training.cli import OneLineParser, fail, positive_int
from grandpp.training.comparison import Comparison, compare
from grandpp.training.figures import check_picture
from grandpp.training.reading import METRICS, load_records

PROGRAM = "compare"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    add = parser.add_argument
    add("results", nargs="+", type=Path, metavar="RESULTS", help="files of records, .jsonl or "
        ".jsonl.gz")  # fmt: skip
    add("--baseline", default="grand-l", metavar="MODEL", help="model the others are compared "
        "with (default: grand-l)")  # fmt: skip
    add("--dataset", nargs="+", metavar="NAME", dest="datasets", help="(default: all)")
    add("--labels", nargs="+", type=positive_int, metavar="K", help="labelled nodes per class "
        "(default: all)")  # fmt: skip
    add("--models", nargs="+", metavar="MODEL", help="in this order; the baseline is always there "
        "(default: all)")  # fmt: skip
    add("--protocol", choices=PROTOCOLS, help="needed where the files hold several")
    add("--config", nargs="+", default=[], metavar="HASH", dest="configs", help="of a model with "
        "several configurations keep these (the error message lists them)")  # fmt: skip
    add("--metric", default=METRICS[0], choices=METRICS, help="test accuracy at the best "
        "validation epoch, after the last one, validation accuracy, or test accuracy at the best "
        "time, which runs with --best-time have, of --models with a trajectory "
        "(default: test_accuracy)")  # fmt: skip
    add("--json", action="store_true", help="print one JSON line per row instead of the table; "
        "accuracies are fractions there and in the CSV file")  # fmt: skip
    add("--csv", type=Path, metavar="FILE", help="write all values")
    add("--markdown", type=Path, metavar="FILE", help="write the table, and the t-tests in the "
        "form of thesis Tables 4.4 and 4.5")  # fmt: skip
    add("--latex", type=Path, metavar="FILE", help="the same in LaTeX, without extra packages")
    add("--plot", type=Path, metavar="FILE.png", help="draw accuracy and differences against the "
        "number of labels, with intervals")  # fmt: skip
    return parser


def check_outputs(args: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written or would replace an input or each other."""
    outputs = [p for p in (args.csv, args.markdown, args.latex, args.plot) if p is not None]
    for path in outputs:
        check_target(path)
    if args.plot is not None:
        check_picture(args.plot)
    for first, second in combinations([*args.results, *outputs], 2):
        if second in outputs and first.resolve() == second.resolve():
            raise ValueError(f"expected outputs apart from inputs and each other (got {second})")


def write_outputs(args: argparse.Namespace, rows: Sequence[Comparison]) -> None:
    """Write the files asked for, each whole or not at all."""
    if args.csv is not None:
        write_whole(args.csv, as_csv(rows).encode())
    for path, style in ((args.markdown, "markdown"), (args.latex, "latex")):
        if path is not None:
            tables = (comparison_table, unpaired_table, paired_table)
            text = "\n\n".join(table(rows, style) for table in tables)
            write_whole(path, f"{text}\n".encode())
    if args.plot is not None:
        draw_accuracy_against_labels(rows, args.plot)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    names = ("metric", "datasets", "labels", "models", "protocol", "configs")
    try:
        check_outputs(args)
        records = load_records(args.results)
        rows = compare(records, args.baseline, **{name: getattr(args, name) for name in names})
        write_outputs(args, rows)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted\n")
        return 130
    except (ValueError, OSError) as error:
        fail(PROGRAM, error)
    if args.json:
        print("\n".join(json.dumps(as_row(row)) for row in rows))
    else:
        print(comparison_table(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
