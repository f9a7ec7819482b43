"""Compare our accuracies with those printed in the thesis, cell by cell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grandpp.studies.low_label.comparison import (
    LEVEL,
    NOT_SIGNIFICANT,
    Comparison,
    compare,
    p_text,
)
from grandpp.studies.thesis.layouts import TableLayout
from grandpp.studies.thesis.printed import SPLITS, ThesisCell
from grandpp.training.reading import METRICS
from grandpp.training.records import Record
from grandpp.training.statistics import UnpairedDifference, holm, split_means, welch_from_moments
from grandpp.training.table_cells import CellRun, collect_cells


@dataclass(frozen=True)
class Reproduced:
    """One cell of a table: our result and that of the thesis; accuracies are fractions.

    Args:
        dataset, labels, depth, model: The cell; ``depth`` is ``None`` in a table of labels.
        runs, failed: Numbers of our runs with and without a result.
        splits: Number of our splits with a result; seeds are averaged within a split.
        mean, std: Test accuracy at the best validation epoch, over splits.
        last_mean, last_std: Test accuracy after the last epoch.
        thesis: The cell of the thesis; ``None`` if it has none.
        test: Welch's test of our splits against the 100 splits of the thesis.
        holm_p: Its p-value, corrected for all tested cells of the table.
    """

    dataset: str
    labels: int
    depth: float | None
    model: str
    runs: int = 0
    failed: int = 0
    splits: int = 0
    mean: float | None = None
    std: float | None = None
    last_mean: float | None = None
    last_std: float | None = None
    thesis: ThesisCell | None = None
    test: UnpairedDifference | None = None
    holm_p: float | None = None

    @property
    def at(self) -> float:
        """Position of the cell on the axis of its table: labels per class, or depth."""
        return self.labels if self.depth is None else self.depth

    @property
    def outcome(self) -> str:
        """``"better"`` or ``"worse"`` than the thesis, ``"n.s."`` or why there is no test."""
        if self.test is not None and self.holm_p is not None:
            if self.holm_p >= LEVEL:
                return NOT_SIGNIFICANT
            return "better" if self.test.mean > 0 else "worse"
        if self.runs == 0:
            return "every run failed" if self.failed else "not run"
        if self.thesis is None:
            return "not in the thesis"
        if self.thesis.mean is None:
            return "filled"
        return "no test"

    @property
    def verdict(self) -> str:
        """The outcome with its p-value, in words."""
        if self.holm_p is not None:
            return f"{self.outcome} (p {p_text(self.holm_p)})"
        if self.outcome == "filled":
            return "filled: NA in the thesis"
        return "one split: no test" if self.outcome == "no test" else self.outcome


@dataclass(frozen=True)
class Paired:
    """A comparison with the table's baseline over identical splits, at one depth or without.

    Args:
        depth: ``None`` in a table of labels.
        best, last: Of the accuracy at the best validation epoch, and after the last epoch.
    """

    depth: float | None
    best: Comparison
    last: Comparison


@dataclass(frozen=True)
class Reproduction:
    """A reproduced table, as far as there are records of it.

    Args:
        layout: The table.
        protocol: Protocol of every run.
        cells: Cells by data set, model and axis: those with runs, and those of the thesis with the
            same data sets and models.
        paired: Every model against the baseline; empty without runs of the baseline.
    """

    layout: TableLayout
    protocol: str
    cells: tuple[Reproduced, ...]
    paired: tuple[Paired, ...]


def reproduce(layout: TableLayout, records: Iterable[Record]) -> Reproduction:
    """Compare our records of a table with the numbers of the thesis.

    Each cell is tested by Welch's t-test with the mean, deviation and 100 splits of the thesis,
    because the splits are not known to be the same draws. Holm's correction is over all cells
    tested here, and separately over the paired comparisons of each accuracy.

    Args:
        layout: The table.
        records: Records of one protocol and, in each cell, one configuration.

    Raises:
        ValueError: Without records, and for whatever :func:`collect_cells` refuses.
    """
    by_depth: dict[float | None, list[Record]] = {}
    for record in records:
        named = {**record, "model": layout.variant_of(record).name}
        by_depth.setdefault(layout.depth_of(record), []).append(named)
    if not by_depth:
        raise ValueError(f"expected records of table {layout.table} (got none)")
    printed = {(c.dataset, c.labels, c.depth, c.variant.name): c for c in layout.cells}
    own = []
    for depth, group in by_depth.items():
        for cell in collect_cells(group):
            for model, runs in cell.runs.items():
                place = (cell.dataset, cell.labels_per_class, depth, model)
                own.append(_measured(place, runs, printed.get(place)))
    protocols = {record["protocol"] for group in by_depth.values() for record in group}
    if len(protocols) > 1:
        raise ValueError(f"expected records of one protocol (got {', '.join(sorted(protocols))})")
    cells = _sorted(layout, [*own, *_missing(own, printed.values())])
    return Reproduction(layout, protocols.pop(), _corrected(cells), _paired(layout, by_depth))


def _measured(
    place: tuple[str, int, float | None, str], runs: Sequence[CellRun], thesis: ThesisCell | None
) -> Reproduced:
    failed = sum(run.failed for run in runs)
    cell = Reproduced(*place, runs=len(runs) - failed, failed=failed, thesis=thesis)
    good = [run for run in runs if not run.failed]
    if not good:
        return cell
    mean, std, n = _moments(good, "test_accuracy")
    last_mean, last_std, _ = _moments(good, "last_test_accuracy")
    cell = replace(cell, splits=n, mean=mean, std=std, last_mean=last_mean, last_std=last_std)
    if thesis is None or thesis.mean is None or thesis.std is None:
        return cell
    test = welch_from_moments((mean, std, n), (thesis.mean, thesis.std, SPLITS))
    return replace(cell, test=test)


def _moments(runs: Sequence[CellRun], metric: str) -> tuple[float, float, int]:
    column = METRICS.index(metric)
    values = [(r.split, r.seed, v) for r in runs if (v := r.accuracies[column]) is not None]
    means = list(split_means(values).values())
    if len(values) < len(runs):
        raise ValueError(f"expected {metric} in every successful run (a record has none)")
    std = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
    return float(np.mean(means)), std, len(means)


def _missing(own: Sequence[Reproduced], thesis: Iterable[ThesisCell]) -> list[Reproduced]:
    """Cells of the thesis with the same data sets and models that have no run yet."""
    there = {(c.dataset, c.labels, c.depth, c.model) for c in own}
    datasets, models = {c.dataset for c in own}, {c.model for c in own}
    return [
        Reproduced(c.dataset, c.labels, c.depth, c.variant.name, thesis=c)
        for c in thesis
        if c.dataset in datasets and c.variant.name in models and c.labels is not None
        and (c.dataset, c.labels, c.depth, c.variant.name) not in there
    ]  # fmt: skip


def _sorted(layout: TableLayout, cells: Iterable[Reproduced]) -> list[Reproduced]:
    datasets = list(dict.fromkeys(c.dataset for c in layout.cells))
    models = [variant.name for variant in layout.variants]

    def place(cell: Reproduced) -> tuple[int, str, int, str, float]:
        set_rank = datasets.index(cell.dataset) if cell.dataset in datasets else len(datasets)
        rank = models.index(cell.model) if cell.model in models else len(models)
        return set_rank, cell.dataset, rank, cell.model, cell.at

    return sorted(cells, key=place)


def _corrected(cells: Sequence[Reproduced]) -> tuple[Reproduced, ...]:
    corrected = iter(holm([c.test.p_value for c in cells if c.test is not None]))
    return tuple(c if c.test is None else replace(c, holm_p=next(corrected)) for c in cells)


def _paired(
    layout: TableLayout, by_depth: Mapping[float | None, Sequence[Record]]
) -> tuple[Paired, ...]:
    """Compare every model with the baseline at its depth; corrected over all depths."""
    rows: dict[str, list[tuple[float | None, Comparison]]] = {}
    for metric in ("test_accuracy", "last_test_accuracy"):
        found = [
            (depth, row)
            for depth in sorted(by_depth, key=lambda d: d or 0.0)
            if any(r["model"] == layout.baseline for r in by_depth[depth])
            for row in compare(by_depth[depth], layout.baseline, metric=metric)
            if row.model != row.baseline
        ]
        corrected = iter(holm([r.paired_p for _, r in found if r.paired_p is not None]))
        rows[metric] = [
            (d, r if r.paired_p is None else replace(r, holm_p=next(corrected))) for d, r in found
        ]
    return tuple(
        Paired(depth, best, last)
        for (depth, best), (_, last) in zip(*rows.values(), strict=True)
    )  # fmt: skip
