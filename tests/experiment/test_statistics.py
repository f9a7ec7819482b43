"""Means and paired differences against numbers worked out by hand or by scipy."""

from __future__ import annotations

import pytest
from scipy import stats

from grandpp.experiment import accuracy_table, paired_difference, summarize


def record(model, split, accuracy, digest="d"):
    return {
        "model": model,
        "split": split,
        "seed": 0,
        "test_accuracy": accuracy,
        "last_test_accuracy": accuracy,
        "val_accuracy": None,
        "nfe_forward": None,
        "seconds": 1.0,
        "split_digest": f"{digest}{split}",
    }


A = [record("a", i, v) for i, v in enumerate([0.5, 0.7, 0.6])]
B = [record("b", i, v) for i, v in enumerate([0.4, 0.5, 0.6])]


def test_summary_is_mean_and_sample_deviation_and_counts_failures_apart():
    summary = summarize([*A, record("a", 9, None)])
    assert (summary.n, summary.failed) == (3, 1)
    assert summary.mean == pytest.approx(0.6)
    assert summary.std == pytest.approx(0.1)
    assert summarize([record("a", 0, None)]).mean is None


def test_paired_difference_is_that_of_scipy():
    difference = paired_difference(A, B)
    expected = stats.ttest_rel([0.5, 0.7, 0.6], [0.4, 0.5, 0.6])
    assert difference.mean == pytest.approx(0.1)
    assert difference.p_value == pytest.approx(expected.pvalue)
    interval = expected.confidence_interval()
    assert difference.mean - difference.half_width == pytest.approx(interval.low)


def test_seeds_are_averaged_within_their_split_before_any_test():
    a = [{**record("a", s, v), "seed": k} for s, v in enumerate([0.5, 0.7, 0.6]) for k in range(9)]
    b = [{**record("b", s, v), "seed": k} for s, v in enumerate([0.4, 0.5, 0.6]) for k in range(9)]
    assert paired_difference(a, b) == paired_difference(A, B)
    assert summarize(a).std == summarize(A).std


def test_only_common_successful_runs_are_paired():
    other = [*B[:2], record("b", 7, 0.9), record("b", 2, None)]
    assert paired_difference(A, other).n == 2
    assert paired_difference(A, []) is None
    assert paired_difference(A[:1], B).p_value is None


def test_different_splits_are_refused():
    with pytest.raises(ValueError, match="identical splits"):
        paired_difference(A, [record("b", 0, 0.4, digest="other")])


def test_table_has_a_line_per_model_with_the_paired_difference():
    lines = accuracy_table([*A, *B], baseline="b").splitlines()
    assert lines[2].startswith("a")
    assert "60.00 +- 10.00 %" in lines[2]
    assert "+10.00 +- " in lines[2]
    assert lines[3].split()[:2] == ["b", "3"]
