"""Image flows by data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from grandpp.image.flow.bijection import Bijection
from grandpp.image.flow.dense import DenseFlow
from grandpp.image.flow.model import ImageFlow
from grandpp.image.flow.multiscale import MultiscaleFlow
from grandpp.layers.describe import describe_module
from grandpp.solvers import Solver

ARCHITECTURES: tuple[str, ...] = ("dense", "multiscale")


@dataclass(frozen=True)
class FlowPreset:
    """Sizes of the flows of one data set.

    Args:
        shape: (C, H, W) of an image.
        levels: Number of intensities.
        alpha: ``alpha`` of :class:`Logit`.
        architecture: Default architecture, one of :data:`ARCHITECTURES`.
        dense: Hidden sizes of :class:`DenseFlow`.
        hidden, scales, blocks: Arguments of :class:`MultiscaleFlow`.
    """

    shape: tuple[int, int, int]
    levels: int
    alpha: float
    architecture: str
    dense: tuple[int, ...]
    hidden: tuple[int, ...]
    scales: int
    blocks: int


IMAGE_FLOWS: dict[str, FlowPreset] = {
    "digits": FlowPreset((1, 8, 8), 17, 0.05, "dense", (128, 128), (32, 32), 2, 1),
    "mnist": FlowPreset((1, 28, 28), 256, 1e-6, "multiscale", (512, 512), (64,) * 4, 3, 2),
    "cifar10": FlowPreset((3, 32, 32), 256, 0.05, "multiscale", (1024, 1024), (64,) * 4, 3, 2),
}
"""MNIST and CIFAR-10: Grathwohl et al. (2019), App. B.1, and thesis section 5.4.2 (two blocks of
64-64-64-64 softplus convolutions). ``digits`` is sized to train on two cores in two minutes.
"""


def image_flow(
    dataset: str,
    architecture: str | None = None,
    *,
    divergence: str = "rademacher",
    solver: str | Solver = "dopri5",
    seed: int = 0,
) -> ImageFlow:
    """Build the flow of a data set.

    Args:
        dataset: One of :data:`IMAGE_FLOWS`.
        architecture: One of :data:`ARCHITECTURES`. (default: ``None``, the data set's own)
        divergence: As in :class:`ContinuousFlow`. (default: ``"rademacher"``)
        solver: Name or solver object, for all solves. (default: ``"dopri5"``)
        seed: Seed of the parameters. (default: ``0``)

    Raises:
        ValueError: For an unknown name.
    """
    if dataset not in IMAGE_FLOWS:
        raise ValueError(
            f"expected 'dataset' to be one of {', '.join(IMAGE_FLOWS)} (got '{dataset}')"
        )
    preset = IMAGE_FLOWS[dataset]
    kind = architecture or preset.architecture
    if kind not in ARCHITECTURES:
        raise ValueError(
            f"expected 'architecture' to be one of {', '.join(ARCHITECTURES)} (got '{kind}')"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body: Bijection
        if kind == "dense":
            body = DenseFlow(
                preset.shape, hidden=preset.dense, divergence=divergence, solver=solver
            )
        else:
            body = MultiscaleFlow(
                preset.shape,
                hidden=preset.hidden,
                scales=preset.scales,
                blocks=preset.blocks,
                divergence=divergence,
                solver=solver,
            )
    return ImageFlow(preset.shape, body, levels=preset.levels, alpha=preset.alpha)


def describe_flow(dataset: str, architecture: str | None = None) -> dict[str, Any]:
    """Sizes, number of trainable parameters and layers of a flow, as plain values.

    Args:
        dataset, architecture: Of :func:`image_flow`.
    """
    flow = image_flow(dataset, architecture)
    return {
        "dataset": dataset,
        "architecture": architecture or IMAGE_FLOWS[dataset].architecture,
        "shape": list(flow.shape),
        "levels": flow.levels,
        **describe_module(flow),
    }
