"""Time splits of one model trained one after the other and as one batch, in turns.

Examples:
    python benchmarks/batch_splits.py --threads 2
    python benchmarks/batch_splits.py --dataset KarateClub --model grand++-l --runs 5 --json

Both contestants train and evaluate the same runs (splits 0, 1, ... of the tuned settings) in this
process, with the threads they are given. "ratio" is the throughput against single runs;
"same_accuracies" whether every run has the single run's accuracies and epochs. A batch saves calls,
not arithmetic: it is meant for GPUs and small graphs, and gains little on the CPU.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from functools import partial

import torch
from common import SIZES, Row, alternate, graph, parser, run
from torch_geometric.data import Data

from grandpp.studies.low_label.zoo import BATCH_MODELS, tuned_run
from grandpp.training import Record
from grandpp.training.batch import record_batch
from grandpp.training.command import resolve_device
from grandpp.training.loop import record_run
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_int

RESULTS = ("test_accuracy", "val_accuracy", "last_test_accuracy", "best_epoch", "status")


def contestants(
    args: argparse.Namespace, data: Data, device: torch.device, records: dict[str, list[Record]]
) -> dict[str, Callable[[], None]]:
    """Both ways to do the runs; the last records of each are left in ``records``."""
    settings = {"protocol": args.protocol, "epochs": args.epochs}
    base = tuned_run(args.dataset, args.model, args.labels_per_class, **settings)
    configs = [base.on(split, 0) for split in range(args.runs)]

    def single() -> None:
        records["single"] = [record_run(config, data, device) for config in configs]

    def batch() -> None:
        records["batch"] = record_batch(configs, data, device)

    return {"single": single, "batch": batch}


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append the rows of single runs and of the batch."""
    device = resolve_device(args.device)
    if args.threads is not None:
        torch.set_num_threads(args.threads)
    data = graph(args.dataset, args.root).to(device)
    records: dict[str, list[Record]] = {}
    seconds = alternate(contestants(args, data, device, records), args.rounds, device)
    base = statistics.median(seconds["single"])
    found = {name: [[r[f] for f in RESULTS] for r in records[name]] for name in seconds}
    rows += [
        {
            "dataset": args.dataset,
            "model": args.model,
            "runs": args.runs,
            "epochs": args.epochs,
            "way": name,
            "seconds_per_run": statistics.median(times) / args.runs,
            "fastest_per_run": min(times) / args.runs,
            "ratio": base / statistics.median(times),
            "same_accuracies": found[name] == found["single"],
            "peak_mib": max(r["peak_memory_mb"] for r in records[name]),
            "threads": torch.get_num_threads(),
            "device": str(device),
        }
        for name, times in seconds.items()
    ]


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser("batch_splits", __doc__, rounds=2)
    add = options.add_argument
    add("--dataset", default="Cora", help=f"a data set, or one of {', '.join(SIZES)}")
    add("--model", choices=BATCH_MODELS, default="grand-l", help="(default: grand-l)")
    add("--labels-per-class", type=positive_int, default=20, metavar="K", help="(default: 20)")
    add("--protocol", choices=("grand", "no_val"), default="grand", help="(default: grand)")
    add("--runs", type=positive_int, default=20, metavar="B", help="splits (default: 20)")
    add("--epochs", type=positive_int, default=20, help="of every run (default: 20)")
    add("--threads", type=positive_int, help="threads of torch (default: torch's)")
    args = options.parse_args(argv)
    keep_freed_memory()
    return run("batch_splits", partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
