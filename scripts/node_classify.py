"""Train node classifiers with few labels and compare them over identical splits.

Examples:
    python scripts/node_classify.py --labels-per-class 1
    python scripts/node_classify.py --dataset CiteSeer --labels-per-class 5 --splits 20 \
        --model grand++-l --model grand-l --model gcn --out results.jsonl

Run the second command again after an interruption: runs already in the file are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from torch_geometric.data import Data

from grandpp.data import (
    DATASETS,
    PROTOCOLS,
    REWIRINGS,
    DatasetError,
    DatasetNotFoundError,
    load_dataset,
    low_label_splits,
)
from grandpp.experiment import (
    MODELS,
    Record,
    RunConfig,
    accuracy_table,
    build_model,
    run_sweep,
    tuned_config,
    with_run,
)
from grandpp.experiment.cli import OneLineParser, fail, positive_int, resolve_device
from grandpp.experiment.memory import keep_freed_memory
from grandpp.fields import INITIALS, SOURCES
from grandpp.solvers import SOLVER_NAMES

PROGRAM = "node_classify"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--labels-per-class", type=positive_int, required=True, metavar="K", help="labelled "
        "training nodes per class, for example 1, 2, 5, 10, 20")  # fmt: skip
    add("--dataset", metavar="NAME", help=f"one of {', '.join(DATASETS)} (default: Cora, or the "
        "embedded sbm where Cora is neither on disk nor downloadable)")  # fmt: skip
    add("--model", action="append", choices=MODELS, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(MODELS)} (default: grand++-l and grand-l)")  # fmt: skip
    add("--protocol", default="grand", choices=PROTOCOLS, help="which nodes choose the epoch: the "
        "rest of a pool of 1500 labelled nodes (grand, as in the papers), 30 per class, or none: "
        "the last epoch counts (default: grand)")  # fmt: skip
    add("--splits", type=positive_int, default=3, help="number of splits (default: 3)")
    add("--first-split", type=int, default=0, metavar="S", help="seed of the first split, to keep "
        "splits for choosing settings apart from those reported (default: 0)")  # fmt: skip
    add("--seeds", type=positive_int, default=1, help="runs per split (default: 1)")
    add("--time", type=float, help="integration time T (default: tuned per data set)")
    add("--solver", choices=SOLVER_NAMES, metavar="NAME", help=f"one of {', '.join(SOLVER_NAMES)} "
        "(default: exact for linear models, auto for nonlinear ones)")  # fmt: skip
    add("--epochs", type=positive_int, help="training epochs (default: tuned per data set)")
    add("--source", choices=SOURCES, help="GRAND++ source term (default: balanced)")
    add("--source-gain", type=float, help="factor of the source (default: 0.2)")
    add("--initial", choices=INITIALS, help="GRAND++ initial state (default: features)")
    add("--rewiring", choices=REWIRINGS, help="new edges of the models -rw (default: gdc)")
    add("--jobs", type=positive_int, default=1, help="runs at once on the CPU's cores, with the "
        "same results (default: 1)")  # fmt: skip
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: auto)")
    add("--root", type=Path, help="folder of raw data files, before $GRANDPP_DATA and the cache")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one JSON line per run; runs "
        "already in the file are not repeated")  # fmt: skip
    add("--json", action="store_true", help="print one JSON line per run; the table goes to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def load(args: argparse.Namespace) -> Data:
    """Load the data set asked for; fall back to the embedded one only if none was named."""
    try:
        return load_dataset(args.dataset or "Cora", args.root, progress=not args.quiet)
    except DatasetNotFoundError as error:
        if args.dataset is not None:
            raise
        notice = f"{PROGRAM}: notice: "
        sys.stderr.write(f"{notice}{error}\n{notice}using the embedded synthetic set 'sbm'\n")
        return load_dataset("sbm")


def plan(args: argparse.Namespace, data: Data) -> list[tuple[RunConfig, Data]]:
    """List all runs, every model on every split; wrong settings and splits fail here, early."""
    k = args.labels_per_class
    seeds = range(args.first_split, args.first_split + args.splits)
    splits = list(low_label_splits(data, k, seeds, args.protocol))
    names = ("time", "solver", "epochs", "source", "source_gain", "initial", "rewiring")
    overrides = {name: getattr(args, name) for name in names}
    configs = [
        tuned_config(data.name, model, k, protocol=args.protocol, **overrides)
        for model in dict.fromkeys(args.models or ["grand++-l", "grand-l"])
    ]
    if args.rewiring and not any(config.rewiring for config in configs):
        raise ValueError("expected a model with rewiring, for example grand-nl-rw (got none)")
    for config in configs:
        build_model(config, data.num_features, data.num_classes)
    return [
        (with_run(config, s, seed), split)
        for s, split in zip(seeds, splits, strict=True)
        for seed in range(args.seeds)
        for config in configs
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    records: list[Record] = []

    def on_record(record: Record) -> None:
        records.append(record)
        if args.json:
            print(json.dumps(record, sort_keys=True), flush=True)

    code = 0
    try:
        device = resolve_device(args.device)
        runs = plan(args, load(args).to(device))
        run_sweep(runs, device, on_record, out=args.out, progress=not args.quiet, jobs=args.jobs)
    except KeyboardInterrupt:
        kept = f"kept in {args.out}" if args.out else "shown"
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(records)} finished runs are {kept}\n")
        code = 130
    except (ValueError, TypeError, IndexError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    if records:
        title = "{dataset}, {labels_per_class} labels per class, protocol {protocol}"
        out = sys.stderr if args.json else sys.stdout
        print(f"{title.format(**records[0])}\n{accuracy_table(records)}", file=out)
    return code


if __name__ == "__main__":
    sys.exit(main())
