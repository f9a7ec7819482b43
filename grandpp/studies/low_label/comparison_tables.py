"""Tables of comparisons: one with all values, and two in the form of the thesis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from itertools import groupby
from typing import Any

import pandas as pd

from grandpp.studies.low_label.comparison import LEVEL, Comparison, p_text
from grandpp.training.table_cells import cell_title
from grandpp.training.tables import paragraph, styled

_HEAD = (
    "model", "runs", "splits", "accuracy (%)", "pairs", "difference, 95 % interval",
    "Welch t (p)", "paired t (p)", "Wilcoxon p", "Holm p", "d_z", "verdict",
)  # fmt: skip
# Columns that fit a page; t-tests are in the two other tables, counts in the notes.
_ON_PAPER = ("model", "splits", "accuracy (%)", "difference, 95 % interval", "Wilcoxon p",
             "Holm p", "d_z", "verdict")  # fmt: skip


def comparison_table(comparisons: Sequence[Comparison], style: str = "text") -> str:
    """Format all values of all comparisons, one table per cell, and notes.

    The LaTeX table has no t-tests, for which a page is too narrow; the two other tables have them.

    Args:
        comparisons: Result of :func:`compare`.
        style: ``"text"``, ``"markdown"`` or ``"latex"``. (default: ``"text"``)

    Raises:
        ValueError: For an unknown style.
    """
    shown = [_HEAD.index(name) for name in (_ON_PAPER if style == "latex" else _HEAD)]
    blocks = []
    for (dataset, labels, protocol, metric), cell in groupby(comparisons, key=_cell):
        rows = [[_row(c)[i] for i in shown] for c in cell]
        title = f"{cell_title(dataset, labels)}, protocol {protocol}, {metric}"
        blocks.append(styled([_HEAD[i] for i in shown], rows, style, title))
    blocks += [paragraph(note, style) for note in notes(comparisons)]
    return "\n\n".join(blocks)


def unpaired_table(comparisons: Sequence[Comparison], style: str = "text") -> str:
    """Welch's t-scores by labels per class and data set, in the form of thesis Table 4.4."""
    tested = [c for c in comparisons if c.model != c.baseline]
    datasets = list(dict.fromkeys(c.dataset for c in tested))
    models = list(dict.fromkeys(c.model for c in tested))
    cells = [(models.index(c.model), c.labels_per_class, c.dataset, _score(c)) for c in tested]
    frame = pd.DataFrame(cells, columns=["model", "labels", "dataset", "score"])
    table = frame.pivot(index=["model", "labels"], columns="dataset", values="score").fillna("-")
    rows = [[models[m], str(k), *scores] for (m, k), scores in table[datasets].T.items()]
    title = (
        f"Unpaired t-scores (Welch) against {_baseline(comparisons)}; "
        f"highlighted where two-sided p < {LEVEL}, not corrected"
    )
    return styled(("model", "#per class", *datasets), rows, style, title)


def paired_table(comparisons: Sequence[Comparison], style: str = "text") -> str:
    """Paired t-tests over identical splits, in the form of thesis Table 4.5."""
    tested = [c for c in comparisons if c.difference is not None]
    head = ("Dataset", "#per class", "model", "Accuracy Difference", "# splits", "t-score",
            "p-score", "Holm p")  # fmt: skip
    rows = [
        [
            c.dataset,
            str(c.labels_per_class),
            c.model,
            f"{_points(c.difference)} +- {_number(c.difference_std, '.2f', 100)}",
            str(c.pairs),
            _number(c.paired_t, ".2f"),
            _p(c.paired_p),
            f"**{_p(c.holm_p)}**" if c.significant else _p(c.holm_p),
        ]
        for c in tested
    ]
    title = (
        f"Paired t-tests against {_baseline(comparisons)} over identical splits, accuracy "
        f"difference in points; highlighted where the corrected two-sided p < {LEVEL}"
    )
    return styled(head, rows, style, title)


def notes(comparisons: Sequence[Comparison]) -> list[str]:
    """Notes below the table: the correction, failed runs and unpaired splits."""
    number = sum(c.paired_p is not None for c in comparisons)
    sentences = [
        f"Differences to {_baseline(comparisons)} are in points over identical splits, seeds "
        f"averaged within a split; p-values are two-sided, intervals not corrected. Holm p is that "
        f"of the paired t-test corrected for {number} comparison{'' if number == 1 else 's'}; "
        f"d_z is the mean difference over its standard deviation."
    ]
    for c in comparisons:
        gaps = []
        if c.failed:
            gaps.append(f"{c.failed} of {c.runs + c.failed} runs failed and are in no mean")
        if c.unpaired:
            gaps.append(f"{c.unpaired} of {c.pairs + c.unpaired} splits are in no pair")
        if gaps:
            where = f"{c.model} on {cell_title(c.dataset, c.labels_per_class)}"
            sentences.append(f"{where}: {'; '.join(gaps)}.")
    return sentences


def as_row(comparison: Comparison) -> dict[str, Any]:
    """All values of a comparison and its verdict; accuracies are fractions."""
    return {**asdict(comparison), "verdict": comparison.verdict}


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """All values as CSV; missing values are empty."""
    names = [field.name for field in fields(Comparison)]
    # As objects: pandas would write a column of whole numbers with a gap as floats.
    table = pd.DataFrame(map(as_row, comparisons), columns=[*names, "verdict"], dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def _cell(c: Comparison) -> tuple[str, int, str, str]:
    return c.dataset, c.labels_per_class, c.protocol, c.metric


def _baseline(comparisons: Sequence[Comparison]) -> str:
    return comparisons[0].baseline if comparisons else "the baseline"


def _row(c: Comparison) -> list[str]:
    difference = _points(c.difference)
    if c.low is not None and c.high is not None:
        difference += f" [{_points(c.low)}, {_points(c.high)}]"
    accuracy = f"{_number(c.mean, '.2f', 100)} +- {_number(c.std, '.2f', 100)}"
    return [
        c.model,
        f"{c.runs} ({c.failed} failed)" if c.failed else str(c.runs),
        str(c.splits),
        "-" if c.mean is None else accuracy,
        "-" if c.model == c.baseline else str(c.pairs),
        difference,
        _test(c.welch_t, c.welch_p),
        _test(c.paired_t, c.paired_p),
        _p(c.wilcoxon_p),
        _p(c.holm_p),
        _number(c.effect_size, "+.2f"),
        c.verdict,
    ]


def _score(c: Comparison) -> str:
    if c.welch_p is None:
        return "-"
    score = _number(c.welch_t, ".2f")
    return f"**{score}**" if c.welch_p < LEVEL else score


def _test(t: float | None, p: float | None) -> str:
    return "-" if t is None else f"{t:+.2f} ({_p(p)})"


def _p(p: float | None) -> str:
    return "-" if p is None else p_text(p).removeprefix("= ")


def _points(fraction: float | None) -> str:
    return _number(fraction, "+.2f", 100)


def _number(value: float | None, form: str, factor: float = 1.0) -> str:
    return "-" if value is None else format(factor * value, form)
