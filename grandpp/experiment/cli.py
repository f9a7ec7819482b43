"""What the scripts share: one-line errors, devices, argument types."""

from __future__ import annotations

import argparse
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
    text = " ".join(str(message).split())
    sys.stderr.write(f"{program}: error: {text}\n")
    raise SystemExit(2)


def positive_int(text: str) -> int:
    """Parse an integer of at least 1, for ``type=``."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected a positive integer (got '{text}')")
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
