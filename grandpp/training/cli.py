"""Options, argument types and errors shared by the command lines."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import torch
from torch_geometric.data import Data

from grandpp.data import DatasetNotFoundError, load_dataset
from grandpp.training.batch import BATCH_MODELS
from grandpp.training.config import FEATURES
from grandpp.training.pools import BACKENDS


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


def add_grand_options(parser: argparse.ArgumentParser) -> None:
    """Learned factors, and where GRAND's official code differs from the thesis and from us."""
    add = parser.add_argument
    add("--features", choices=FEATURES, help="rows that sum to 1, or binary: 1 for every entry, as "
        "in GRAND's official code (default: rows)")  # fmt: skip
    add("--layer-norm", action=argparse.BooleanOptionalAction, help="normalise the diffused state "
        "before the decoder, which GRAND's code does not (default: yes)")  # fmt: skip
    add("--learn-beta", action="store_const", const=True, help="add beta x(0) to the diffusion of "
        "grand and grand++ models, with learned beta, as GRAND's tuned settings do")  # fmt: skip
    add("--best-time", action="store_const", const=True, help="also follow the trajectory of every "
        "epoch to 3 T and report the test accuracy at the epoch and time with the best validation "
        "accuracy, nearly as GRAND's code does; takes two to four times as long, in batches "
        "each run looks by itself (default: at T alone)")  # fmt: skip
    add("--learn-gain", action="store_const", const=True, help="learn the factor of the source of "
        "grand++ models, from --source-gain on")  # fmt: skip


def add_worker_options(parser: argparse.ArgumentParser) -> None:
    """Let the user say how many runs are done at once, and where."""
    add = parser.add_argument
    add("--workers", type=worker_count, metavar="N", help="runs at once on the CPU, each in a "
        "process of its own, with the same results; 1: in this process; auto: one per core, fewer "
        "where memory is short or where there is less to do than processes need to start, and 1 on "
        "a GPU, or all workers of a cluster (default: auto)")  # fmt: skip
    add("--threads", type=positive_int, metavar="N", help="threads of each run on the CPU "
        "(default: 1, because on small graphs two threads wait for each other, above all beside "
        "other programs; on a large graph, two million nodes times hidden channels, the cores that "
        "other runs leave idle: all for a single run)")  # fmt: skip
    add("--backend", choices=BACKENDS, default="loky", help="where the workers are: on this "
        "machine (loky, the default) or on a cluster (dask, ray)")  # fmt: skip
    add("--scheduler", metavar="ADDRESS", help="where the cluster is, as tcp://node1:8786")


def add_pool_options(parser: argparse.ArgumentParser) -> None:
    """:func:`add_worker_options`, and several runs at once in one program."""
    add_worker_options(parser)
    parser.add_argument("--batch-splits", type=positive_int, metavar="B", help="train B runs of a "
        "model (splits and seeds) at once as one program, the single runs up to rounding: saves "
        f"calls, which a GPU waits for; for {', '.join(BATCH_MODELS)} with the exact solver, not "
        "with --workers; Ctrl-C loses the batch under way (default: one by one)")  # fmt: skip


def worker_count(text: str) -> int | None:
    """Parse a number of workers, ``None`` for ``auto``, for ``type=``."""
    if text == "auto":
        return None
    try:
        return positive_int(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"expected a positive integer or auto (got '{text}')"
        ) from None


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


def load_graphs(
    program: str, names: Sequence[str] | None, root: Path | None, *, progress: bool
) -> list[Data]:
    """Load the data sets asked for, or Cora; take the embedded one only if none was named.

    Raises:
        DatasetError: If a set that was named cannot be had, or its files are not the right ones.
        ValueError: If a name is unknown.
    """
    try:
        return [load_dataset(n, root, progress=progress) for n in dict.fromkeys(names or ["Cora"])]
    except DatasetNotFoundError as error:
        if names:
            raise
        notice = f"{program}: notice: "
        sys.stderr.write(f"{notice}{error}\n{notice}using the embedded synthetic set 'sbm'\n")
        return [load_dataset("sbm")]


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
