"""Measure solvers: error against evaluations, as ``grandpp solver`` does."""

import sys

from grandpp.studies.solver_problems.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="solver_benchmark"))
