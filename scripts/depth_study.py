"""Train the same models at growing depth T: accuracy, over-smoothing and cost.

Examples:
    python scripts/depth_study.py
    python scripts/depth_study.py --dataset CiteSeer --model grand++-l --model grand-l \\
        --time 16 --time 256 --splits 5 --out depth.jsonl --plot depth.png

"energy" is the Dirichlet energy of the diffused features over that of the encoded ones, averaged
geometrically: near 0 all nodes look alike. "NFE" counts evaluations, products for exact solves,
per training forward pass. A failed run is counted as failed, not as accuracy 0. With --out runs
already in the file are not repeated.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from grandpp.data import DatasetError
from grandpp.studies.low_label import plan_runs, sort_records
from grandpp.studies.low_label.depth import summarise, table
from grandpp.studies.low_label.depth_figures import draw_depth
from grandpp.training import MODELS, Record, WorkerError, run_sweep
from grandpp.training.cli import (
    OneLineParser,
    add_worker_options,
    complain,
    fail,
    load_graphs,
    positive_int,
    resolve_device,
)
from grandpp.training.figures import check_picture
from grandpp.training.memory import keep_freed_memory
from grandpp.training.registry import is_diffusion

PROGRAM = "depth_study"
TIMES = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)


def build_parser() -> argparse.ArgumentParser:
    """Options of the command line."""
    form = argparse.RawDescriptionHelpFormatter
    parser = OneLineParser(prog=PROGRAM, description=__doc__, formatter_class=form)
    models = [m for m in MODELS if is_diffusion(m)]
    add = parser.add_argument
    add("--dataset", help="name of the data set (default: Cora, or the embedded sbm without it)")
    add("--model", action="append", choices=models, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(models)} (default: grand-l, grand++-l, hb-l)")  # fmt: skip
    add("--time", action="append", type=float, dest="times", metavar="T",
        help=f"repeatable (default: {', '.join(f'{t:g}' for t in TIMES)})")  # fmt: skip
    add("--gamma", type=float, help="fixed damping of heavy balls (default: learned)")
    add("--labels-per-class", type=positive_int, default=20, metavar="K", help="(default: 20)")
    add("--splits", type=positive_int, default=1, help="number of splits (default: 1)")
    add("--first-split", type=int, default=0, metavar="S", help="seed of the first split, to keep "
        "splits for choosing settings apart from those reported (default: 0)")  # fmt: skip
    add("--epochs", type=positive_int, default=100, help="training epochs (default: 100)")
    add_worker_options(parser)
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: auto)")
    add("--root", type=Path, help="folder of raw data files")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one JSON line per run")
    add("--json", action="store_true", help="print one JSON line per model and depth")
    add("--plot", type=Path, metavar="FILE", help="save accuracy and energy against T")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    keep_freed_memory()
    records: list[Record] = []
    code = 0
    try:
        if args.plot:
            check_picture(args.plot)
        device = resolve_device(args.device)
        splits = range(args.first_split, args.first_split + args.splits)
        models = args.models or ["grand-l", "grand++-l", "hb-l"]
        numbers = [args.labels_per_class]
        graphs = load_graphs(
            PROGRAM, args.dataset and [args.dataset], args.root, progress=not args.quiet
        )
        graphs, runs = [data.to(device) for data in graphs], []
        for time in args.times or TIMES:
            options = {"time": time, "epochs": args.epochs, "gamma": args.gamma}
            runs += plan_runs(graphs, models, numbers, splits, **options)
        run_sweep(runs, device, records.append, out=args.out, progress=not args.quiet,
                  workers=args.workers, threads=args.threads, backend=args.backend,
                  scheduler=args.scheduler)  # fmt: skip
        sort_records(records, runs)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; the finished runs follow\n")
        code = 130
    except WorkerError as error:
        code = complain(PROGRAM, f"{error}; the finished runs follow")
    except (ValueError, TypeError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    rows = summarise(records)
    if args.json:
        for row in rows:
            print(json.dumps(row))
    elif rows:
        print(table(rows))
    if args.plot and rows:
        title = "{dataset}, {labels_per_class} labels per class, {splits} split(s)"
        draw_depth(rows, title.format(**records[0], splits=args.splits), args.plot)
    return code


if __name__ == "__main__":
    sys.exit(main())
