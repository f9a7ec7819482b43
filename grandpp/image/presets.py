"""Image classifiers by data set and model, in the sizes of the papers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from grandpp.image.classifier import ODEClassifier
from grandpp.layers.describe import describe_module


class ClassifierSize(NamedTuple):
    """Channels n of the position and h of the hidden layers."""

    n: int
    h: int


IMAGE_SHAPES: dict[str, tuple[int, int, int]] = {
    "mnist": (1, 28, 28),
    "cifar10": (3, 32, 32),
    "digits": (1, 8, 8),
}
"""Channels, height and width by data set."""

IMAGE_MODELS: dict[str, dict[str, ClassifierSize]] = {
    "mnist": {
        "node": ClassifierSize(1, 92),
        "anode": ClassifierSize(6, 64),
        "sonode": ClassifierSize(5, 50),
        "hbnode": ClassifierSize(5, 50),
        "ghbnode": ClassifierSize(6, 45),
        "adamnode": ClassifierSize(5, 50),
    },
    "cifar10": {
        "node": ClassifierSize(3, 125),
        "anode": ClassifierSize(13, 64),
        "sonode": ClassifierSize(12, 50),
        "hbnode": ClassifierSize(12, 51),
        "ghbnode": ClassifierSize(12, 51),
        "adamnode": ClassifierSize(12, 51),
    },
    "digits": {
        "node": ClassifierSize(1, 24),
        "anode": ClassifierSize(3, 21),
        "sonode": ClassifierSize(2, 16),
        "hbnode": ClassifierSize(2, 16),
        "ghbnode": ClassifierSize(2, 16),
        "adamnode": ClassifierSize(2, 16),
    },
}
"""Sizes by data set and model.

MNIST and CIFAR-10: HBNODE paper Table 3; AdamNODE, whose paper only says that it is as large as the
others, has the sizes of HBNODE. ``digits``: our sizes, 6,172 parameters for NODE and at most 2 %
more for the others.
"""


def image_classifier(
    dataset: str, model: str, *, seed: int | None = None, **options: Any
) -> ODEClassifier:
    """Build a classifier in the size of :data:`IMAGE_MODELS`.

    Args:
        dataset: ``"mnist"``, ``"cifar10"`` or ``"digits"``.
        model: The ``kind`` of :class:`ODEClassifier`.
        seed: Seed of the parameters; the global generator is not used then.
            (default: ``None``, draw from the global generator)
        **options: Keyword arguments of :class:`ODEClassifier`, from ``tolerance`` on.

    Raises:
        ValueError: For an unknown data set or model.
    """
    if dataset not in IMAGE_MODELS:
        raise ValueError(
            f"expected 'dataset' to be one of {', '.join(IMAGE_MODELS)} (got '{dataset}')"
        )
    sizes = IMAGE_MODELS[dataset]
    if model not in sizes:
        raise ValueError(f"expected 'model' to be one of {', '.join(sizes)} (got '{model}')")
    n, h = sizes[model]
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        return ODEClassifier(model, IMAGE_SHAPES[dataset], n, h, **options)


def describe_classifier(dataset: str, model: str) -> dict[str, Any]:
    """Data set, name, number of trainable parameters and layers of a classifier.

    Args:
        dataset: As in :func:`image_classifier`.
        model: Likewise.

    Returns:
        A dictionary of plain values, see :func:`grandpp.layers.describe.describe_module`.
    """
    net = image_classifier(dataset, model)
    return {"dataset": dataset, "model": model, **describe_module(net)}
