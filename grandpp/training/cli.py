"""Options, argument types and errors shared by the command lines."""

from __future__ import annotations

import argparse
import math
import sys
from typing import NoReturn

import torch


class OneLineParser(argparse.ArgumentParser):
    """An argument parser whose errors are one line and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage (``--help`` has it) and exit with 2."""
        fail(self.prog, message)


def fail(program: str, message: object) -> NoReturn:
    """Print one line to stderr and exit with 2."""
    raise SystemExit(complain(program, message))


def complain(program: str, message: object) -> int:
    """Print one line to stderr; return the exit code 2, for when there is still a table to show."""
    text = " ".join(str(message).split())
    sys.stderr.write(f"{program}: error: {text}\n")
    return 2


def positive_int(text: str) -> int:
    """Parse an integer of at least 1, for ``type=``."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer (got '{text}')")
    return value


def positive_float(text: str) -> float:
    """Parse a finite number above 0, for ``type=``."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"expected a positive number (got '{text}')")
    return value


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu`` or ``cuda`` into a device.

    Raises:
        ValueError: If CUDA is asked for and not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ValueError("expected a CUDA device for --device cuda (this torch finds none)")
    return torch.device(name)
