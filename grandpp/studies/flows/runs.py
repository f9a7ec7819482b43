"""Settings and records of the training of a flow."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from grandpp.training.checkpointed_training import Fit

FLOW_KEY = ("dataset", "architecture", "train", "divergence", "solver", "tol", "step_size",
            "inner", "inner_tol", "gradient", "batch_size", "lr", "seed")  # fmt: skip
"""Settings that decide a training at any epoch."""


def flow_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The settings that a command line asks for, by the names of :data:`FLOW_KEY`."""
    return {name: getattr(args, name) for name in FLOW_KEY}


def flow_record(
    args: argparse.Namespace, done: Fit, images: str, costs: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Everything measured, in plain values.

    Args:
        args: The command line, its device resolved.
        done: The training.
        images: Where the images come from, in words.
        costs: What solvers cost on the trained flow.
    """
    told = {"images": images, "device": str(args.device)}
    return {**flow_settings(args), **told, **asdict(done), "solvers": list(costs)}
