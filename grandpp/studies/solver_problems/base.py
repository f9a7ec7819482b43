"""The interface of a study: jobs that give rows, a summary of the rows, and a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Row: TypeAlias = dict[str, Any]
"""One measurement, ready for JSON."""


@dataclass(frozen=True)
class StudyRequest:
    """What a user asked to measure; empty tuples mean the study's own choice.

    Args:
        problem: Name of the study.
        solvers: Names of solvers.
        tolerances: Tolerances, which fixed-step methods take as their step.
        inners: Names of inner solvers.
        inner_tols: Tolerances of inner solvers.
        root: Folder of raw data files.
        notify: Takes what the user should know and the rows do not say.
    """

    problem: str
    solvers: tuple[str, ...] = ()
    tolerances: tuple[float, ...] = ()
    inners: tuple[str, ...] = ()
    inner_tols: tuple[float, ...] = ()
    root: Path | None = None
    notify: Callable[[str], None] = lambda text: None


@dataclass(frozen=True)
class Job:
    """A piece of work that is worth a tick of the progress bar.

    Args:
        label: What the progress bar says meanwhile.
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
        """What the rows say, empty where there is nothing to add."""
        ...

    def draw(self, rows: Sequence[Row], path: Path) -> None:
        """Save a picture of the rows."""
        ...
