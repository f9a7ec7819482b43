"""Classify images with neural ODEs of first and second order, as ``grandpp image`` does."""

import sys

from grandpp.studies.images.command import COMMAND
from grandpp.training.command import run_command

if __name__ == "__main__":
    sys.exit(run_command(COMMAND, program="image_classify"))
