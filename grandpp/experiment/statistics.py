"""Means over splits and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

from grandpp.experiment.records import Record


@dataclass(frozen=True)
class Summary:
    """Accuracy of one model, in fractions.

    Args:
        n: Successful runs.
        failed: Failed runs; they carry no accuracy.
        mean: Mean test accuracy at the best validation epoch.
        std: Sample standard deviation over splits, seeds averaged (0 for one split).
        val_mean: Mean validation accuracy at that epoch, or ``None``.
        last_mean: Mean test accuracy after the last epoch.
        nfe_forward: Mean evaluations per forward pass, or ``None``.
        seconds: Mean seconds per run.
    """

    n: int
    failed: int
    mean: float | None
    std: float | None
    val_mean: float | None
    last_mean: float | None
    nfe_forward: float | None
    seconds: float | None


@dataclass(frozen=True)
class PairedDifference:
    """Mean difference over identical splits, in fractions.

    Seeds are averaged within their split first: they are no independent evidence about splits.

    Args:
        n: Splits.
        mean: Mean of the differences.
        half_width: Half the 95 % t-interval of the mean; ``None`` for one pair.
        p_value: Two-sided paired t-test; ``None`` for one pair or identical runs.
    """

    n: int
    mean: float
    half_width: float | None
    p_value: float | None


def summarize(records: Iterable[Record]) -> Summary:
    """Summarise the records of one model."""
    all_records = list(records)
    good = [r for r in all_records if r["test_accuracy"] is not None]
    accuracy = list(_by_split({(r["split"], r["seed"]): r["test_accuracy"] for r in good}))
    val = [r["val_accuracy"] for r in good if r["val_accuracy"] is not None]
    nfe = [r["nfe_forward"] for r in good if r["nfe_forward"] is not None]
    return Summary(
        n=len(good),
        failed=len(all_records) - len(good),
        mean=float(np.mean(accuracy)) if good else None,
        std=float(np.std(accuracy, ddof=1)) if len(accuracy) > 1 else (0.0 if good else None),
        val_mean=float(np.mean(val)) if val else None,
        last_mean=float(np.mean([r["last_test_accuracy"] for r in good])) if good else None,
        nfe_forward=float(np.mean(nfe)) if nfe else None,
        seconds=float(np.mean([r["seconds"] for r in good])) if good else None,
    )


def _by_split(values: dict[tuple[int, int], float]) -> Iterator[float]:
    """Average the values of (split, seed) over the seeds of each split."""
    for split in sorted({split for split, _ in values}):
        yield float(np.mean([v for (s, _), v in values.items() if s == split]))


def paired_difference(
    records: Iterable[Record], baseline: Iterable[Record]
) -> PairedDifference | None:
    """Compare two models over the runs that share split and seed.

    Args:
        records: Records of the model.
        baseline: Records of the one it is compared with.

    Returns:
        The difference, or ``None`` where no pair exists.

    Raises:
        ValueError: If two runs to be paired used different splits.
    """
    other = {(r["split"], r["seed"]): r for r in baseline if r["test_accuracy"] is not None}
    pairs = {}
    for record in records:
        match = other.get((record["split"], record["seed"]))
        if match is None or record["test_accuracy"] is None:
            continue
        if match["split_digest"] != record["split_digest"]:
            raise ValueError(
                f"expected identical splits to pair "
                f"(split {record['split']} differs between the two models)"
            )
        key = (record["split"], record["seed"])
        pairs[key] = record["test_accuracy"] - match["test_accuracy"]
    differences = list(_by_split(pairs))
    n = len(differences)
    if n == 0:
        return None
    mean = float(np.mean(differences))
    spread = float(np.std(differences, ddof=1)) if n > 1 else 0.0
    if n == 1 or spread == 0:
        return PairedDifference(n, mean, 0.0 if n > 1 else None, None)
    half = float(stats.t.ppf(0.975, n - 1) * spread / np.sqrt(n))
    p = float(stats.ttest_1samp(differences, 0.0).pvalue)
    return PairedDifference(n, mean, half, p)
