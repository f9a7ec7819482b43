"""The command ``grandpp tune``; ``--help`` says what it does."""

import sys

from grandpp.studies.low_label.tune import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="tune"))
