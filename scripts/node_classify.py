"""Train node classifiers with few labels and compare them over identical splits.

Examples:
    python scripts/node_classify.py --labels-per-class 1
    python scripts/node_classify.py --dataset Cora CiteSeer --labels-per-class 1 2 5 10 20 \
        --splits 20 --model grand++-l grand-l gcn --workers 4 --out results.jsonl

Run the second command again after an interruption: runs already in the file are not repeated. Two
commands may write one file at once.
"""

from __future__ import annotations

import argparse
import sys
from itertools import groupby
from pathlib import Path
from typing import Any

from grandpp.data import DATASETS, PROTOCOLS, REWIRINGS, DatasetError
from grandpp.fields import INITIALS, SOURCES
from grandpp.solvers import SOLVER_NAMES
from grandpp.studies.low_label import accuracy_table, plan_runs, sort_records
from grandpp.training import MODELS, Record, WorkerError, run_sweep
from grandpp.training.cli import (
    OneLineParser,
    add_grand_options,
    add_pool_options,
    complain,
    fail,
    load_graphs,
    positive_int,
    resolve_device,
)
from grandpp.training.json_lines import to_json
from grandpp.training.memory import keep_freed_memory

PROGRAM = "node_classify"
DEFAULTS = ("grand++-cluster-l", "grand++-l", "grand-l")
POOL = ("workers", "threads", "backend", "scheduler", "batch_splits")


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    several: dict[str, Any] = {"action": "extend", "nargs": "+"}
    add("--labels-per-class", type=positive_int, required=True, metavar="K", **several,
        help="labelled training nodes per class, for example 1 2 5 10 20")  # fmt: skip
    add("--dataset", metavar="NAME", dest="datasets", **several, help="one or more of "
        f"{', '.join(DATASETS)} (default: Cora, or the embedded sbm where Cora is neither on "
        "disk nor downloadable)")  # fmt: skip
    add("--model", choices=MODELS, metavar="NAME", dest="models", **several,
        help=f"one or more of {', '.join(MODELS)} (default: {', '.join(DEFAULTS)})")  # fmt: skip
    add("--protocol", default="grand", choices=PROTOCOLS, help="which nodes choose the epoch: the "
        "rest of a pool of 1500 labelled nodes (grand, as in the papers), 30 per class, or none: "
        "the last epoch counts (default: grand)")  # fmt: skip
    add("--splits", type=positive_int, default=3, help="number of splits (default: 3)")
    add("--first-split", type=int, default=0, metavar="S", help="seed of the first split, to keep "
        "splits for choosing settings apart from those reported (default: 0)")  # fmt: skip
    add("--seeds", type=positive_int, default=1, help="runs per split (default: 1)")
    add("--time", type=float, help="integration time T (default: tuned per data set)")
    solvers = [name for name in SOLVER_NAMES if name != "steady"]  # it takes no finite time
    add("--solver", choices=solvers, metavar="NAME", help=f"one of {', '.join(solvers)} "
        "(default: exact for linear models, auto for nonlinear ones)")  # fmt: skip
    add("--epochs", type=positive_int, help="training epochs (default: tuned per data set)")
    add("--patience", type=positive_int, metavar="P", help="stop after P epochs without a better "
        "validation accuracy (default: never)")  # fmt: skip
    add("--source", choices=SOURCES, help="GRAND++ source term (default: balanced)")
    add("--source-gain", type=float, help="factor of the source (default: 0.2)")
    add("--initial", choices=INITIALS, help="GRAND++ initial state (default: features)")
    add("--rewiring", choices=REWIRINGS, help="new edges of the models -rw (default: gdc)")
    add("--cluster-labels", type=float, metavar="L", help="train on seeded clusters too, which "
        "count as L labelled nodes per class (default: 1 for grand++-cluster)")  # fmt: skip
    add_grand_options(parser)
    add_pool_options(parser)
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: auto)")
    add("--root", type=Path, help="folder of raw data files, before $GRANDPP_DATA and the cache")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one JSON line per run; runs "
        "already in the file are not repeated")  # fmt: skip
    add("--json", action="store_true", help="print one JSON line per run; the table goes to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def sweep(args: argparse.Namespace, records: list[Record]) -> None:
    """Do all runs; the records arrive as they end, and are at last in the order of the plan."""

    def on_record(record: Record) -> None:
        records.append(record)
        if args.json:
            print(to_json(record), flush=True)

    device = resolve_device(args.device)
    names = ("protocol", "time", "solver", "epochs", "patience", "source", "source_gain",
             "initial", "rewiring", "cluster_labels", "features", "layer_norm",
             "learn_beta", "learn_gain", "best_time")  # fmt: skip
    graphs = load_graphs(PROGRAM, args.datasets, args.root, progress=not args.quiet)
    runs = plan_runs(
        [data.to(device) for data in graphs],
        args.models or DEFAULTS,
        args.labels_per_class,
        range(args.first_split, args.first_split + args.splits),
        range(args.seeds),
        **{name: getattr(args, name) for name in names},
    )
    for name, example in (("rewiring", "grand-nl-rw"), ("best_time", "grand-l")):
        if getattr(args, name) and not any(getattr(config, name) for config, _ in runs):
            raise ValueError(f"expected a model with {name}, for example {example} (got none)")
    pool = {k: vars(args)[k] for k in POOL}
    try:
        run_sweep(runs, device, on_record, out=args.out, progress=not args.quiet, **pool)
    finally:
        sort_records(records, runs)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    records: list[Record] = []
    code = 0
    try:
        sweep(args, records)
    except (KeyboardInterrupt, WorkerError) as error:
        kept = f"{len(records)} finished runs are {f'kept in {args.out}' if args.out else 'shown'}"
        if isinstance(error, WorkerError):
            code = complain(PROGRAM, f"{error}; {kept}")
        else:
            sys.stderr.write(f"\n{PROGRAM}: interrupted; {kept}\n")
            code = 130
    except (ValueError, TypeError, IndexError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    for message in dict.fromkeys(r["message"] for r in records if r["status"] == "success"):
        if message:
            sys.stderr.write(f"{PROGRAM}: notice: {message}\n")
    title = "{dataset}, {labels_per_class} labels per class, protocol {protocol}"
    for name, block in groupby(records, title.format_map):
        table = f"{name}\n{accuracy_table(list(block))}"
        print(table, file=sys.stderr if args.json else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
