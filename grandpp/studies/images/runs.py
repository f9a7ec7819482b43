"""Settings and records of image classifiers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

from grandpp.training.checkpointed_training import Fit
from grandpp.training.run_lines import read_runs

ImageRecord = dict[str, Any]


class Defaults(NamedTuple):
    """Settings of a data set where none are given.

    Args:
        models: Names.
        epochs: Passes over the training images.
        tolerance: Of the solver.
        lr: Learning rate.
        shift: Largest shift with augmentation, in pixels.
        flip: Whether augmentation mirrors images; a mirrored digit is none.
    """

    models: tuple[str, ...]
    epochs: int
    tolerance: float
    lr: float
    shift: int
    flip: bool


_SIX = ("node", "anode", "sonode", "hbnode", "ghbnode", "adamnode")
IMAGE_DEFAULTS: dict[str, Defaults] = {
    "mnist": Defaults(_SIX, 10, 1e-5, 1e-3, 2, False),
    "cifar10": Defaults(_SIX, 40, 1e-5, 1e-3, 4, True),
    "digits": Defaults(("node", "hbnode"), 4, 1e-3, 5e-3, 1, False),
}
"""Rates and tolerances of MNIST and CIFAR-10 are hbnode.md's; those of ``digits`` suit a trial."""


@dataclass(frozen=True)
class ImageConfig:
    """Everything that decides a run.

    Args:
        dataset: Name of the images.
        model: Name of the classifier.
        seed: Of the parameters, the order of images and their augmentation.
        epochs: Passes over the training images.
        tolerance: Of the solver.
        lr: Learning rate of Adam.
        batch_size: Images in a batch.
        train: Number of training images; ``None`` for all.
        test: Number of test images; ``None`` for all.
        augment: Whether training images are moved, and mirrored where that makes sense.
        amp: Whether the field is evaluated in bfloat16.
        tolerances: At which the trained model's evaluations are counted.
        tolerance_images: Number of test images for that: below 1e-5 one batch can take minutes.
    """

    dataset: str
    model: str
    seed: int
    epochs: int
    tolerance: float
    lr: float
    batch_size: int = 64
    train: int | None = None
    test: int | None = None
    augment: bool = False
    amp: bool = False
    tolerances: tuple[float, ...] = ()
    tolerance_images: int = 64

    @property
    def name(self) -> str:
        """What a checkpoint is called: apart from those of all other trainings."""
        parts = [self.dataset, self.model, str(self.seed), f"tol{self.tolerance:g}",
                 f"lr{self.lr:g}", f"batch{self.batch_size}"]  # fmt: skip
        parts += [] if self.train is None else [f"train{self.train}"]
        parts += [] if self.test is None else [f"test{self.test}"]
        parts += [word for word in ("augment", "amp") if getattr(self, word)]
        return "-".join(parts)

    @property
    def augmentation(self) -> dict[str, Any]:
        """``shift`` and ``flip`` of the training images."""
        known = IMAGE_DEFAULTS[self.dataset]
        return {"shift": known.shift, "flip": known.flip} if self.augment else {}

    def training(self, note: str) -> dict[str, Any]:
        """What decides the parameters at any epoch, for a checkpoint."""
        later = ("epochs", "tolerances", "tolerance_images", "train", "test")
        return {k: v for k, v in asdict(self).items() if k not in later} | {"images": note}


IMAGE_KEY = tuple(f.name for f in fields(ImageConfig))
"""Fields of a record that tell runs apart: every setting."""


def image_configs(
    dataset: str,
    models: Sequence[str] | None,
    seeds: Iterable[int],
    *,
    epochs: int | None = None,
    tolerance: float | None = None,
    lr: float | None = None,
    **others: Any,
) -> list[ImageConfig]:
    """Runs of several models and seeds; what is ``None`` is the data set's default.

    Args:
        dataset: One of :data:`IMAGE_DEFAULTS`.
        models: Names; repeated ones count once.
        seeds: Seeds; each is done with all models before the next.
        epochs: Passes over the training images.
        tolerance: Of the solver.
        lr: Learning rate.
        **others: Further settings of :class:`ImageConfig`.
    """
    known = IMAGE_DEFAULTS[dataset]
    shared = {
        "dataset": dataset,
        "epochs": epochs or known.epochs,
        "tolerance": tolerance or known.tolerance,
        "lr": lr or known.lr,
        **others,
    }
    names = dict.fromkeys(models or known.models)
    return [ImageConfig(model=name, seed=seed, **shared) for seed in seeds for name in names]


def image_record(
    config: ImageConfig,
    done: Fit,
    *,
    images: str,
    parameters: int,
    device: str,
    by_tolerance: Sequence[Mapping[str, float]] = (),
) -> ImageRecord:
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


def read_image_records(path: Path | None) -> dict[tuple[Any, ...], ImageRecord]:
    """Runs in a file by their key; an empty dictionary if there is no file.

    Raises:
        ValueError: If a line is no run, or there is no folder for the file.
    """
    records = read_runs(path, IMAGE_KEY)
    for record in records.values():
        if not {"images", "history", "status", "by_tolerance"} <= record.keys():
            raise ValueError(f"expected runs of image classifiers in {path} (got others)")
    return records


def check_images(records: Iterable[ImageRecord], config: ImageConfig, images: str) -> None:
    """Refuse to put runs on other images of the same name into one file.

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
