"""Learn the density of images with a continuous normalising flow, as ``grandpp flow`` does."""

import sys

from grandpp.studies.flows.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="image_flow"))
