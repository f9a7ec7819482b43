"""The runs that a table of the thesis needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch_geometric.data import Data

from grandpp.studies.low_label.plan import check_splits
from grandpp.studies.low_label.zoo import ZOO, tuned_run
from grandpp.studies.thesis.layouts import TableLayout
from grandpp.studies.thesis.printed import SPLITS, ModelVariant
from grandpp.training.settings import Run


@dataclass(frozen=True)
class TableRequest:
    """Runs requested of a table.

    Args:
        layout: The table.
        datasets: Data sets by their names in :data:`grandpp.data.DATASETS`.
        variants: Rows, see :meth:`TableLayout.choose`.
        labels, depths: Columns. (default: those of the table)
        splits: Splits ``0 .. splits - 1``. (default: those of the thesis)
        seeds: Runs per split. (default: ``1``)
        protocol: See :func:`grandpp.data.low_label_split`. (default: ``"grand"``)
        epochs: Training epochs. (default: ``None``, tuned)

    Raises:
        ValueError: If labels are chosen in a table of depths, or depths in a table of labels.
    """

    layout: TableLayout
    datasets: Sequence[str]
    variants: Sequence[ModelVariant]
    labels: Sequence[int] | None = None
    depths: Sequence[float] | None = None
    splits: int = SPLITS
    seeds: int = 1
    protocol: str = "grand"
    epochs: int | None = None

    def __post_init__(self) -> None:
        other = "labels" if self.layout.axis == "depth" else "depths"
        if getattr(self, other) is not None:
            raise ValueError(f"expected no choice of {other} for table {self.layout.table}, "
                             f"which is one of {self.layout.axis} (got --{other})")  # fmt: skip

    def cells(self) -> list[tuple[str, int, float | None, ModelVariant]]:
        """Data set, labels, depth and row of every cell.

        Raises:
            ValueError: If the table has no depth for a row.
        """
        return [
            (dataset, labels, depth, variant)
            for dataset in dict.fromkeys(self.datasets)
            for labels in dict.fromkeys(self.labels or self.layout.labels)
            for variant in self.variants
            for depth in dict.fromkeys(self.depths or self.layout.depths(dataset, variant))
        ]

    def runs(self) -> list[Run]:
        """All runs, split by split, so that a sweep cut short has something in every cell.

        Raises:
            ValueError: If a value is out of range, or the table has no depth for a row.
        """
        cells = [
            cell_run(variant, dataset, labels, depth, protocol=self.protocol, epochs=self.epochs)
            for dataset, labels, depth, variant in self.cells()
        ]
        return [
            run.on(split, seed)
            for split in range(self.splits)
            for seed in range(self.seeds)
            for run in cells
        ]


def cell_run(
    variant: ModelVariant,
    dataset: str,
    labels: int,
    depth: float | None,
    *,
    protocol: str,
    epochs: int | None = None,
) -> Run:
    """The run of one cell, with the tuned settings but for what the table varies.

    Raises:
        ValueError: If a value is out of range.
    """
    overrides: dict[str, Any] = {"epochs": epochs}
    if variant.rewiring is not None:
        overrides["rewiring"] = variant.rewiring
    if depth is not None and ZOO[variant.model].has_time:
        overrides["time"] = depth
    elif depth is not None:
        if depth != int(depth):
            raise ValueError(
                f"expected a whole number of layers of {variant.model} (got {depth:g})"
            )
        overrides["layers"] = int(depth)
    return tuned_run(dataset, variant.model, labels, protocol=protocol, **overrides)


def with_graphs(runs: Sequence[Run], graphs: Mapping[str, Data]) -> list[tuple[Run, Data]]:
    """Give every run its graph, which is split where the run is done.

    Args:
        runs: Runs.
        graphs: Graphs by the name of their data set.

    Raises:
        ValueError: If a class has too few nodes in a split.
    """
    ready = [(run, graphs[run.dataset]) for run in runs]
    check_splits(ready)
    return ready
