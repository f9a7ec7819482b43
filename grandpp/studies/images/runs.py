"""One run of an image classifier: train it with a progress bar and checkpoints, record it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from tqdm import tqdm

from grandpp.studies.images.settings import EARLIER, ImageConfig
from grandpp.training.checkpointed_training import Fit, Row, Task, fit
from grandpp.training.record_file import Record, RecordFormat

IMAGE_RECORDS = RecordFormat(
    key=tuple(f.name for f in fields(ImageConfig)),
    required=("images", "status", "history", "by_tolerance"),
    optional=("parameters", "device", "seconds"),
    earlier=EARLIER,
)
"""Every setting tells runs apart; older lines were all solved by dopri5."""


def image_record(
    config: ImageConfig,
    done: Fit,
    *,
    images: str,
    parameters: int,
    device: str,
    by_tolerance: Sequence[Mapping[str, float]] = (),
) -> Record:
    """One line of a file: the settings, the epochs, and evaluations by tolerance.

    Args:
        config: The settings.
        done: The training.
        images: Where training and test images come from, in words.
        parameters: Number of trainable parameters.
        device: Where it ran.
        by_tolerance: Rows of :func:`grandpp.studies.images.classification.nfe_at_tolerance`.
            (default: none)
    """
    return {
        **asdict(config),
        "images": images,
        "parameters": parameters,
        "device": device,
        "status": done.status,
        "seconds": sum(row["seconds"] for row in done.history),
        "history": done.history,
        "by_tolerance": list(by_tolerance),
    }


def check_images(records: Iterable[Record], config: ImageConfig, images: str) -> None:
    """Raise an error for runs on other images of the same name in one file.

    MNIST may be all of its digits or a division of the test digits, whichever is found.

    Args:
        records: Runs of the file.
        config: A run to be done.
        images: Its images in words.

    Raises:
        ValueError: If a run of as many images has others.
    """
    asked = (config.dataset, config.train, config.test)
    for record in records:
        there = (record["dataset"], record["train"], record["test"])
        if there == asked and record["images"] != images:
            raise ValueError(
                f"expected images as those of the runs in the file, {record['images']} "
                f"(got {images})"
            )


def check_folder(folder: Path | None) -> None:
    """Raise an error for a folder of checkpoints that cannot be written to; make a missing one.

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
        ValueError: If the file is no checkpoint, or belongs to another training.
    """
    with tqdm(
        total=config.epochs * batches,
        desc=f"{config.model} {config.seed}",
        unit="batch",
        disable=not show,
        file=sys.stderr,
    ) as bar:

        def on_epoch(row: Row) -> None:
            shown: dict[str, Any] = {
                "loss": f"{row['loss']:.3f}",
                "accuracy": f"{100 * row['test_accuracy']:.1f}%",
                "nfe": f"{row['nfe_forward']:.0f}+{row['nfe_backward']:.0f}",
            }
            bar.set_postfix(shown, refresh=False)
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
