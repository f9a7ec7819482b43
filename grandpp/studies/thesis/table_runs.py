"""The runs that a table of the thesis needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch_geometric.data import Data

from grandpp.studies.thesis.layouts import TableLayout
from grandpp.studies.thesis.printed import SPLITS, ModelVariant
from grandpp.training.build import build_model
from grandpp.training.config import RunConfig, with_run
from grandpp.training.registry import is_diffusion
from grandpp.training.settings import tuned_config
from grandpp.training.worker import split_of


@dataclass(frozen=True)
class TableRequest:
    """What is to be run of a table.

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

    def configs(self) -> list[RunConfig]:
        """All runs, split by split, so that a sweep cut short has something in every cell.

        Raises:
            ValueError: If a value is out of range, or the table has no depth for a row.
        """
        cells = [
            cell_config(variant, dataset, labels, depth, protocol=self.protocol, epochs=self.epochs)
            for dataset, labels, depth, variant in self.cells()
        ]
        return [
            with_run(config, split, seed)
            for split in range(self.splits)
            for seed in range(self.seeds)
            for config in cells
        ]


def cell_config(
    variant: ModelVariant,
    dataset: str,
    labels: int,
    depth: float | None,
    *,
    protocol: str,
    epochs: int | None = None,
) -> RunConfig:
    """The run of one cell, with the tuned settings but for what the table varies.

    Raises:
        ValueError: If a value is out of range.
    """
    overrides: dict[str, Any] = {"epochs": epochs}
    if variant.rewiring is not None:
        overrides["rewiring"] = variant.rewiring
    if depth is not None and is_diffusion(variant.model):
        overrides["time"] = depth
    elif depth is not None:
        if depth != int(depth):
            raise ValueError(
                f"expected a whole number of layers of {variant.model} (got {depth:g})"
            )
        overrides["layers"] = int(depth)
    return tuned_config(dataset, variant.model, labels, protocol=protocol, **overrides)


def with_graphs(
    configs: Sequence[RunConfig], graphs: Mapping[str, Data]
) -> list[tuple[RunConfig, Data]]:
    """Give every run its graph, which is split where the run is done.

    Models are built and splits drawn once here, for the largest number of labels, so that what
    cannot be run fails before the first run.

    Args:
        configs: Runs.
        graphs: Graphs by the name of their data set.

    Raises:
        ValueError: If a class has too few nodes, or a model does not take a setting.
    """
    built: set[str] = set()
    most: dict[tuple[str, str, int], RunConfig] = {}
    for config in configs:
        graph = graphs[config.dataset]
        if config.config_hash not in built:
            built.add(config.config_hash)
            build_model(config, graph.num_features, graph.num_classes)
        place = (config.dataset, config.protocol, config.split)
        known = most.setdefault(place, config)
        if config.labels_per_class > known.labels_per_class:
            most[place] = config
    for config in most.values():
        split_of(config, graphs[config.dataset])
    return [(config, graphs[config.dataset]) for config in configs]
