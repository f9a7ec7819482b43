"""Measure how untrained neural ODEs grow on the Silverbox input, as ``grandpp silverbox`` does."""

import sys

from grandpp.studies.silverbox.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="silverbox"))
