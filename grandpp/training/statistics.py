"""Means over splits, paired and unpaired tests, and Holm's correction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from grandpp.training.records import Record, has_failed

# Accuracies are ratios in float32: differences that agree to so many decimals are ties.
_DECIMALS = 6

_AVERAGED = ["test_accuracy", "val_accuracy", "last_test_accuracy", "best_time_test_accuracy",
             "nfe_forward", "seconds"]  # fmt: skip


@dataclass(frozen=True)
class Summary:
    """Summary of the runs of one model; accuracies are fractions.

    Args:
        n: Number of runs with a test accuracy.
        failed: Number of failed runs; they have no accuracy.
        mean: Mean test accuracy at the best validation epoch.
        std: Sample standard deviation over splits, seeds averaged (0 for one split).
        val_mean: Mean validation accuracy at that epoch, or ``None``.
        last_mean: Mean test accuracy after the last epoch.
        best_time_mean: Mean test accuracy at the best time, over the runs that recorded it, or
            ``None``.
        nfe_forward: Mean evaluations per forward pass, or ``None``.
        seconds: Mean seconds per run.
    """

    n: int
    failed: int
    mean: float | None
    std: float | None
    val_mean: float | None
    last_mean: float | None
    best_time_mean: float | None
    nfe_forward: float | None
    seconds: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference over identical splits, in fractions.

    Seeds are averaged within their split first, because they are not independent samples of splits.

    Args:
        n: Number of splits.
        mean: Mean of the differences.
        half_width: Half-width of the 95 % t-interval of the mean; ``None`` for one pair.
        p_value: Two-sided paired t-test; ``None`` for one pair or where all differences are equal.
        std: Sample standard deviation of the differences; ``None`` for one pair.
        t: Statistic of the paired t-test (thesis (4.19)); ``None`` as ``p_value``.
        wilcoxon_p: Two-sided signed-rank test, zeros excluded; ``None`` as ``p_value``.
    """

    n: int
    mean: float
    half_width: float | None
    p_value: float | None
    std: float | None = None
    t: float | None = None
    wilcoxon_p: float | None = None

    @property
    def effect_size(self) -> float | None:
        """Cohen's d_z: mean difference divided by the standard deviation of the differences."""
        return self.mean / self.std if self.std else None


def summarize(records: Iterable[Record]) -> Summary:
    """Summarise the records of one model."""
    all_records = list(records)
    runs = pd.DataFrame(all_records, columns=["split", *_AVERAGED]).astype(
        dict.fromkeys(_AVERAGED, float)
    )
    good = runs[runs["test_accuracy"].notna()]
    accuracy = good.groupby("split")["test_accuracy"].mean()
    means = {
        name: None if np.isnan(mean) else mean for name, mean in good[_AVERAGED].mean().items()
    }
    return Summary(
        n=len(good),
        failed=sum(has_failed(r) for r in all_records),
        mean=float(accuracy.mean()) if len(good) else None,
        std=float(accuracy.std()) if len(accuracy) > 1 else (0.0 if len(good) else None),
        val_mean=means["val_accuracy"],
        last_mean=means["last_test_accuracy"],
        best_time_mean=means["best_time_test_accuracy"],
        nfe_forward=means["nfe_forward"],
        seconds=means["seconds"],
    )


def split_means(values: Iterable[tuple[int, int, float]]) -> dict[int, float]:
    """Average over seeds within each split.

    Args:
        values: Triples of split, seed and value.

    Returns:
        The mean of every split, in the order of the splits, whatever the order of the values.
    """
    table = pd.DataFrame(sorted(values), columns=["split", "seed", "value"]).astype(
        {"value": float}
    )
    return table.groupby("split")["value"].mean().to_dict()


def paired_difference(
    records: Iterable[Record], baseline: Iterable[Record]
) -> PairedDifference | None:
    """Compare two models over the splits on which both have a successful run.

    Args:
        records: Records of the model.
        baseline: Records of the baseline.

    Returns:
        The difference, or ``None`` where no pair exists.

    Raises:
        ValueError: If two runs to be paired used different splits.

    Example:
        >>> def runs(*accuracies):
        ...     return [
        ...         {"split": i, "seed": 0, "split_digest": "", "test_accuracy": value}
        ...         for i, value in enumerate(accuracies)
        ...     ]
        >>> found = paired_difference(runs(0.8, 0.7, 0.9), runs(0.7, 0.7, 0.7))
        >>> found.n, round(found.mean, 3), round(found.half_width, 3)
        (3, 0.1, 0.248)
    """
    own, other = ([r for r in rs if r["test_accuracy"] is not None] for rs in (records, baseline))
    digests = {r["split"]: r["split_digest"] for r in other}
    for record in own:
        if digests.get(record["split"], record["split_digest"]) != record["split_digest"]:
            raise ValueError(
                f"expected identical splits to pair "
                f"(split {record['split']} differs between the two models)"
            )
    means = (split_means((r["split"], r["seed"], r["test_accuracy"]) for r in rs)
             for rs in (own, other))  # fmt: skip
    return paired_test(*means)


