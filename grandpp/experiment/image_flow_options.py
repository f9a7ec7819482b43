"""Options of a command line that choose the solver of a flow."""

from __future__ import annotations

import argparse

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
