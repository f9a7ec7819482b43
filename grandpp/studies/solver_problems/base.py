"""The interface of a study: jobs that give rows, a summary of the rows, and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from grandpp.solvers import SOLVER_NAMES
from grandpp.solvers.implicit.inner import INNER_SOLVERS
from grandpp.training.options import DataOptions, option, positive_float

Row: TypeAlias = dict[str, Any]
"""One measurement, ready for JSON."""


@dataclass(frozen=True)
class StudyRequest(DataOptions):
    """What to measure.

    An empty tuple stands for the default of the study.

    Args:
        notify: Called with notices to the user that the rows do not contain.
    """

    problem: str = option("one of the problems above", metavar="NAME")
    solvers: tuple[str, ...] = option(
        "solvers to measure, one or more of {choices}",
        flag="--solver",
        choices=tuple(name for name in SOLVER_NAMES if name != "steady"),
        default=(),
        metavar="NAME",
        shown_default="those that fit the problem",
    )
    tolerances: tuple[float, ...] = option(
        "tolerances; for fixed-step methods, steps",
        flag="--tolerance",
        parse=positive_float,
        default=(),
        metavar="X",
        shown_default="a list that fits the problem and the kind of solver",
    )
    inners: tuple[str, ...] = option(
        "inner solvers of proximal methods, one or more of {choices}",
        flag="--inner",
        choices=tuple(INNER_SOLVERS),
        default=(),
        metavar="NAME",
        shown_default="fr",
    )
    inner_tols: tuple[float, ...] = option(
        "tolerances of the inner solver",
        flag="--inner-tol",
        parse=positive_float,
        default=(),
        metavar="X",
        shown_default="small enough that the error of the steps dominates",
    )
    notify: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Job:
    """One unit of work, a tick of the progress bar.

    Args:
        label: Text of the progress bar meanwhile.
        run: Does it.
    """

    label: str
    run: Callable[[], list[Row]]


class Study(Protocol):
    """A set of measurements of one kind."""

    def jobs(self) -> list[Job]:
        """The work, in order."""
        ...

    def summary(self, rows: Sequence[Row]) -> Row:
        """Summary of the rows; empty if there is none."""
        ...

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Save a picture of the rows."""
        ...
