"""Options of the command line of flows: those that choose the solver, and those with files."""

from __future__ import annotations

import argparse

from grandpp.experiment.figures import check_picture
from grandpp.experiment.saving import check_target
from grandpp.solvers import SOLVER_NAMES


def add_flow_solver_options(parser: argparse.ArgumentParser) -> None:
    """Let the user choose a solver, what decides its error, and how it is differentiated."""
    add = parser.add_argument
    add("--solver", choices=SOLVER_NAMES, default="dopri5", metavar="NAME",
        help=f"one of {', '.join(SOLVER_NAMES)} (default: dopri5)")  # fmt: skip
    add("--tol", type=float, default=1e-3, help="of adaptive solvers (default: 1e-3)")
    add("--step-size", type=float, default=0.2, help="of fixed-step solvers (default: 0.2)")
    add("--inner", default="fixed_point", help="of proximal solvers (default: fixed_point)")
    add("--inner-tol", type=float, default=2e-3, help="of proximal solvers (default: 2e-3)")
    add("--gradient", choices=("direct", "adjoint", "checkpoint"), help="of explicit solvers "
        "(default: direct for dense, else adjoint, which needs least memory)")  # fmt: skip


def check_flow_files(args: argparse.Namespace) -> None:
    """Refuse files that could not be written or gone on from, before the work.

    Args:
        args: With ``plot``, ``samples``, ``out``, ``checkpoint`` and ``resume``.

    Raises:
        ValueError: For a missing folder, a picture of unknown format, or nothing to resume.
    """
    for picture in (args.plot, args.samples):
        if picture is not None:
            check_picture(picture)
    if args.out is not None:
        check_target(args.out)
    if args.resume and args.checkpoint is None:
        raise ValueError("expected --checkpoint with --resume (got none)")
