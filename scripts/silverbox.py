"""How fast |h(t)| of untrained neural ODEs grows on the Silverbox input (Fig. 3 of both papers).

Examples:
    python scripts/silverbox.py --draws 10
    python scripts/silverbox.py --model hbnode --model ghbnode --json --plot silverbox.png

Columns: "log10 |h(64)|" is the mean over the draws, then its smallest and its largest; "max |h|" is
the largest norm at any of the times 0, 1, ..., 64 in any draw; "nfe" the mean evaluations.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from tqdm import tqdm

from grandpp.data import DatasetError, load_silverbox
from grandpp.studies.silverbox.growth import GROWTH_MODELS, Growth, growth
from grandpp.training.cli import OneLineParser, fail, positive_int
from grandpp.training.figures import check_picture
from grandpp.training.motion_figures import draw_growth
from grandpp.training.tables import aligned

PROGRAM = "silverbox"


def build_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = OneLineParser(
        prog=PROGRAM, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--model", action="append", choices=GROWTH_MODELS, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(GROWTH_MODELS)} (default: all)")  # fmt: skip
    add("--draws", type=positive_int, default=10, help="random models of each (default: 10)")
    add("--root", type=Path, metavar="DIR", help="folder of raw data files, before $GRANDPP_DATA "
        "and the cache")  # fmt: skip
    add("--plot", type=Path, metavar="FILE", help="save a picture (.png, .pdf or .svg)")
    add("--json", action="store_true", help="print one line per draw; the table goes to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def log_end(run: Growth) -> float:
    """log10 |h(64)|; NaN where the solve failed."""
    return math.log10(max(run.norms[-1], 1e-300)) if run.status == "success" else math.nan


def table(runs: list[Growth]) -> str:
    """One line per model."""
    head = ("model", "draws", "failed", "log10 |h(64)|", "min", "max", "max |h|", "nfe")
    rows = []
    for model in dict.fromkeys(run.model for run in runs):
        own = [run for run in runs if run.model == model]
        good = [run for run in own if run.status == "success"]
        cells = [model, str(len(own)), str(len(own) - len(good))]
        if good:
            ends = [log_end(run) for run in good]
            top = max(max(run.norms) for run in good)
            cells += [f"{fmean(ends):.2f}", f"{min(ends):.2f}", f"{max(ends):.2f}", f"{top:.3g}",
                      f"{fmean(run.nfe for run in good):.0f}"]  # fmt: skip
        rows.append(cells)
    return aligned(head, rows)


def record(run: Growth) -> dict[str, Any]:
    """A draw as valid JSON, which has no NaN."""
    row = asdict(run)
    row["norms"] = [None if math.isnan(v) else v for v in run.norms]
    row["log10_h64"] = log_end(run) if run.status == "success" else None
    return row


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    runs: list[Growth] = []
    code = 0
    try:
        if args.plot:
            check_picture(args.plot)
        v1, v2 = load_silverbox(args.root)
        models = dict.fromkeys(args.models or GROWTH_MODELS)
        jobs = [(model, draw) for model in models for draw in range(args.draws)]
        for model, draw in tqdm(jobs, disable=args.quiet, unit="draw"):
            runs.append(growth(model, draw, v1, v2))
            if args.json:
                print(json.dumps(record(runs[-1])), flush=True)
        if args.plot:
            draw_growth(runs, v2, args.plot)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(runs)} finished draws follow\n")
        code = 130
    except (ValueError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    if runs:
        print(table(runs), file=sys.stderr if args.json else sys.stdout)
    return code


if __name__ == "__main__":
    sys.exit(main())
