"""A reproduced table as text, Markdown and comma-separated values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from grandpp.studies.low_label.comparison import NOT_SIGNIFICANT, Comparison, p_text
from grandpp.studies.thesis.printed import SPLITS, ThesisTest, thesis_tests
from grandpp.studies.thesis.reproduced_cells import Paired, Reproduced, Reproduction
from grandpp.training.tables import styled

_AXES = {"labels": "labels", "depth": "T or layers"}


def accuracy_tables(
    reproduction: Reproduction,
    style: str = "text",
    *,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
) -> str:
    """Our accuracies next to those of the thesis, one table per data set.

    Args:
        reproduction: The table.
        style: See :func:`grandpp.training.tables.styled`. (default: ``"text"``)
        datasets, models: Rows to show; the correction is not recomputed. (default: everything)
    """
    shown = _shown(reproduction, datasets, models)
    head = ("model", _AXES[reproduction.layout.axis], "thesis", "ours", "difference, 95 % interval",
            "verdict", "splits", "ours, last epoch")  # fmt: skip
    blocks = []
    for dataset in dict.fromkeys(c.dataset for c in shown):
        rows = [_row(c) for c in shown if c.dataset == dataset]
        blocks.append(styled(head, rows, style, f"{dataset}, test accuracy in percent"))
    return "\n\n".join(blocks)


def counts(reproduction: Reproduction) -> str:
    """Number of cells by outcome, in one sentence."""
    found = Counter(c.outcome for c in reproduction.cells)
    tested = sum(found[s] for s in ("better", "worse", NOT_SIGNIFICANT))
    parts = ["No cell is tested against the thesis"]
    if tested:
        parts = [
            f"Of {tested} cells tested, {found['better']} are better than in the thesis, "
            f"{found['worse']} worse and {found[NOT_SIGNIFICANT]} not significantly different "
            "(n.s.)"
        ]
    missing = sum(c.thesis is not None and c.thesis.mean is None for c in reproduction.cells)
    if missing:
        parts.append(f"of {missing} cells that are NA in the thesis {found['filled']} are filled")
    for outcome in ("no test", "every run failed", "not run", "not in the thesis"):
        if found[outcome]:
            parts.append(f"{outcome}: {found[outcome]}")
    return "; ".join(parts) + "."


def paired_table(reproduction: Reproduction, style: str = "text") -> str:
    """Differences of every model to the baseline over identical splits, for both accuracies."""
    head = ("data set", _AXES[reproduction.layout.axis], "model", "pairs",
            "difference, 95 % interval", "d_z", "verdict", "last epoch: difference",
            "verdict, last epoch")  # fmt: skip
    title = (
        f"Paired differences to {reproduction.layout.baseline} over identical splits, in points, "
        "at the best validation epoch and after the last one"
    )
    rows = [
        [
            p.best.dataset,
            f"{p.best.labels_per_class if p.depth is None else p.depth:g}",
            p.best.model,
            str(p.best.pairs),
            _span(p.best.difference, p.best.low, p.best.high),
            "-" if p.best.effect_size is None else f"{p.best.effect_size:+.2f}",
            _verdict(p.best),
            _span(p.last.difference, p.last.low, p.last.high),
            _verdict(p.last),
        ]
        for p in reproduction.paired
    ]
    return styled(head, rows, style, title)


def t_test_table(table: str, reproduction: Reproduction, style: str = "text") -> str:
    """The t-tests of GRAND++-l against GRAND-l in Table 4.4 or 4.5, and ours.

    Args:
        table: ``"4.4"``, unpaired, or ``"4.5"``, paired.
        reproduction: Of Table 4.3.
        style: See :func:`grandpp.training.tables.styled`. (default: ``"text"``)
    """
    rows = []
    for theirs, own in _tests(table, reproduction):
        start = [theirs.dataset, str(theirs.labels)]
        if table == "4.4":
            rows.append([*start, f"{theirs.t:.2f}", _score(own.welch_t, own.welch_p),
                         str(own.splits)])  # fmt: skip
        else:
            rows.append([*start, _mean(theirs.difference, theirs.std), f"{theirs.t:.2f}",
                         _mean(own.difference, own.difference_std), str(own.pairs),
                         _score(own.paired_t, own.paired_p)])  # fmt: skip
    if table == "4.4":
        head = ["data set", "labels", "thesis: t, n = 100", "ours: t (p)", "ours: splits"]
        title = "Table 4.4, unpaired t-scores of grand++-l against grand-l"
    else:
        head = ["data set", "labels", "thesis: difference", "thesis: t, n = 100",
                "ours: difference", "ours: pairs", "ours: t (p)"]  # fmt: skip
        title = "Table 4.5, paired t-tests of grand++-l against grand-l, differences in points"
    return styled(head, rows, style, f"{title}; p is two-sided and not corrected")


def t_test_rows(table: str, reproduction: Reproduction) -> list[dict[str, Any]]:
    """The values of :func:`t_test_table` by name; differences are fractions."""
    fields = {
        "4.4": {"t": "welch_t", "p": "welch_p", "splits": "splits"},
        "4.5": {"difference": "difference", "difference_std": "difference_std",
                "t": "paired_t", "p": "paired_p", "pairs": "pairs"},
    }[table]  # fmt: skip
    rows = []
    for theirs, own in _tests(table, reproduction):
        row = {"table": table, "dataset": theirs.dataset, "labels": theirs.labels}
        row |= {"thesis_difference": theirs.difference, "thesis_difference_std": theirs.std}
        row["thesis_t"] = theirs.t
        rows.append(row | {name: getattr(own, field) for name, field in fields.items()})
    return rows


def _tests(table: str, reproduction: Reproduction) -> list[tuple[ThesisTest, Comparison]]:
    """The tests of a table that we can make, theirs and ours."""
    ours = {(p.best.dataset, p.best.labels_per_class): p.best for p in reproduction.paired
            if p.best.model == "grand++-l"}  # fmt: skip
    pairs = ((theirs, ours.get((theirs.dataset, theirs.labels))) for theirs in thesis_tests(table))
    return [(theirs, own) for theirs, own in pairs if own is not None]


def has_t_tests(table: str, reproduction: Reproduction) -> bool:
    """Whether our records allow a t-test that is in the table."""
    tested = {(t.dataset, t.labels) for t in thesis_tests(table)}
    return any(
        (p.best.dataset, p.best.labels_per_class) in tested
        for p in reproduction.paired
        if p.best.model == "grand++-l"
    )


def as_csv(reproduction: Reproduction) -> str:
    """All values of all cells as CSV; accuracies are fractions, missing values are empty."""
    # As objects: pandas would write a column of whole numbers with a gap as floats.
    table = pd.DataFrame(cell_rows(reproduction), dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def cell_rows(
    reproduction: Reproduction,
    *,
    datasets: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """All values of cells by name; accuracies are fractions, missing values ``None``.

    Args:
        reproduction: The table.
        datasets, models: Cells to return; the correction is not recomputed. (default: everything)
    """
    paired = {(p.best.dataset, p.best.labels_per_class, p.depth, p.best.model): p
              for p in reproduction.paired}  # fmt: skip
    return [
        _flat(c, paired.get((c.dataset, c.labels, c.depth, c.model)))
        for c in _shown(reproduction, datasets, models)
    ]


def _shown(
    reproduction: Reproduction, datasets: Sequence[str] | None, models: Sequence[str] | None
) -> list[Reproduced]:
    return [
        c
        for c in reproduction.cells
        if (datasets is None or c.dataset in datasets) and (models is None or c.model in models)
    ]


def _flat(cell: Reproduced, paired: Paired | None) -> dict[str, Any]:
    names = ("dataset", "model", "labels", "depth", "runs", "failed", "splits", "mean", "std",
             "last_mean", "last_std")  # fmt: skip
    row = {name: getattr(cell, name) for name in names}
    row |= {f"thesis_{n}": getattr(cell.thesis, n, None) for n in ("mean", "std")}
    test = {"mean": "difference", "low": "low", "high": "high", "t": "t", "p_value": "p"}
    row |= {name: getattr(cell.test, n, None) for n, name in test.items()}
    row |= {"holm_p": cell.holm_p, "outcome": cell.outcome}
    fields = ("pairs", "difference", "low", "high", "paired_p", "holm_p")
    for metric in ("best", "last"):
        own = getattr(paired, metric, None)
        row |= {f"paired_{metric}_{n.removeprefix('paired_')}": getattr(own, n, None)
                for n in fields}  # fmt: skip
    return row


def _row(cell: Reproduced) -> list[str]:
    thesis = "-"
    if cell.thesis is not None:
        thesis = "NA" if cell.thesis.mean is None else _mean(cell.thesis.mean, cell.thesis.std)
    test, significant = cell.test, cell.outcome in ("better", "worse")
    return [
        cell.model,
        f"{cell.at:g}",
        thesis,
        _mean(cell.mean, cell.std, cell.splits),
        "-" if test is None else _span(test.mean, test.low, test.high),
        f"**{cell.verdict}**" if significant else cell.verdict,
        f"{cell.splits} ({cell.failed} failed)" if cell.failed else str(cell.splits),
        _mean(cell.last_mean, cell.last_std, cell.splits),
    ]


def _mean(mean: float | None, std: float | None, splits: int = SPLITS) -> str:
    if mean is None or std is None:
        return "-"
    return f"{100 * mean:.2f} +- {100 * std:.2f}" if splits > 1 else f"{100 * mean:.2f}"


def _span(mean: float | None, low: float | None, high: float | None) -> str:
    if mean is None:
        return "-"
    if low is None or high is None:
        return f"{100 * mean:+.2f}"
    return f"{100 * mean:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _score(t: float | None, p: float | None) -> str:
    return "-" if t is None or p is None else f"{t:.2f} (p {p_text(p)})"


def _verdict(row: Comparison) -> str:
    """The verdict without the interval, which is in another column."""
    short = row.verdict.partition(";")[0]
    return f"**{short}**" if row.significant else short
