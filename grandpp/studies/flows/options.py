"""The command line of a program that trains flows of images."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from grandpp.solvers import SOLVER_NAMES
from grandpp.studies.flows.runs import FLOW_KEY
from grandpp.training.atomic_files import check_target
from grandpp.training.cli import OneLineParser, positive_float, positive_int
from grandpp.training.figures import check_picture
from grandpp.training.run_lines import read_runs


def flow_parser(
    program: str,
    description: str | None,
    datasets: Iterable[str],
    architectures: Iterable[str],
    divergences: Iterable[str],
) -> OneLineParser:
    """Describe the command line.

    Args:
        program: Its name.
        description: Of it.
        datasets: Names that ``--dataset`` takes.
        architectures: Names that ``--architecture`` takes.
        divergences: Names that ``--divergence`` takes.
    """
    parser = OneLineParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    _add_solver(parser)
    add = parser.add_argument
    add("--dataset", choices=tuple(datasets), default="digits", help="(default: digits)")
    add("--architecture", choices=tuple(architectures), help="perceptrons on all pixels, or "
        "convolutions at several scales (default: dense for digits, else multiscale)")  # fmt: skip
    add("--divergence", choices=tuple(divergences), default="rademacher", help="of the trace")
    add("--epochs", type=positive_int, default=60, help="(default: 60)")
    add("--train", type=positive_int, metavar="N", help="first N images alone (default: all)")
    add("--test", type=positive_int, metavar="N", help="held-out images (default: all)")
    add("--batch-size", type=positive_int, default=100, metavar="N", help="(default: 100)")
    add("--lr", type=positive_float, default=0.005, help="of the first epoch; 3 %% less each "
        "(default: 0.005)")  # fmt: skip
    add("--seed", type=int, default=0, help="of everything random (default: 0)")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"), help="(default: auto)")
    _add_files(parser)
    add("--compare-solvers", action="store_true", help="solvers on the trained flow")
    add("--describe", action="store_true", help="print the layers as JSON and end")
    add("--json", action="store_true", help="print a line with everything measured; tables go to "
        "stderr")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_files(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--root", type=Path, metavar="DIR", help="folder of raw data files, looked in first")
    add("--checkpoint", type=Path, metavar="FILE", help="written after every epoch, over an "
        "older one unless --resume is given")  # fmt: skip
    add("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    add("--out", type=Path, metavar="FILE.jsonl", help="append the line of --json")
    add("--plot", type=Path, metavar="FILE", help="picture of loss and evaluations")
    add("--samples", type=Path, metavar="FILE", help="picture of samples of the trained flow")


def _add_solver(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--solver", choices=SOLVER_NAMES, default="dopri5", metavar="NAME",
        help=f"one of {', '.join(SOLVER_NAMES)} (default: dopri5)")  # fmt: skip
    add("--tol", type=positive_float, default=1e-3, help="of adaptive solvers (default: 1e-3)")
    add(
        "--step-size", type=positive_float, default=0.2, help="of fixed-step solvers (default: 0.2)"
    )
    add("--inner", default="fixed_point", help="of proximal solvers (default: fixed_point)")
    add(
        "--inner-tol", type=positive_float, default=2e-3, help="of proximal solvers (default: 2e-3)"
    )
    add("--gradient", choices=("direct", "adjoint", "checkpoint"), help="of explicit solvers "
        "(default: direct for dense, else adjoint, which needs least memory)")  # fmt: skip


def check_flow_files(args: argparse.Namespace) -> None:
    """Refuse files that could not be written or gone on from, before the work.

    Args:
        args: With ``plot``, ``samples``, ``out``, ``checkpoint`` and ``resume``.

    Raises:
        ValueError: For a missing folder, a picture of unknown format, or nothing to resume;
            or if lines are to be appended to a file of something else.
    """
    for picture in (args.plot, args.samples):
        if picture is not None:
            check_picture(picture)
    read_runs(args.out, FLOW_KEY)
    if args.out is not None:
        check_target(args.out)
    if args.resume and args.checkpoint is None:
        raise ValueError("expected --checkpoint with --resume (got none)")
