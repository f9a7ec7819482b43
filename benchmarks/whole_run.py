"""Time complete training runs: seconds from the loaded graph to the record, evaluations included.

Examples:
    python benchmarks/whole_run.py
    python benchmarks/whole_run.py --dataset Cora --model grand-l grand++-l --rounds 3 --json

Each run has its tuned settings and number of epochs, and is done as scripts/node_classify.py does
a single run: on one thread, on a large graph on all of them. Round r is split r, and models take
turns.
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial

import torch
from common import SIZES, Row, graph, parser, run

from grandpp.studies.low_label import plan_runs
from grandpp.studies.low_label.zoo import MODELS
from grandpp.training import Record, run_sweep
from grandpp.training.command import resolve_device
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_int
from grandpp.training.threads import threads_per_run

PROGRAM = "whole_run"


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per graph, model and round."""
    device = resolve_device(args.device)
    for name in dict.fromkeys(args.datasets):
        data = graph(name, args.root).to(device)
        options = {"epochs": args.epochs, "protocol": args.protocol}
        plan = plan_runs(
            [data], args.models, [args.labels_per_class], range(args.rounds), **options
        )
        for config, _ in plan:
            records: list[Record] = []
            threads = torch.get_num_threads()
            if device.type == "cpu":
                threads = threads_per_run([(config, data)], args.threads).of(config, data)
            start = time.perf_counter()
            run_sweep([(config, data)], device, records.append, threads=args.threads)
            seconds = time.perf_counter() - start
            record = records[0]
            rows.append(
                {
                    "dataset": name,
                    "model": config.model,
                    "split": config.split,
                    "seconds": seconds,
                    "epochs": record["epochs"],
                    "ms_per_epoch": 1e3 * seconds / max(record["epochs"], 1),
                    "test_accuracy": record["test_accuracy"],
                    "status": record["status"],
                    "peak_mib": record["peak_memory_mb"],
                    "threads": threads,
                    "device": str(device),
                }
            )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=1)
    add = options.add_argument
    add("--dataset", nargs="+", metavar="NAME", dest="datasets", default=["CoauthorCS", "PubMed"],
        help=f"data sets, or {', '.join(SIZES)} (default: CoauthorCS PubMed)")  # fmt: skip
    add("--model", nargs="+", choices=MODELS, metavar="NAME", dest="models", default=["grand++-l"],
        help=f"one or more of {', '.join(MODELS)} (default: grand++-l)")  # fmt: skip
    add("--labels-per-class", type=positive_int, default=5, metavar="K", help="(default: 5)")
    add("--protocol", choices=("grand", "no_val"), default="grand", help="(default: grand)")
    add("--epochs", type=positive_int, help="training epochs (default: tuned per data set)")
    add("--threads", type=positive_int, metavar="N", help="threads of a run (default: see above)")
    args = options.parse_args(argv)
    keep_freed_memory()
    return run(PROGRAM, partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
