"""Compare every model with a baseline, in every cell of a table."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from grandpp.training.reading import METRICS
from grandpp.training.records import Record
from grandpp.training.statistics import holm, paired_test, split_means, welch_test
from grandpp.training.table_cells import Cell, CellRun, cell_title, collect_cells

LEVEL = 0.05
NOT_SIGNIFICANT = "n.s."
"""Verdict where the corrected test does not reject at ``LEVEL``: no proof of equality."""


@dataclass(frozen=True)
class Comparison:
    """One model in one cell, compared with the baseline; accuracies are fractions.

    Args:
        dataset, labels_per_class, protocol: The cell.
        metric: Which accuracy, one of ``METRICS``.
        model, baseline: Names; the same in the row of the baseline, which has no difference.
        runs, failed: Numbers of runs with and without a result.
        splits: Number of splits with a result; seeds are averaged within a split.
        mean, std: Mean and sample standard deviation over splits (0 for one split).
        pairs: Number of splits with a result of both models, the n of the paired tests.
        unpaired: Number of other splits with a run of either model.
        difference, difference_std: Mean and sample standard deviation of the paired differences.
        low, high: Its 95 % t-interval.
        welch_t, welch_p: Unpaired test over the splits of each model.
        paired_t, paired_p: Paired t-test.
        wilcoxon_p: Signed-rank test of the same differences.
        holm_p: ``paired_p`` corrected for all comparisons of the same call.
        effect_size: Cohen's d_z.
    """

    dataset: str
    labels_per_class: int
    protocol: str
    metric: str
    model: str
    baseline: str
    runs: int
    failed: int
    splits: int
    mean: float | None
    std: float | None
    pairs: int = 0
    unpaired: int = 0
    difference: float | None = None
    difference_std: float | None = None
    low: float | None = None
    high: float | None = None
    welch_t: float | None = None
    welch_p: float | None = None
    paired_t: float | None = None
    paired_p: float | None = None
    wilcoxon_p: float | None = None
    holm_p: float | None = None
    effect_size: float | None = None

    @property
    def half_width(self) -> float | None:
        """Half-width of the 95 % t-interval of the mean over splits; ``None`` below two splits."""
        if self.std is None or self.splits < 2:
            return None
        return float(stats.t.ppf(0.975, self.splits - 1) * self.std / np.sqrt(self.splits))

    @property
    def significant(self) -> bool:
        """Whether the corrected paired t-test is significant at the level of 5 %."""
        return self.holm_p is not None and self.holm_p < LEVEL

    @property
    def verdict(self) -> str:
        """Conclusion in words: better, worse, n.s., or why there is no test."""
        if self.model == self.baseline:
            return "baseline"
        if self.runs == 0:
            return "every run failed"
        if self.difference is None:
            return f"no split in common with {self.baseline}"
        if self.holm_p is None or self.low is None or self.high is None:
            return self._untested()
        if self.significant:
            return f"{'better' if self.difference > 0 else 'worse'} (p {p_text(self.holm_p)})"
        span = f"{100 * self.low:+.1f} to {100 * self.high:+.1f} points"
        if self.low <= 0 <= self.high:
            return f"{NOT_SIGNIFICANT}; the interval allows {span}"
        return (
            f"{NOT_SIGNIFICANT} after Holm's correction (p {p_text(self.holm_p)}); "
            f"the interval alone has {span}"
        )

    def _untested(self) -> str:
        if self.pairs == 1:
            return "one common split: no test"
        if self.difference == 0:
            return "identical in every split"
        return "the same difference in every split: no test"


def p_text(p: float) -> str:
    """Format a p-value with its relation: ``= 0.012`` or ``< 0.001``."""
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"


def compare(
    records: Iterable[Record],
    baseline: str = "grand-l",
    *,
    metric: str = "test_accuracy",
    datasets: Collection[str] | None = None,
    labels: Collection[int] | None = None,
    models: Sequence[str] | None = None,
    protocol: str | None = None,
    configs: Collection[str] = (),
) -> list[Comparison]:
    """Compare every model with a baseline over identical splits.

    Failed runs are counted and are in no mean. Holm's correction is over all comparisons that are
    returned, not over those that the filters leave out.

    Args:
        records: Records in any order.
        baseline: Model that the others are compared with. (default: ``"grand-l"``)
        metric: One of ``METRICS``. (default: ``"test_accuracy"``)
        datasets, labels, models, protocol, configs: Values to keep, see :func:`collect_cells`; the
            baseline is always kept.

    Returns:
        Rows by cell, in each the baseline first, then the models in the order given or of names.

    Raises:
        ValueError: For an unknown metric, a metric that successful runs lack, a baseline without
            any run, and whatever :func:`collect_cells` refuses.
    """
    if metric not in METRICS:
        raise ValueError(f"expected 'metric' to be one of {', '.join(METRICS)} (got '{metric}')")
    cells = collect_cells(
        records,
        datasets=datasets,
        labels=labels,
        models=None if models is None else {*models, baseline},
        protocol=protocol,
        configs=configs,
    )
    found = sorted(set().union(*(cell.runs for cell in cells)))
    if baseline not in found:
        raise ValueError(f"expected runs of the baseline {baseline} (found {', '.join(found)})")
    order = dict.fromkeys((baseline, *(found if models is None else models)))
    rows = [
        _compare(cell, model, baseline, metric)
        for cell in cells
        for model in order
        if model in cell.runs
    ]
    p_values = [row.paired_p for row in rows if row.paired_p is not None]
    corrected = iter(holm(p_values))
    return [r if r.paired_p is None else replace(r, holm_p=next(corrected)) for r in rows]


def _compare(cell: Cell, model: str, baseline: str, metric: str) -> Comparison:
    own = cell.runs[model]
    means = _means(own, metric, f"{model} on {cell_title(cell.dataset, cell.labels_per_class)}")
    values = list(means.values())
    failed = sum(run.failed for run in own)
    row = Comparison(
        dataset=cell.dataset,
        labels_per_class=cell.labels_per_class,
        protocol=cell.protocol,
        metric=metric,
        model=model,
        baseline=baseline,
        runs=len(own) - failed,
        failed=failed,
        splits=len(means),
        mean=float(np.mean(values)) if values else None,
        std=float(np.std(values, ddof=1)) if len(values) > 1 else (0.0 if values else None),
    )
    others = cell.runs.get(baseline, [])
    if model == baseline or not others:
        return row
    where = f"{baseline} on {cell_title(cell.dataset, cell.labels_per_class)}"
    reference = _means(others, metric, where)
    all_splits = {run.split for run in (*own, *others)}
    pairs = len(means.keys() & reference.keys())
    row = replace(row, pairs=pairs, unpaired=len(all_splits) - pairs)
    return _tested(row, means, reference)


def _means(runs: Sequence[CellRun], metric: str, where: str) -> dict[int, float]:
    values = []
    for run in runs:
        value = run.accuracies[METRICS.index(metric)]
        if run.failed:
            continue
        if value is None:
            raise ValueError(
                f"expected {metric} in every successful run (split {run.split}, "
                f"seed {run.seed} of {where} has none)"
            )
        values.append((run.split, run.seed, value))
    return split_means(values)


def _tested(
    row: Comparison, means: Mapping[int, float], reference: Mapping[int, float]
) -> Comparison:
    welch = welch_test(list(means.values()), list(reference.values()))
    if welch is not None:
        row = replace(row, welch_t=welch[0], welch_p=welch[1])
    paired = paired_test(means, reference)
    if paired is None:
        return row
    half = paired.half_width
    return replace(
        row,
        difference=paired.mean,
        difference_std=paired.std,
        low=None if half is None else paired.mean - half,
        high=None if half is None else paired.mean + half,
        paired_t=paired.t,
        paired_p=paired.p_value,
        wilcoxon_p=paired.wilcoxon_p,
        effect_size=paired.effect_size,
    )
