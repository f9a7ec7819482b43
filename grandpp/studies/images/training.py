"""Run one image classifier with a progress bar and checkpoints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from grandpp.studies.images.runs import ImageConfig
from grandpp.training.checkpointed_training import Fit, Row, Task, fit


def check_folder(folder: Path | None) -> None:
    """Refuse a folder of checkpoints that could not be written to, and make one that is missing.

    Raises:
        ValueError: If something else than a folder is there, or its parent is missing.
    """
    if folder is None:
        return
    if not folder.parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise ValueError(f"expected a folder, or nothing in an existing one, at {folder}")
    folder.mkdir(exist_ok=True)


def train_images(
    config: ImageConfig,
    task: Task,
    *,
    batches: int,
    images: str,
    checkpoints: Path | None = None,
    resume: bool = False,
    show: bool = True,
) -> Fit:
    """Train one model to the end, or to a solve that fails.

    Args:
        config: The settings.
        task: The model and its images.
        batches: Steps in an epoch.
        images: Where the images come from, in words; a checkpoint of others is refused.
        checkpoints: Folder of checkpoints, one file per run. (default: ``None``)
        resume: Go on from a checkpoint that is there. (default: ``False``)
        show: Whether to show a bar on stderr. (default: ``True``)

    Raises:
        ValueError: If the checkpoint is none, or belongs to another training.
    """
    with tqdm(
        total=config.epochs * batches,
        desc=f"{config.model} {config.seed}",
        unit="batch",
        disable=not show,
        file=sys.stderr,
    ) as bar:

        def on_epoch(row: Row) -> None:
            told: dict[str, Any] = {
                "loss": f"{row['loss']:.3f}",
                "accuracy": f"{100 * row['test_accuracy']:.1f}%",
                "nfe": f"{row['nfe_forward']:.0f}+{row['nfe_backward']:.0f}",
            }
            bar.set_postfix(told, refresh=False)
            # A resumed training begins further on.
            bar.update(round(row["epoch"]) * batches - bar.n)

        def on_batch() -> None:
            bar.update()

        return fit(
            task,
            config.epochs,
            config.training(images),
            checkpoint=None if checkpoints is None else checkpoints / f"{config.name}.pt",
            resume=resume,
            on_epoch=on_epoch,
            on_batch=on_batch,
        )
