"""Time sweeps and single runs with the default workers and threads against one run on all cores.

Examples:
    python benchmarks/throughput.py
    python benchmarks/throughput.py --dataset CiteSeer --runs 20 --epochs 20 --rounds 1 --json

"all threads" does one run after the other, each on all threads of torch; "default" is what
run_sweep does when neither workers nor threads are named: one run per core, each on one thread, in
this process if the sweep is short.
Both are measured in turns, on the machine as it is ("quiet") and beside busy loops that this
program starts and stops. A sweep counts its start of processes. "gain" is the speed over that of
"all threads" under the same load, "vs_quiet" the time over that of the same way without the loops;
both are medians over rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from common import SIZES, Row, graph, one_round, parser, ratio, run
from joblib import cpu_count
from torch_geometric.data import Data
from tqdm import tqdm

from grandpp.data import low_label_split
from grandpp.studies.low_label import plan_runs
from grandpp.studies.low_label.zoo import MODELS
from grandpp.training import run_sweep
from grandpp.training.command import resolve_device
from grandpp.training.loop import TrainingRun
from grandpp.training.memory import keep_freed_memory
from grandpp.training.options import positive_int
from grandpp.training.settings import build_optimizer
from grandpp.training.threads import Threads, threads_per_run

PROGRAM = "throughput"
CPU = torch.device("cpu")
# A loop that ends with the process that started it, also where that is killed.
LOOP = "import os\nwhile os.getppid() == {parent}:\n    for _ in range(10**5):\n        pass"
LEAST = 1.0  # seconds of a round for the epochs of each way


@contextmanager
def busy_loops(number: int) -> Iterator[None]:
    """Keep ``number`` cores busy inside the block."""
    command = [sys.executable, "-c", LOOP.format(parent=os.getpid())]
    loops = [subprocess.Popen(command) for _ in range(number)]  # noqa: S603 (this very Python)
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def sweeps(args: argparse.Namespace, data: Data) -> dict[str, Callable[[], None]]:
    """Both ways to do all runs."""
    options = {"epochs": args.epochs, "protocol": args.protocol}
    runs = plan_runs([data], [args.model], [args.labels_per_class], range(args.runs), **options)
    everything = {"workers": 1, "threads": torch.get_num_threads()}

    def sweep(chosen: dict[str, int]) -> None:
        run_sweep(runs, CPU, lambda record: None, progress=False, **chosen)

    return {"all threads": partial(sweep, everything), "default": partial(sweep, {})}


def epochs(args: argparse.Namespace, data: Data) -> dict[str, Callable[[], None]]:
    """Both ways to train an epoch of a single run."""
    [(config, _)] = plan_runs(
        [data], [args.model], [args.labels_per_class], range(1), protocol=args.protocol
    )
    split = low_label_split(data, config.labels_per_class, config.split, config.protocol)
    trained = TrainingRun.begin(config, split, CPU)
    optimizer = build_optimizer(config, trained.model)
    number = torch.get_num_threads()

    def epoch(rule: Threads) -> None:
        torch.set_num_threads(rule.of(config, data))
        try:
            trained.train_epoch(optimizer)
        finally:
            torch.set_num_threads(number)

    rules = {"all threads": Threads(number, number), "default": threads_per_run([(config, data)])}
    trained.train_epoch(optimizer)  # the first one builds the prepared graph
    return {way: partial(epoch, rule) for way, rule in rules.items()}


def measure(args: argparse.Namespace, rows: list[Row]) -> None:
    """Append one row per load, kind of work and way."""
    if resolve_device(args.device) != CPU:
        raise ValueError(f"expected --device cpu, whose threads are compared (got {args.device})")
    data = graph(args.dataset, args.root)
    kinds = {"sweep": sweeps(args, data), "epoch": epochs(args, data)}
    seconds: dict[tuple[str, str, str], list[float]] = {}
    for _ in tqdm(range(args.rounds), unit="round"):
        for load in ("quiet", "busy"):
            with busy_loops(args.loops) if load == "busy" else nullcontext():
                for kind, ways in kinds.items():
                    found = one_round(ways, CPU, LEAST if kind == "epoch" else 0.0)
                    for way, times in found.items():
                        middle = statistics.median(times)
                        seconds.setdefault((kind, load, way), []).append(middle)
    for (kind, load, way), times in sorted(seconds.items(), key=lambda item: item[0][0] == "epoch"):
        middle = statistics.median(times)
        rows.append(
            {
                "dataset": args.dataset,
                "model": args.model,
                "work": f"{args.runs} runs" if kind == "sweep" else "1 epoch",
                "load": load if load == "quiet" else f"{args.loops} busy loops",
                "way": way,
                "seconds": middle,
                "runs_per_minute": 60 * args.runs / middle if kind == "sweep" else None,
                "gain": ratio(seconds[kind, load, "all threads"], times),
                "vs_quiet": ratio(times, seconds[kind, "quiet", way]),
                "cores": cpu_count(),
            }
        )


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    options = parser(PROGRAM, __doc__, rounds=2)
    add = options.add_argument
    add("--dataset", default="Cora", help=f"a data set, or one of {', '.join(SIZES)}")
    add("--model", choices=MODELS, metavar="NAME", default="grand-l", help="(default: grand-l)")
    add("--labels-per-class", type=positive_int, default=20, metavar="K", help="(default: 20)")
    add("--protocol", choices=("grand", "no_val"), default="grand", help="(default: grand)")
    add("--runs", type=positive_int, default=8, metavar="N", help="of a sweep (default: 8)")
    add("--epochs", type=positive_int, default=50, help="of every run (default: 50)")
    add("--loops", type=positive_int, default=2, metavar="N", help="busy loops (default: 2)")
    args = options.parse_args(argv)
    keep_freed_memory()
    return run(PROGRAM, partial(measure, args), args.json)


if __name__ == "__main__":
    sys.exit(main())
