"""The command line of a program that classifies images."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from grandpp.data import IMAGE_DATASETS
from grandpp.studies.images.runs import IMAGE_DEFAULTS, ImageConfig, image_configs
from grandpp.training.cli import OneLineParser, positive_float, positive_int

AMP_TOLERANCE = 1e-3
"""The least tolerance that steps in bfloat16 can be held to."""


def image_parser(program: str, description: str | None, models: Iterable[str]) -> OneLineParser:
    """Describe the command line.

    Args:
        program: Its name.
        description: Of it.
        models: Names that ``--model`` takes.
    """
    parser = OneLineParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--dataset", choices=IMAGE_DATASETS, default="digits", help="(default: digits, which "
        "scikit-learn brings along)")  # fmt: skip
    names = tuple(models)
    add("--model", action="append", choices=names, metavar="NAME", dest="models",
        help=f"repeatable: {', '.join(names)} (default: all; on digits these two: "
        f"{', '.join(IMAGE_DEFAULTS['digits'].models)})")  # fmt: skip
    _add_training(parser)
    add("--describe", action="store_true", help="print the layers of every model as JSON and end")
    add("--out", type=Path, metavar="FILE.jsonl", help="append one line per run; runs already in "
        "the file are not repeated")  # fmt: skip
    add("--checkpoint", type=Path, metavar="DIR", help="write every run's state there "
        "each epoch, over that of an equal run before unless --resume is given")  # fmt: skip
    add("--resume", action="store_true", help="go on from the states in --checkpoint")
    add("--plot", type=Path, metavar="FILE", help="save a picture of all epochs (.png, .pdf, .svg)")
    add("--plot-tolerances", type=Path, metavar="FILE", help="save one of --tolerances")
    add("--json", action="store_true", help="print one line per run; the tables go to stderr")
    add("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    add("--root", type=Path, metavar="DIR", help="folder of raw data files, before $GRANDPP_DATA "
        "and the cache")  # fmt: skip
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def _add_training(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tol", type=positive_float, help="of dopri5 (default: 1e-5; 1e-3 on digits)")
    add("--lr", type=positive_float, help="of Adam (default: 1e-3; 5e-3 on digits)")
    add("--batch-size", type=positive_int, default=64, metavar="N", help="(default: 64)")
    add("--epochs", type=positive_int, help="(default: mnist 10, cifar10 40, digits 4)")
    add("--runs", type=positive_int, default=1, help="seeds per model (default: 1)")
    add("--seed", type=int, default=0, help="the first of them (default: 0)")
    add("--train", type=positive_int, metavar="N", help="train on the first N images")
    add("--test", type=positive_int, metavar="N", help="test on the first N images")
    add("--augment", action="store_true", help="move training images at random, mirror cifar10's")
    add(
        "--amp", action="store_true", help="evaluate the field in bfloat16: for --tol 1e-3, on GPUs"
    )
    add("--tolerances", type=positive_float, nargs="+", default=[], metavar="TOL",
        help="count the trained models' evaluations at these tolerances")  # fmt: skip
    add("--tolerance-images", type=positive_int, default=64, metavar="N", help="on the first N "
        "test images (default: 64)")  # fmt: skip


def parsed_configs(args: argparse.Namespace) -> list[ImageConfig]:
    """The runs that a command line asks for.

    Raises:
        ValueError: For tolerances that bfloat16 cannot keep.
    """
    finest = min([*args.tolerances, args.tol or IMAGE_DEFAULTS[args.dataset].tolerance])
    if args.amp and finest < AMP_TOLERANCE:
        raise ValueError(
            f"expected tolerances of at least {AMP_TOLERANCE:g} with --amp (got {finest:g}): "
            "below, rounding decides the steps"
        )
    return image_configs(
        args.dataset,
        args.models,
        range(args.seed, args.seed + args.runs),
        epochs=args.epochs,
        tolerance=args.tol,
        lr=args.lr,
        tolerances=tuple(args.tolerances),
        tolerance_images=args.tolerance_images,
        batch_size=args.batch_size,
        train=args.train,
        test=args.test,
        augment=args.augment,
        amp=args.amp,
    )
