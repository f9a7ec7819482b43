"""Layouts of the tables of thesis chapter 4."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from grandpp.studies.low_label.zoo import ZOO
from grandpp.studies.thesis.printed import ModelVariant, ThesisCell, thesis_cells, thesis_tests
from grandpp.training.records import Record


@dataclass(frozen=True)
class TableLayout:
    """Layout of a table of accuracies.

    Args:
        table: Its number in the thesis.
        title: Its title.
        axis: Quantity of its rows: ``"labels"`` per class or ``"depth"``.
        baseline: Model the paired differences are taken to.
        datasets: Data sets run where none are named.
        models: Models run where none are named; those of the thesis's table where empty.
        columns: Labels run where none are named; those of the thesis's table where empty.
        notes: Remarks on the thesis's numbers.
    """

    table: str
    title: str
    axis: str
    baseline: str
    datasets: tuple[str, ...] = ("Cora", "CiteSeer")
    models: tuple[str, ...] = ()
    columns: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def cells(self) -> tuple[ThesisCell, ...]:
        """The thesis's cells."""
        return thesis_cells(self.table)

    @property
    def variants(self) -> tuple[ModelVariant, ...]:
        """The thesis's models, in its order."""
        return tuple(dict.fromkeys(cell.variant for cell in self.cells))

    def variant_of(self, record: Record) -> ModelVariant:
        """The row of a record: its rewiring counts where the table has several."""
        rewiring = record.get("config", {}).get("rewiring")
        told_apart = any(variant.rewiring for variant in self.variants)
        return ModelVariant(record["model"], rewiring if told_apart else None)

    def depth_of(self, record: Record) -> float | None:
        """Integration time or layers of a record; ``None`` in a table of labels.

        Raises:
            ValueError: If it is not in the record.
        """
        if self.axis == "labels":
            return None
        settings = record.get("config", {})
        depth = settings.get("time") or settings.get("layers")
        if depth is None:
            raise ValueError(f"expected records with a depth for table {self.table} "
                             f"(got one of {record['model']} without)")  # fmt: skip
        return float(depth)

    def depths(self, dataset: str, variant: ModelVariant) -> tuple[float | None, ...]:
        """Depths of the table for a model, or for its kind where the table does not have it."""
        if self.axis == "labels":
            return (None,)
        alike = [
            cell
            for cell in self.cells
            if cell.variant.model in ZOO
            and ZOO[cell.variant.model].has_time == ZOO[variant.model].has_time
        ]
        for chosen in (
            [c for c in self.cells if (c.dataset, c.variant) == (dataset, variant)],
            [c for c in alike if c.dataset == dataset],
            alike,
        ):
            if chosen:
                return tuple(sorted({c.depth for c in chosen if c.depth is not None}))
        raise ValueError(f"expected a model that table {self.table} has a depth for "
                         f"(got {variant.name})")  # fmt: skip

    @property
    def labels(self) -> tuple[int, ...]:
        """Numbers of labels per class, in ascending order."""
        return self.columns or tuple(sorted({c.labels for c in self.cells if c.labels is not None}))

    def choose(self, models: Sequence[str] | None = None) -> list[ModelVariant]:
        """The rows to run.

        Args:
            models: Names of models. (default: ``None``, those of the layout)

        Raises:
            ValueError: If this version lacks a model, or a model has no depth in a table of them.
        """
        names = list(
            dict.fromkeys(models or self.models or [variant.model for variant in self.variants])
        )
        missing = [name for name in names if name not in ZOO]
        if missing:
            there = " ".join(name for name in names if name in ZOO)
            raise ValueError(
                f"expected models of this version, which does not have {', '.join(missing)}; "
                f"choose others{f', for example --models {there}' if there else ' (--models)'}"
            )
        for name in names:
            if self.axis == "depth" and not {"time", "layers"} & set(ZOO[name].choices):
                raise ValueError(f"expected models with a depth for table {self.table} "
                                 f"(got {name})")  # fmt: skip
        known = {
            name: [variant for variant in self.variants if variant.model == name] for name in names
        }
        return [variant for name in names for variant in known[name] or [ModelVariant(name)]]


def _others(table: str, dataset: str, *notes: str) -> TableLayout:
    title = f"other networks with few labels, {dataset}"
    return TableLayout(table, title, "labels", "grand-l", datasets=(dataset,), notes=notes)


_SAME_COLUMN = (
    "The thesis prints the same numbers for GCN and MoNet on Cora, but for one deviation (15.33 "
    "and 15.53 at 1 label per class in Table 4.3): one of the two rows is likely a slip."
)
_NONLINEAR_ROWS = (
    "The thesis prints other numbers for GRAND-nl on Cora in Table 4.6 (40.97 at 1 label per "
    "class, 77.76 at 20) than in Table 4.10 (50.55 and 82.22), and names no other setting."
)
_SCORES = (
    "The scores of Table 4.4 follow from Table 4.3 by Welch's formula with n = 100, though (4.18) "
    "prints one variance twice, but for Photo at 1 label per class (45.33 printed, 7.14 follows). "
    "The differences of Table 4.5 are not those of Table 4.3 (1.06 and 1.45 points against 2.41 "
    "and 2.10): they are of other runs."
)
_KEPT_DEPTHS = (
    "NA is the thesis's word for a failed solver. Depth is the integration time T of diffusion "
    "and the number of layers of a network."
)

LAYOUTS: dict[str, TableLayout] = {
    layout.table: layout
    for layout in (
        TableLayout("4.1", "accuracy against depth, 20 labels per class", "depth", "grand-l",
               notes=(_KEPT_DEPTHS,)),
        TableLayout("4.3", "accuracy with few labels", "labels", "grand-l",
               models=("grand-l", "grand++-l", "grand++-cluster-l", "gcn", "poisson"),
               notes=(_SAME_COLUMN, _SCORES)),
        _others("4.6", "Cora", _SAME_COLUMN, _NONLINEAR_ROWS),
        _others("4.7", "CiteSeer"),
        _others("4.8", "PubMed"),
        TableLayout("4.9", "nonlinear diffusion and rewiring against depth, 20 labels per class",
               "depth", "grand-nl", notes=(_KEPT_DEPTHS, "The thesis does not say which rewiring "
               "the models -rw of Tables 4.9 and 4.10 use.")),
        TableLayout("4.10", "nonlinear diffusion and rewiring with few labels", "labels",
               "grand-nl",
               notes=("The thesis does not say which rewiring the models -rw of Tables 4.9 and "
                      "4.10 use.", _NONLINEAR_ROWS)),
    )
}  # fmt: skip
"""Tables of accuracies by their number."""


def _tests(table: str) -> TableLayout:
    """The part of Table 4.3 that a table of t-tests needs."""
    of = LAYOUTS["4.3"]
    tests = thesis_tests(table)
    return replace(
        of,
        datasets=tuple(d for d in of.datasets if any(t.dataset == d for t in tests)),
        models=("grand-l", "grand++-l"),
        columns=tuple(sorted({t.labels for t in tests})),
    )


TEST_LAYOUTS: dict[str, TableLayout] = {table: _tests(table) for table in ("4.4", "4.5")}
"""Tables of t-tests by their number: the part of Table 4.3 that each of them tests."""

TABLES: tuple[str, ...] = tuple(sorted((*LAYOUTS, *TEST_LAYOUTS), key=lambda t: int(t[2:])))
"""All tables that can be reproduced."""
