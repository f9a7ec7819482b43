"""Means and paired differences against numbers worked out by hand or by scipy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from grandpp.studies.low_label import accuracy_table
from grandpp.training import paired_difference, summarize
from grandpp.training.statistics import (
    holm,
    paired_test,
    split_means,
    welch_from_moments,
    welch_test,
)


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


def test_a_mean_that_no_run_has_is_none_and_the_others_are_over_those_that_have_it():
    other = {**record("a", 5, 0.8), "nfe_forward": 12.0, "best_time_test_accuracy": 0.9}
    summary = summarize([*A, other])
    assert (summary.nfe_forward, summary.best_time_mean) == (12.0, 0.9)
    assert (summary.val_mean, summary.seconds) == (None, 1.0)
    assert summarize(A).nfe_forward is summarize(A).best_time_mean is None
    empty = summarize([])
    assert (empty.n, empty.failed, empty.mean, empty.std, empty.seconds) == (0, 0, None, None, None)


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


def test_holm_on_a_known_example():
    # Four hypotheses: 0.005 * 4, 0.01 * 3, then 0.03 * 2 lifts 0.04 * 1.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_is_that_of_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    rng = np.random.default_rng(0)
    for size in (1, 2, 7, 40):
        # Rounded, so that some are tied; powers, so that some are small.
        p = (rng.random(size) ** rng.choice([1, 4, 9], size)).round(2)
        assert holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni():
    p = [0.001 * (i * 7919 % 1000) for i in range(1, 40)]
    corrected = holm(p)
    ranked = [c for _, c in sorted(zip(p, corrected, strict=True))]
    assert ranked == sorted(ranked)
    assert all(a <= c <= min(1.0, 39 * a) for a, c in zip(p, corrected, strict=True))
    backwards = holm(p[::-1])
    assert backwards[::-1] == corrected


def test_wilcoxon_is_that_of_scipy_and_ties_in_float32_are_ties():
    exact = [0.25, -0.125, 0.25, 0.5, -0.25, 0.125]
    noise = [1e-8, -2e-8, 3e-8, 0.0, 2e-8, -1e-8]
    expected = stats.wilcoxon(exact).pvalue
    zero = dict.fromkeys(range(6), 0.0)
    for values in (exact, [a + b for a, b in zip(exact, noise, strict=True)]):
        assert paired_test(dict(enumerate(values)), zero).wilcoxon_p == pytest.approx(expected)


def test_split_means_come_in_the_order_of_splits_whatever_that_of_the_runs():
    runs = [(2, 0, 0.1), (0, 1, 0.7), (2, 1, 0.2), (0, 0, 0.1), (2, 2, 0.3)]
    means = split_means(runs)
    assert list(means.items()) == list(split_means(runs[::-1]).items())
    assert list(means) == [0, 2]
    assert means == pytest.approx({0: 0.4, 2: 0.2})
    assert split_means([]) == {}


def test_pairs_are_the_common_splits():
    test = paired_test({1: 0.5, 2: 0.7, 5: 0.9}, {2: 0.6, 5: 0.6, 7: 0.0})
    assert (test.n, test.mean) == (2, pytest.approx(0.2))
    assert test.std == pytest.approx(0.1 * 2**0.5)
    assert test.effect_size == pytest.approx(2**0.5)
    assert paired_test({1: 0.5}, {2: 0.5}) is None


def test_welch_needs_two_values_and_some_spread():
    a, b = [0.5, 0.6, 0.9], [0.4, 0.41]
    expected = stats.ttest_ind(a, b, equal_var=False)
    assert welch_test(a, b) == pytest.approx((expected.statistic, expected.pvalue))
    assert welch_test(a, [0.4, 0.4]) is not None
    assert welch_test([0.5], b) is None
    assert welch_test([0.5, 0.5], [0.4, 0.4]) is None


def test_a_model_with_fewer_seeds_is_paired_by_split():
    more = [{**r, "seed": 1, "test_accuracy": r["test_accuracy"] + 0.02} for r in A]
    assert paired_difference([*A, *more], B).mean == pytest.approx(0.11)


def test_welch_from_moments_is_welch_from_samples():
    a, b = [0.5, 0.7, 0.6, 0.55], [0.4, 0.5, 0.6]
    moments = [(sum(x) / len(x), stats.tstd(x), len(x)) for x in (a, b)]
    own = welch_from_moments(*moments)
    reference = stats.ttest_ind(a, b, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert (own.t, own.p_value) == pytest.approx((reference.statistic, reference.pvalue))
    assert (own.low, own.high) == pytest.approx((interval.low, interval.high))
    assert own.mean == pytest.approx(0.5875 - 0.5)


def test_welch_from_moments_needs_two_of_each_and_some_spread():
    assert welch_from_moments((0.5, 0.0, 1), (0.4, 0.1, 100)) is None
    assert welch_from_moments((0.5, 0.0, 9), (0.4, 0.0, 100)) is None
    assert welch_from_moments((0.5, 0.0, 9), (0.4, 0.1, 100)).t == pytest.approx(10)
