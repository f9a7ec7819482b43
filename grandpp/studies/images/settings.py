"""Settings of image classifiers: the defaults of every data set, and what decides a run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from grandpp.data import IMAGE_DATASETS
from grandpp.training.options import (
    HeldOutImageOptions,
    TrainingImageOptions,
    option,
    positive_float,
    positive_int,
)

IMAGE_SOLVERS = ("dormand_prince", "tsit5", "dopri5")
"""Adaptive methods of order 5: this library's two, and torchdiffeq's, which the papers use."""

AMP_TOLERANCE = 1e-3
"""The least tolerance that steps in bfloat16 can be held to."""


class Defaults(NamedTuple):
    """Settings of a data set where none are given.

    Args:
        models: Names.
        epochs: Passes over the training images.
        tolerance: Of the solver.
        lr: Learning rate.
        shift: Largest shift with augmentation, in pixels.
        flip: Whether augmentation mirrors images, which digits do not allow.
    """

    models: tuple[str, ...]
    epochs: int
    tolerance: float
    lr: float
    shift: int
    flip: bool


_FIRST_SOLVER = "dopri5"
"""The solver of records and checkpoints that name none."""

EARLIER = {"solver": _FIRST_SOLVER}
"""Settings of records from before there was a choice."""

_SIX = ("node", "anode", "sonode", "hbnode", "ghbnode", "adamnode")
IMAGE_DEFAULTS: dict[str, Defaults] = {
    "mnist": Defaults(_SIX, 10, 1e-5, 1e-3, 2, False),
    "cifar10": Defaults(_SIX, 40, 1e-5, 1e-3, 4, True),
    "digits": Defaults(("node", "hbnode"), 4, 1e-3, 5e-3, 1, False),
}
"""Rates and tolerances of MNIST and CIFAR-10 are the paper's; those of ``digits`` suit a trial."""


def _each(name: str) -> str:
    """The defaults of all data sets, for the help."""
    values = {dataset: getattr(row, name) for dataset, row in IMAGE_DEFAULTS.items()}
    return ", ".join(f"{dataset} {value:g}" for dataset, value in values.items())


@dataclass(frozen=True, kw_only=True)
class ImageSettings(HeldOutImageOptions, TrainingImageOptions):
    """How classifiers are trained."""

    dataset: str = option(
        "one of {choices}; digits comes with scikit-learn",
        default="digits",
        choices=IMAGE_DATASETS,
        metavar="NAME",
    )
    epochs: int | None = option(
        "passes over the training images",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default=_each("epochs"),
    )
    tolerance: float | None = option(
        "rtol and atol of the solver",
        default=None,
        flag="--tol",
        parse=positive_float,
        metavar="TOL",
        shown_default=_each("tolerance"),
    )
    solver: str = option(
        "one of {choices}; dopri5 is that of torchdiffeq, as in the papers",
        default="dormand_prince",
        choices=IMAGE_SOLVERS,
        metavar="NAME",
    )
    lr: float | None = option(
        "learning rate of Adam", default=None, parse=positive_float, shown_default=_each("lr")
    )
    batch_size: int = option("images in a batch", default=64, parse=positive_int, metavar="N")
    augment: bool = option(
        "shift training images at random; for cifar10 also mirror them", default=False
    )
    amp: bool = option(
        "evaluate the field in bfloat16 in training; for --tol 1e-3, on hardware that has it",
        default=False,
    )
    tolerances: tuple[float, ...] = option(
        "count the trained models' evaluations at these tolerances, in float32",
        default=(),
        parse=positive_float,
        metavar="TOL",
    )
    # Below 1e-5 one batch can take minutes.
    tolerance_images: int = option(
        "number of test images for --tolerances", default=64, parse=positive_int, metavar="N"
    )

    def configs(self, models: Sequence[str], seeds: Iterable[int]) -> list[ImageConfig]:
        """Return the runs of several models and seeds; ``None`` here is the data set's default.

        Args:
            models: Names, the data set's default if empty; repeated ones count once.
            seeds: Seeds; each is done with all models before the next.

        Raises:
            ValueError: For a tolerance that bfloat16 cannot keep.
        """
        known = IMAGE_DEFAULTS[self.dataset]
        given = {f.name: getattr(self, f.name) for f in fields(ImageSettings)}
        shared = given | {
            "epochs": self.epochs or known.epochs,
            "tolerance": self.tolerance or known.tolerance,
            "lr": self.lr or known.lr,
        }
        if self.amp and shared["tolerance"] < AMP_TOLERANCE:
            raise ValueError(
                f"expected a tolerance of at least {AMP_TOLERANCE:g} with --amp "
                f"(got {shared['tolerance']:g}): below, rounding decides the steps"
            )
        names = dict.fromkeys(models or known.models)
        return [ImageConfig(model=name, seed=seed, **shared) for seed in seeds for name in names]


@dataclass(frozen=True, kw_only=True)
class ImageConfig(ImageSettings):
    """Everything that decides a run: complete settings, a model and a seed.

    Args:
        model: Name of the classifier.
        seed: Of the parameters, the order of images and their augmentation.
    """

    model: str
    seed: int
    epochs: int = field()
    tolerance: float = field()
    lr: float = field()

    @property
    def name(self) -> str:
        """Name of a checkpoint, different for every training."""
        parts = [self.dataset, self.model, str(self.seed), f"tol{self.tolerance:g}",
                 f"lr{self.lr:g}", f"batch{self.batch_size}"]  # fmt: skip
        parts += [] if self.train is None else [f"train{self.train}"]
        parts += [] if self.test is None else [f"test{self.test}"]
        # Names from before there was a choice stay as they were.
        parts += [] if self.solver == _FIRST_SOLVER else [self.solver]
        parts += [word for word in ("augment", "amp") if getattr(self, word)]
        return "-".join(parts)

    @property
    def augmentation(self) -> dict[str, Any]:
        """``shift`` and ``flip`` of the training images."""
        known = IMAGE_DEFAULTS[self.dataset]
        return {"shift": known.shift, "flip": known.flip} if self.augment else {}

    def training(self, note: str) -> dict[str, Any]:
        """Choices that decide the parameters at any epoch, for a checkpoint."""
        later = ["epochs", "tolerances", "tolerance_images", "train", "test"]
        later += ["solver"] if self.solver == _FIRST_SOLVER else []
        return {k: v for k, v in asdict(self).items() if k not in later} | {"images": note}
