"""Numbers printed in thesis chapter 4: accuracies and t-tests."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

SPLITS = 100
"""Splits behind every number: section 4.6 says so, and Table 4.4 computes with it."""

SEEDS = 20
"""Runs on each of these splits (section 4.6)."""


class ModelVariant(NamedTuple):
    """A row of a table: a model, and the rewiring where the table tells two of them apart."""

    model: str
    rewiring: str | None = None

    @property
    def name(self) -> str:
        """The name in tables, for example ``"grand-nl-rw (gdc)"``."""
        return f"{self.model} ({self.rewiring})" if self.rewiring else self.model


@dataclass(frozen=True)
class ThesisCell:
    """One cell of Table 4.1, 4.2, 4.3 or 4.6 to 4.10; accuracies are fractions.

    Args:
        table: Number of the table.
        dataset: Data set, named as in :data:`grandpp.data.DATASETS`.
        variant: Model, named as in :data:`grandpp.training.MODELS`, and its rewiring.
        labels: Labelled nodes per class; ``None`` for Table 4.2, on the full training set.
        depth: Integration time or number of layers; ``None`` where it was tuned.
        mean, std: Accuracy; ``None`` for ``NA``, the thesis's word for a failed solver. For Table
            4.9 it says so in the caption, of the depths missing for Cora and PubMed.
    """

    table: str
    dataset: str
    variant: ModelVariant
    labels: int | None
    depth: float | None
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class ThesisTest:
    """One t-test of GRAND++-l against GRAND-l: of Table 4.4, unpaired, or of Table 4.5, paired.

    Args:
        table, dataset, labels: Which one.
        splits: Its n.
        t: Score.
        difference, std: Mean and deviation of the paired differences, in fractions.
        p: Its p-value, apparently one-sided.
    """

    table: str
    dataset: str
    labels: int
    splits: int
    t: float
    difference: float | None = None
    std: float | None = None
    p: float | None = None


def thesis_cells(table: str) -> tuple[ThesisCell, ...]:
    """All cells of a table, in its order.

    Raises:
        ValueError: If the table is not one of accuracies.
    """
    found = tuple(cell for cell in _all_cells() if cell.table == table)
    if not found:
        known = ", ".join(dict.fromkeys(cell.table for cell in _all_cells()))
        raise ValueError(f"expected a table of {known} (got '{table}')")
    return found


def thesis_tests(table: str) -> tuple[ThesisTest, ...]:
    """All t-tests of Table 4.4 or 4.5, in its order; none for another table."""
    return tuple(
        ThesisTest(
            table,
            row["dataset"],
            int(row["labels"]),
            int(row["splits"]),
            float(row["t"]),
            _fraction(row["difference"]),
            _fraction(row["std"]),
            float(row["p"]) if row["p"] else None,
        )
        for row in _lines("thesis_tests.csv")
        if row["table"] == table
    )


@cache
def _all_cells() -> tuple[ThesisCell, ...]:
    return tuple(
        ThesisCell(
            row["table"],
            row["dataset"],
            ModelVariant(row["model"], row["rewiring"] or None),
            int(row["labels"]) if row["labels"] else None,
            float(row["depth"]) if row["depth"] else None,
            _fraction(row["mean"]),
            _fraction(row["std"]),
        )
        for row in _lines("thesis.csv")
    )


def _fraction(percent: str) -> float | None:
    return round(float(percent) / 100, 6) if percent else None


def _lines(name: str) -> list[dict[str, str]]:
    text = files("grandpp.studies.thesis").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))
