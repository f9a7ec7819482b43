"""Forecast irregular time series with ODE-RNNs, as ``grandpp sequence`` does."""

import sys

from grandpp.studies.sequences.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="sequence_forecast"))
