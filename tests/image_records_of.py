"""Records of image classifiers, made up."""

from __future__ import annotations

from typing import Any

from grandpp.studies.images.runs import image_record
from grandpp.studies.images.settings import ImageConfig
from grandpp.training.checkpointed_training import Fit


def config(model: str = "node", seed: int = 0, **changes: Any) -> ImageConfig:
    settings = {"dataset": "digits", "epochs": 2, "tolerance": 1e-3, "lr": 0.01} | changes
    return ImageConfig(model=model, seed=seed, **settings)


def row(epoch: int, accuracy: float, forward: float = 20.0, backward: float = 30.0) -> dict:
    return {
        "epoch": epoch,
        "loss": 1.0 / epoch,
        "train_accuracy": accuracy,
        "nfe_forward": forward,
        "nfe_backward": backward,
        "seconds": 2.0,
        "test_loss": 0.5,
        "test_accuracy": accuracy,
        "nfe_test": forward,
    }


def record(model: str = "node", seed: int = 0, accuracy: float = 0.9, **changes: Any) -> dict:
    """Two epochs, the second with ``accuracy`` and 26 and 34 evaluations."""
    status = changes.pop("status", "success")
    rows = [row(1, accuracy / 2), row(2, accuracy, 26.0, 34.0)]
    by_tolerance = [
        {"tolerance": t, "nfe_forward": n + seed, "nfe_backward": 2.0 * n, "accuracy": accuracy}
        for t, n in zip(changes.get("tolerances", ()), (20, 40, 80), strict=False)
    ]
    return image_record(
        config(model, seed, **changes),
        Fit(rows if status == "success" else rows[:1], status),
        images="made up",
        parameters=100,
        device="cpu",
        by_tolerance=by_tolerance,
    )
