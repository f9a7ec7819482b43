"""Measure solvers: error against evaluations, and the pictures of thesis chapter 5.

Examples:
    python scripts/solver_benchmark.py --problem grand
    python scripts/solver_benchmark.py --problem diffusion1d --json --plot fig_5_3.png
    python scripts/solver_benchmark.py --problem diffusion1d --solver prox_bdf2 --tolerance 5e-4 \\
        --inner-tol 1e-3 --inner-tol 1e-5 --inner-tol 1e-7 --inner fr --inner anderson
    python scripts/solver_benchmark.py --problem prothero --plot fig_5_2.png
    python scripts/solver_benchmark.py --problem trajectories --plot trajectories.png

Columns: "tolerance" is the step of a fixed-step method, rtol and atol of an adaptive one; "error"
is relative to the largest entry of the exact solution, "max_error" absolute; "nfe" counts every
evaluation of the right-hand side, those of inner solvers and error estimates included; "-" stands
where a solve failed, and "status" says why. On Ctrl-C the finished rows are printed.

Problems:
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from grandpp.data import DatasetError
from grandpp.solvers import SOLVER_NAMES
from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.studies.solver_problems import STUDIES, Row, StudyRequest, resolve_study
from grandpp.training.cli import OneLineParser, fail
from grandpp.training.figures import check_picture

PROGRAM = "solver_benchmark"


def positive(text: str) -> float:
    """Parse a positive finite number, for ``type=``."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number (got '{text}')")
    return value


def build_parser() -> OneLineParser:
    """Options of the command line."""
    names = [n for n in SOLVER_NAMES if n != "steady"]
    about = "".join(f"    {name:<14}{kind.about}\n" for name, kind in STUDIES.items())
    parser = OneLineParser(
        prog=PROGRAM,
        description=f"{__doc__}{about}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--problem", required=True, choices=STUDIES, metavar="NAME", help="see above")
    add("--solver", action="append", default=[], choices=names, metavar="NAME", dest="solvers",
        help=f"repeatable (default: fits the problem): {', '.join(names)}")  # fmt: skip
    add("--tolerance", action="append", default=[], type=positive, dest="tolerances",
        metavar="X", help="repeatable; the step of fixed-step methods (default: a list that fits "
        "the problem and the kind of solver)")  # fmt: skip
    add("--inner", action="append", default=[], choices=INNER_SOLVERS, metavar="NAME",
        dest="inners", help="repeatable; inner solver of proximal methods (default: fr): "
        f"{', '.join(INNER_SOLVERS)}")  # fmt: skip
    add("--inner-tol", action="append", default=[], type=positive, dest="inner_tols",
        metavar="X", help="repeatable; tolerance of the inner solver (default: so small "
        "that the error is that of the steps)")  # fmt: skip
    add("--root", type=Path, metavar="DIR", help="folder of raw data files")
    add("--json", action="store_true", help="print one JSON line per row, the summary last")
    add("--plot", type=Path, metavar="FILE", help="save a picture (.png, .pdf or .svg)")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    args = build_parser().parse_args(argv)
    request = StudyRequest(
        args.problem, tuple(args.solvers), tuple(args.tolerances), tuple(args.inners),
        tuple(args.inner_tols), args.root,
        notify=lambda text: print(f"{PROGRAM}: notice: {text}", file=sys.stderr),
    )  # fmt: skip
    rows: list[Row] = []
    code = 0
    try:
        if args.plot:
            check_picture(args.plot)
        study = resolve_study(request)
        try:
            with tqdm(study.jobs(), unit="job") as jobs:
                for job in jobs:
                    jobs.set_description(job.label)
                    rows += job.run()
        except KeyboardInterrupt:
            sys.stderr.write(f"\n{PROGRAM}: interrupted; {len(rows)} finished rows follow\n")
            code = 130
        if rows:
            show(rows, study.summary(rows), as_json=args.json)
            if args.plot:
                study.draw(rows, args.plot)
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted\n")
        code = 130
    except (ValueError, TypeError, DatasetError, OSError) as error:
        fail(PROGRAM, error)
    return code


def show(rows: list[Row], summary: Row, as_json: bool) -> None:
    """Print the rows and what they say."""
    if as_json:
        for row in rows:
            print(json.dumps(row))
        if summary:
            print(json.dumps({"summary": summary}))
        return
    used = [k for k in rows[0] if any(row[k] is not None for row in rows)]
    lines = [used[1:], *([cell(row[k]) for k in used[1:]] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(f"{text:>{width}}" for text, width in zip(line, widths, strict=True)))
    for name, value in summary.items():
        print(f"\n{name}: {value}" if not isinstance(value, dict) else f"\n{name}:")
        for key, entry in value.items() if isinstance(value, dict) else ():
            print(f"  {key:<16}{cell(entry)}")


def cell(value: Any) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    if isinstance(value, dict):
        return ", ".join(f"{k} {cell(v)}" for k, v in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
