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
from collections.abc import Callable
from pathlib import Path

import torch
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import (
    DATASETS,
    DatasetError,
    DatasetNotFoundError,
    check_data,
    load_dataset,
    low_label_split,
)
from grandpp.experiment import (
    MODELS,
    Record,
    RunConfig,
    accuracy_table,
    append_record,
    drop_torn_line,
    make_record,
    read_records,
    record_key,
    train_run,
    tuned_config,
    with_run,
)
from grandpp.experiment.cli import OneLineParser, fail, positive_int, resolve_device
from grandpp.solvers import SOLVER_NAMES

PROGRAM = "node_classify"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--labels-per-class",
        type=positive_int,
        required=True,
        metavar="K",
        help="labelled training nodes per class, for example 1, 2, 5, 10, 20",
    )
    add(
        "--dataset",
        metavar="NAME",
        help=f"one of {', '.join(DATASETS)} (default: Cora, or the "
        "embedded sbm where Cora is neither on disk nor downloadable)",
    )
    add(
        "--model",
        action="append",
        choices=MODELS,
        metavar="NAME",
        dest="models",
        help=f"repeatable, from {', '.join(MODELS)} (default: grand++-l and grand-l)",
    )
    add(
        "--protocol",
        default="grand",
        choices=("grand", "per_class_val", "no_val"),
        help="which nodes choose the epoch: the rest of a pool of 1500 labelled nodes (grand, as "
        "in the papers), 30 per class, or none: the last epoch counts (default: grand)",
    )
    add("--splits", type=positive_int, default=5, help="number of splits (default: 5)")
    add("--seeds", type=positive_int, default=1, help="runs per split (default: 1)")
    add("--time", type=float, help="integration time T (default: tuned per data set)")
    add(
        "--solver",
        choices=SOLVER_NAMES,
        metavar="NAME",
        help=f"one of {', '.join(SOLVER_NAMES)} (default: exact for linear models, dopri5 else)",
    )
    add("--epochs", type=positive_int, help="training epochs (default: tuned per data set)")
    add("--source", choices=("balanced", "paper"), help="GRAND++ source term (default: balanced)")
    add("--source-gain", type=float, help="its factor (default: 0.1)")
    add(
        "--initial",
        choices=("features", "shifted", "zero"),
        help="GRAND++ initial state (default: features)",
    )
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--root", type=Path, help="folder with raw data files (then $GRANDPP_DATA, then the cache)")
    add(
        "--out",
        type=Path,
        metavar="FILE.jsonl",
        help="append one JSON line per run; runs already in the file are not repeated",
    )
    add("--json", action="store_true", help="print one JSON line per run instead of the table")
    add("--quiet", action="store_true", help="no progress bar and no notices")
    return parser


def load(args: argparse.Namespace) -> Data:
    """Load the data set asked for; fall back to the embedded one only if none was named."""
    name = args.dataset or "Cora"
    try:
        data = load_dataset(name, args.root, progress=not args.quiet)
    except DatasetNotFoundError as error:
        if args.dataset is not None:
            raise
        sys.stderr.write(
            f"{PROGRAM}: notice: {error}\n"
            f"{PROGRAM}: notice: using the embedded synthetic data set 'sbm'\n"
        )
        data = load_dataset("sbm")
    check_data(data)
    return data


def plan(args: argparse.Namespace, data: Data) -> list[tuple[RunConfig, Data]]:
    """List all runs, every model on every split; wrong settings and splits fail here, early."""
    splits = [
        low_label_split(data, args.labels_per_class, seed=s, protocol=args.protocol)
        for s in range(args.splits)
    ]
    models = list(dict.fromkeys(args.models or ["grand++-l", "grand-l"]))
    configs = [
        tuned_config(
            data.name,
            model,
            args.labels_per_class,
            protocol=args.protocol,
            time=args.time,
            solver=args.solver,
            epochs=args.epochs,
            source=args.source,
            source_gain=args.source_gain,
            initial=args.initial,
        )
        for model in models
    ]
    return [
        (with_run(config, s, seed), split)
        for s, split in enumerate(splits)
        for seed in range(args.seeds)
        for config in configs
    ]


def run_all(
    runs: list[tuple[RunConfig, Data]],
    args: argparse.Namespace,
    on_record: Callable[[Record], None],
) -> None:
    """Run everything that is not in the file yet."""
    device = resolve_device(args.device)
    done = {record_key(r): r for r in read_records(args.out)} if args.out else {}
    if args.out:
        drop_torn_line(args.out)
    todo = [(config, data) for config, data in runs if config.key not in done]
    total = sum(config.epochs for config, _ in todo)
    accuracies: dict[str, list[float]] = {}
    for config, _ in runs:
        if config.key in done:
            on_record(done[config.key])
    with tqdm(total=total, unit="epoch", disable=args.quiet, file=sys.stderr) as bar:
        for config, data in todo:
            bar.set_description(f"{config.model} split {config.split}")
            result = train_run(config, data, device, on_epoch=lambda: bar.update(1))
            record = make_record(config, result, data, str(device))
            if args.out:
                append_record(args.out, record)
            on_record(record)
            if result.test_accuracy is not None:
                accuracies.setdefault(config.model, []).append(result.test_accuracy)
            means = {m: f"{100 * sum(a) / len(a):.1f}%" for m, a in accuracies.items()}
            bar.set_postfix(means)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    records: list[Record] = []

    def on_record(record: Record) -> None:
        records.append(record)
        if args.json:
            print(json.dumps(record, sort_keys=True), flush=True)

    code = 0
    try:
        run_all(plan(args, load(args)), args, on_record)
    except KeyboardInterrupt:
        sys.stderr.write(
            f"\n{PROGRAM}: interrupted; {len(records)} finished runs are kept"
            f"{f' in {args.out}' if args.out else ' below'}\n"
        )
        code = 130
    except (ValueError, IndexError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    if records:
        first = records[0]
        title = (
            f"{first['dataset']}, {first['labels_per_class']} labels per class, "
            f"protocol {first['protocol']}"
        )
        out = sys.stderr if args.json else sys.stdout
        print(f"{title}\n{accuracy_table(records)}", file=out)
    return code


if __name__ == "__main__":
    torch.set_num_threads(min(torch.get_num_threads(), 8))
    sys.exit(main())