def paired_test(
    means: Mapping[int, float], baseline: Mapping[int, float]
) -> PairedDifference | None:
    """Test the differences of two models over their common splits.

    Args:
        means: Values of the model by split.
        baseline: Values of the baseline by split.

    Returns:
        The difference, or ``None`` without a common split.
    """
    common = sorted(means.keys() & baseline.keys())
    differences = np.array([means[split] - baseline[split] for split in common])
    n = len(differences)
    if n == 0:
        return None
    rounded = np.round(differences, _DECIMALS)
    if n == 1:
        return PairedDifference(1, float(differences[0]), None, None)
    if np.ptp(rounded) == 0:
        return PairedDifference(n, float(rounded[0]), 0.0, None, std=0.0)
    test = stats.ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(0.95)
    return PairedDifference(
        n=n,
        mean=float(np.mean(differences)),
        half_width=float(high - low) / 2,
        p_value=float(test.pvalue),
        std=float(np.std(differences, ddof=1)),
        t=float(test.statistic),
        wilcoxon_p=float(stats.wilcoxon(rounded).pvalue),
    )


def welch_test(a: Sequence[float], b: Sequence[float]) -> tuple[float, float] | None:
    r"""Welch's unpaired t-test.

    Thesis (4.18) prints the variance of one model twice; here each model has its own,
    :math:`t = (\bar a - \bar b) / \sqrt{s_a^2 / n_a + s_b^2 / n_b}`.

    Returns:
        Statistic and two-sided p-value; ``None`` for a sample of one, or if both variances are 0.
    """
    if min(len(a), len(b)) < 2:
        return None
    if all(np.ptp(np.round(x, _DECIMALS)) == 0 for x in (a, b)):
        return None
    moments = [(np.mean(x), np.std(x, ddof=1), len(x)) for x in (a, b)]
    test = stats.ttest_ind_from_stats(*moments[0], *moments[1], equal_var=False)
    return float(test.statistic), float(test.pvalue)


@dataclass(frozen=True)
class UnpairedDifference:
    """Difference of the means of two independent samples, in fractions.

    Args:
        mean: Difference.
        low, high: Its 95 % interval by Welch.
        t, p_value: Welch's statistic and two-sided p-value.
    """

    mean: float
    low: float
    high: float
    t: float
    p_value: float


def welch_from_moments(
    own: tuple[float, float, int], other: tuple[float, float, int]
) -> UnpairedDifference | None:
    r"""Welch's test of two samples of which mean, standard deviation and size are known.

    The interval is :math:`d \pm t_{0.975,\nu} e` with :math:`e^2 = e_a^2 + e_b^2`, the squared
    errors :math:`e_a^2 = s_a^2 / n_a` and the degrees of freedom of Welch and Satterthwaite,
    :math:`\nu = e^4 / (e_a^4 / (n_a - 1) + e_b^4 / (n_b - 1))`.

    Args:
        own: Mean, sample standard deviation and size.
        other: Those of the sample it is compared with.

    Returns:
        ``own`` minus ``other``; ``None`` for a sample of one or without any spread.
    """
    (a, s_a, n_a), (b, s_b, n_b) = own, other
    if min(n_a, n_b) < 2 or s_a == s_b == 0:
        return None
    test = stats.ttest_ind_from_stats(*own, *other, equal_var=False)
    e_a, e_b = s_a**2 / n_a, s_b**2 / n_b
    freedom = (e_a + e_b) ** 2 / (e_a**2 / (n_a - 1) + e_b**2 / (n_b - 1))
    half = float(stats.t.ppf(0.975, freedom) * np.sqrt(e_a + e_b))
    d = a - b
    return UnpairedDifference(d, d - half, d + half, float(test.statistic), float(test.pvalue))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for their number by Holm's step-down method (Holm 1979).

    The i-th smallest of m p-values is multiplied by m + 1 - i; the results are made non-decreasing
    and clipped at 1. The family-wise error rate stays below the level under any dependence.

    Own code, because scipy has no such correction and statsmodels would be a dependency for it.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.arange(len(p), 0, -1) * p[order])
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]
