"""Separate a disc from the ring around it with neural ODEs of first and second order.

Examples:
    python scripts/point_cloud.py --describe
    python scripts/point_cloud.py --runs 5 --out runs.jsonl --plot point_cloud.png
    python scripts/point_cloud.py --model node --model hbnode --runs 1 --epochs 50 --json

Run the second command again after an interruption: runs already in the file are not repeated.
Columns: "final loss" is the mean squared error of all points after the last epoch, "< 0.05" the
number of runs that got below, "nfe" the evaluations of one solve, the mean over all epochs, and
"last" those of the last epoch.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from grandpp.image import POINT_CLOUD_MODELS, POINT_CLOUD_SOLVERS, describe
from grandpp.studies.point_cloud.training import SNAPSHOTS, train_point_cloud
from grandpp.training.cli import OneLineParser, fail, positive_int
from grandpp.training.figures import check_picture
from grandpp.training.json_lines import to_json
from grandpp.training.motion_figures import draw_point_cloud
from grandpp.training.record_file import append_record
from grandpp.training.run_lines import read_runs
from grandpp.training.tables import aligned

PROGRAM = "point_cloud"
KEY = ("model", "seed", "epochs", "solver", "start")
BEFORE = {"start": "random"}  # older runs, whose output's bias was drawn
SEPARATED = 0.05


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    names = tuple(POINT_CLOUD_MODELS)
    add("--model", action="append", choices=names, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(names)} (default: the paper's five)")  # fmt: skip
    add("--runs", type=positive_int, default=1, help="seeds per model (default: 1)")
    add("--first-seed", type=int, default=0, metavar="S", help="(default: 0)")
    add("--epochs", type=positive_int, default=300, help="(default: 300, as in the paper)")
    add("--solver", choices=POINT_CLOUD_SOLVERS, default="tsit5", help="(default: tsit5; the "
        "paper has dopri5)")  # fmt: skip
    add("--describe", action="store_true", help="print the layers of every model as JSON and end")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one line per run; runs already in "
        "the file are not repeated")  # fmt: skip
    add("--plot", type=Path, metavar="FILE", help="save a picture (.png, .pdf or .svg)")
    add("--json", action="store_true", help="print one line per run; the table goes to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def train(args: argparse.Namespace, found: list[dict[str, Any]]) -> None:
    """Do the runs that are not in the file yet; append all to ``found``."""
    models = tuple(dict.fromkeys(args.models or tuple(POINT_CLOUD_MODELS)[:5]))
    seeds = range(args.first_seed, args.first_seed + args.runs)
    known = read_runs(args.out, KEY, BEFORE)
    for model, seed in [(model, seed) for seed in seeds for model in models]:
        key = (model, seed, args.epochs, args.solver, "mean")
        if key not in known:
            with tqdm(total=args.epochs, desc=f"{model} {seed}", disable=args.quiet) as bar:

                def on_epoch(loss: float, bar: Any = bar) -> None:
                    bar.set_postfix(loss=f"{loss:.3f}", refresh=False)
                    bar.update()

                run = asdict(train_point_cloud(
                    model, seed, args.epochs, solver=args.solver, on_epoch=on_epoch
                ))  # fmt: skip
            if args.out is not None:
                append_record(args.out, run)
            known[key] = run
        found.append(known[key])
        if args.json:
            brief = {k: v for k, v in known[key].items() if k != "snapshots"}
            print(to_json(brief), flush=True)


def table(runs: list[dict[str, Any]]) -> str:
    """One line per model."""
    head = ("model", "runs", "failed", "final loss", "< 0.05", "accuracy", "nfe forward",
            "nfe backward", "last forward", "last backward")  # fmt: skip
    rows = []
    for model in dict.fromkeys(r["model"] for r in runs):
        own = [r for r in runs if r["model"] == model]
        good = [r for r in own if r["final_loss"] is not None]
        cells = [model, str(len(own)), str(len(own) - len(good))]
        if good:
            cells += [f"{fmean(r['final_loss'] for r in good):.4f}",
                      str(sum(r["final_loss"] < SEPARATED for r in good)),
                      f"{fmean(r['accuracy'] for r in good):.3f}"]  # fmt: skip
            columns = ("nfe_forward", "nfe_backward")
            cells += [f"{fmean(fmean(r[c]) for r in good):.1f}" for c in columns]
            cells += [f"{fmean(r[c][-1] for r in good):.1f}" for c in columns]
        rows.append(cells)
    return aligned(head, rows)


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    runs: list[dict[str, Any]] = []
    code = 0
    try:
        if args.describe:
            models = args.models or tuple(POINT_CLOUD_MODELS)
            shown = [describe(model) for model in dict.fromkeys(models)]
            print(json.dumps(shown[0] if len(shown) == 1 else {m["model"]: m for m in shown}))
            return 0
        if args.plot:
            check_picture(args.plot)
        train(args, runs)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(runs)} finished runs follow\n")
        code = 130
    except (ValueError, OSError) as error:
        fail(PROGRAM, error)
    if runs:
        print(table(runs), file=sys.stderr if args.json else sys.stdout)
        if args.plot:
            draw_point_cloud(runs, SNAPSHOTS, args.plot)
    return code


if __name__ == "__main__":
    sys.exit(main())
