"""The command ``grandpp reproduce``; ``--help`` says what it does."""

import sys

from grandpp.studies.thesis.reproduce import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="reproduce"))
