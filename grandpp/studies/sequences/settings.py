"""Settings and records of the sequence study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from grandpp.data import SEQUENCES
from grandpp.studies.sequences.recipes import RECIPES
from grandpp.training.checkpointed_training import Fit
from grandpp.training.options import option, positive_float, positive_int
from grandpp.training.record_file import Record, RecordFormat

SOLVERS = ("tsit5", "dopri5", "exact")


def _each(name: str) -> str:
    """The values of all recipes, for the help."""
    return ", ".join(f"{dataset} {getattr(r, name):g}" for dataset, r in RECIPES.items())


@dataclass(frozen=True, kw_only=True)
class SequenceSettings:
    """How models are trained."""

    dataset: str = option(
        "one of {choices}; oscillator needs no file",
        default=SEQUENCES[-1],
        choices=SEQUENCES,
        metavar="NAME",
    )
    epochs: int | None = option(
        "passes over the training windows",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default=_each("epochs"),
    )
    windows: int | None = option(
        "number of training windows",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default="all",
    )
    batch_size: int | None = option(
        "windows in a batch",
        default=None,
        parse=positive_int,
        metavar="N",
        shown_default=_each("batch_size"),
    )
    solver: str = option(
        "solver; exact is for models with a linear equation: all of walker2d but ghbnode and "
        "adamnode",
        default=SOLVERS[0],
        choices=SOLVERS,
    )
    tolerance: float | None = option(
        "rtol and atol of the solver; with exact, of the adjoint solve after the training",
        default=None,
        parse=positive_float,
        metavar="TOL",
        shown_default=_each("tolerance"),
    )
    lr: float | None = option(
        "learning rate of Adam, whose gradients are clipped to norm 1",
        default=None,
        parse=positive_float,
        shown_default=_each("lr"),
    )
    gradient: str | None = option(
        "gradient of solvers with a tolerance",
        default=None,
        choices=("direct", "adjoint"),
        shown_default="direct, which is faster; the paper uses adjoint",
    )

    def configs(self, models: Sequence[str], seeds: Iterable[int]) -> list[SequenceConfig]:
        """Return the runs of several models and seeds; ``None`` here is the value of the recipe.

        Args:
            models: Names; repeated ones count once.
            seeds: Seeds; each is done with all models before the next.

        Raises:
            ValueError: If a gradient is asked of the exact solver, which has one only.
        """
        if self.solver == "exact" and self.gradient is not None:
            raise ValueError(f"expected no --gradient with --solver exact (got '{self.gradient}')")
        recipe = RECIPES[self.dataset]
        shared = {f.name: getattr(self, f.name) for f in fields(SequenceSettings)}
        for name in ("epochs", "batch_size", "tolerance", "lr"):
            shared[name] = shared[name] or getattr(recipe, name)
        if self.solver != "exact":
            shared["gradient"] = self.gradient or "direct"
        names = dict.fromkeys(models)
        return [SequenceConfig(model=name, seed=seed, **shared) for seed in seeds for name in names]


@dataclass(frozen=True, kw_only=True)
class SequenceConfig(SequenceSettings):
    """Everything that decides a run: complete settings, a model and a seed.

    Args:
        model: One of :data:`grandpp.layers.KINDS`.
        seed: Of the parameters, the windows and their order.
    """

    model: str
    seed: int
    epochs: int = field()
    batch_size: int = field()
    tolerance: float = field()
    lr: float = field()


SEQUENCE_RECORDS = RecordFormat(
    key=tuple(f.name for f in fields(SequenceConfig)),
    required=("status", "seconds", "history"),
    optional=("parameters", "best_epoch", "curve", "adjoint", "probe_status"),
    earlier={"solver": "tsit5"},
)
"""Every setting tells runs apart; older lines were all solved by tsit5."""


def make_run(key: Mapping[str, Any], parameters: int, done: Fit) -> Record:
    """One training in plain values.

    Args:
        key: The settings.
        parameters: Number of parameters.
        done: The training.

    Returns:
        The key with ``parameters``, ``status``, ``seconds``, ``history`` and, if an epoch was
        finished, ``best_epoch``: the one with the smallest validation loss.
    """
    run = {
        **key,
        "parameters": parameters,
        "status": done.status,
        "seconds": sum(row["seconds"] for row in done.history),
        "history": done.history,
    }
    if done.history:
        run["best_epoch"] = int(best(done.history)["epoch"])
    return run


def best(history: Sequence[Mapping[str, float]]) -> Mapping[str, float]:
    """The row with the smallest validation loss."""
    return min(history, key=lambda row: row["validation_loss"])
