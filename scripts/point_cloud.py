"""Separate a disc from the ring around it with neural ODEs, as ``grandpp point-cloud`` does."""

import sys

from grandpp.studies.point_cloud.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="point_cloud"))
