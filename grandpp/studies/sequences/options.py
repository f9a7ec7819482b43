"""Command-line options of the sequence study."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grandpp.training.cli import OneLineParser, positive_float, positive_int

SOLVERS = ("tsit5", "dopri5", "exact")


def sequence_parser(
    program: str, description: str | None, datasets: Sequence[str], models: Sequence[str]
) -> argparse.ArgumentParser:
    """Describe the command line.

    Args:
        program: Name of the program.
        description: What it does.
        datasets: Names of the data sets; the last one needs no file and is the default.
        models: Names of the models.
    """
    parser = OneLineParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", choices=datasets, default=datasets[-1],
        help=f"(default: {datasets[-1]}, which needs no file)")  # fmt: skip
    add("--model", action="append", choices=models, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(models)} (default: the first five)")  # fmt: skip
    add("--runs", type=positive_int, default=1, help="seeds per model (default: 1)")
    add("--seed", type=int, default=0, metavar="S", help="the first seed (default: 0)")
    add("--epochs", type=positive_int, help="(default: that of the data set)")
    add("--windows", type=positive_int, metavar="N", help="windows to learn from (default: all)")
    add("--batch-size", type=positive_int, metavar="N", help="windows in a batch (default: that of "
        "the data set)")  # fmt: skip
    add("--solver", choices=SOLVERS, default=SOLVERS[0], help="exact is for models whose equation "
        "is linear: all of walker2d but ghbnode and adamnode (default: tsit5)")  # fmt: skip
    add("--tolerance", type=positive_float, help="of the solver; with exact, of the adjoint solve "
        "after the training (default: that of the data set)")  # fmt: skip
    add("--lr", type=positive_float, help="learning rate (default: that of the data set)")
    add("--gradient", choices=("direct", "adjoint"), help="for solvers with a tolerance "
        "(default: direct, which is faster; the paper has adjoint)")  # fmt: skip
    add("--root", type=Path, metavar="DIR", help="folder of raw data files, before $GRANDPP_DATA "
        "and the cache")  # fmt: skip
    add("--describe", action="store_true", help="print parameters and layers as JSON and end")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one line per run; runs already in "
        "the file are not repeated")  # fmt: skip
    add("--checkpoint", type=Path, metavar="FILE", help="save after every epoch, over "
        "an older one unless --resume is given; with several runs, model and seed are put before "
        "the ending")  # fmt: skip
    add("--resume", action="store_true", help="go on from --checkpoint where it exists")
    add("--plot", type=Path, metavar="FILE", help="save a picture (.png, .pdf or .svg)")
    add("--json", action="store_true", help="print one line per run; the table goes to stderr")
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def complete(args: argparse.Namespace, recipe: Any) -> None:
    """Fill in what hangs on the data set and on the solver.

    Args:
        args: The command line.
        recipe: One of :data:`grandpp.studies.sequences.recipes.RECIPES`.

    Raises:
        ValueError: If a gradient is asked of the exact solver, which has one only.
    """
    for name in ("epochs", "batch_size", "tolerance", "lr"):
        setattr(args, name, getattr(args, name) or getattr(recipe, name))
    if args.solver != "exact":
        args.gradient = args.gradient or "direct"
    elif args.gradient is not None:
        raise ValueError(f"expected no --gradient with --solver exact (got '{args.gradient}')")
