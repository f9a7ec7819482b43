"""Comparisons against hand-computed numbers and scipy."""

from __future__ import annotations

import random

import numpy as np
import pytest
from records_of import records_of
from scipy import stats

from grandpp.studies.low_label.comparison import compare

BASE = [0.50, 0.52, 0.61, 0.40, 0.55]
BETTER = [0.53, 0.56, 0.63, 0.45, 0.57]


def two(a=BETTER, b=BASE, **more):
    return [*records_of("a", a, **more), *records_of("b", b, **more)]


def only(rows, model="a"):
    (row,) = [r for r in rows if r.model == model]
    return row


def test_one_comparison_by_hand():
    # Differences 3, 4, 2, 5, 2 points: mean 3.2, sum of squares about it 6.8, so s^2 = 1.7.
    row = only(compare(two(), "b"))
    assert (row.runs, row.failed, row.splits, row.pairs, row.unpaired) == (5, 0, 5, 5, 0)
    assert row.mean == pytest.approx(0.548)
    assert row.difference == pytest.approx(0.032)
    assert row.difference_std == pytest.approx(0.01 * 1.7**0.5)
    assert row.paired_t == pytest.approx(3.2 / (1.7 / 5) ** 0.5)
    assert row.effect_size == pytest.approx(3.2 / 1.7**0.5)
    # t quantile 2.776 for 4 degrees of freedom, from a printed table.
    assert row.high - row.difference == pytest.approx(2.776 * (0.00017 / 5) ** 0.5, rel=1e-3)
    # All five signs agree: 2 / 2^5.
    assert row.wilcoxon_p == pytest.approx(0.0625)


def test_tests_are_those_of_scipy():
    row = only(compare(two(), "b"))
    welch, paired = stats.ttest_ind(BETTER, BASE, equal_var=False), stats.ttest_rel(BETTER, BASE)
    assert (row.welch_t, row.welch_p) == pytest.approx((welch.statistic, welch.pvalue))
    assert (row.paired_t, row.paired_p) == pytest.approx((paired.statistic, paired.pvalue))
    interval = paired.confidence_interval(0.95)
    assert (row.low, row.high) == pytest.approx((interval.low, interval.high))
    assert row.std == pytest.approx(np.std(BETTER, ddof=1))
    half = row.std * stats.t.ppf(0.975, 4) / 5**0.5
    assert row.half_width == pytest.approx(half)


def test_welch_counts_the_variance_of_each_model_once():
    wide, narrow = [0.2, 0.5, 0.8], [0.50, 0.51, 0.52]
    row = only(compare(two(wide, narrow), "b"))
    assert row.welch_t == pytest.approx(-0.01 / (0.09 / 3 + 0.0001 / 3) ** 0.5)


def test_the_order_of_records_is_nothing():
    records = [*two(), *two(labels=5, seed=1), *two(BASE, BETTER, labels=5)]
    rows = compare(records, "b")
    for seed in range(5):
        shuffled = random.Random(seed).sample(records, len(records))
        assert compare(shuffled, "b") == rows


def test_seeds_are_averaged_within_their_split_before_any_test():
    up, down = [v + 0.01 for v in BETTER], [v - 0.01 for v in BETTER]
    several = [*records_of("a", up), *records_of("a", down, seed=1), *records_of("b", BASE)]
    averaged, single = only(compare(several, "b")), only(compare(two(), "b"))
    assert (averaged.runs, averaged.splits, averaged.pairs) == (10, 5, 5)
    for name in ("mean", "std", "paired_p", "welch_p", "high"):
        assert getattr(averaged, name) == pytest.approx(getattr(single, name)), name


def test_holm_corrects_over_all_cells_together():
    rng = np.random.default_rng(0)
    records = []
    for labels in (1, 2, 5):
        base = rng.uniform(0.4, 0.6, 12)
        records += records_of("b", base.tolist(), labels=labels)
        for model, shift in (("a", 0.03), ("c", 0.0)):
            values = (base + shift + rng.normal(0, 0.02, 12)).tolist()
            records += records_of(model, values, labels=labels)
    rows = [r for r in compare(records, "b") if r.model != "b"]
    ranked = sorted(rows, key=lambda r: r.paired_p)
    largest = 0.0
    for i, row in enumerate(ranked):
        largest = max(largest, min(1.0, (6 - i) * row.paired_p))
        assert row.holm_p == pytest.approx(largest)
    alone = compare(records, "b", models=["a"], labels=[1])
    assert only(alone).holm_p == only(alone).paired_p


def test_identical_runs_have_no_test_and_say_so():
    row = only(compare(two(BASE, BASE), "b"))
    assert (row.difference, row.low, row.high) == (0.0, 0.0, 0.0)
    assert row.paired_p is row.wilcoxon_p is row.holm_p is row.effect_size is None
    assert row.welch_t == 0
    assert row.verdict == "identical in every split"


def test_differences_equal_up_to_float32_are_equal():
    shifted = [float(np.float32(v) + np.float32(0.1)) for v in BASE]
    row = only(compare(two(shifted, [float(np.float32(v)) for v in BASE]), "b"))
    assert row.paired_p is None
    assert row.verdict == "the same difference in every split: no test"


def test_one_split_gives_a_difference_and_no_test():
    row = only(compare(two([0.5], [0.4]), "b"))
    assert row.difference == pytest.approx(0.1)
    assert (row.low, row.paired_p, row.welch_p, row.half_width) == (None,) * 4
    assert row.verdict == "one common split: no test"


def test_failed_runs_are_counted_and_leave_their_pair():
    row = only(compare(two([0.53, None, 0.63, 0.45, None], [0.5, 0.52, None, 0.4, 0.55]), "b"))
    assert (row.runs, row.failed, row.splits, row.pairs, row.unpaired) == (3, 2, 3, 2, 3)
    assert row.difference == pytest.approx(0.04)
    nothing = only(compare(two([None] * 5), "b"))
    assert (nothing.failed, nothing.mean, nothing.verdict) == (5, None, "every run failed")


def test_models_on_some_splits_are_paired_on_the_common_ones():
    row = only(compare(two(BETTER[:3]), "b"))
    assert (row.splits, row.pairs, row.unpaired) == (3, 3, 2)
    assert row.difference == pytest.approx(0.03)
    elsewhere = [*records_of("b", BASE, labels=2), *records_of("a", BASE), *two(labels=5)]
    lonely = next(r for r in compare(elsewhere, "b") if r.labels_per_class == 1)
    assert lonely.verdict == "no split in common with b"


@pytest.mark.parametrize(
    ("shift", "words"),
    [
        (0.05, "better (p < 0.001)"),
        (-0.05, "worse (p < 0.001)"),
        (0.0, "n.s.; the interval allows -"),
    ],
)
def test_the_verdict_says_it_in_words(shift, words):
    rng = np.random.default_rng(1)
    base = rng.uniform(0.4, 0.6, 20)
    noise = rng.normal(0, 0.01, 20)
    row = only(compare(two((base + shift + noise - noise.mean()).tolist(), base.tolist()), "b"))
    assert row.verdict.startswith(words)
    if shift == 0.0:
        low, high = (100 * v for v in (row.low, row.high))
        assert row.verdict.endswith(f"allows {low:+.1f} to {high:+.1f} points")


def test_what_only_the_correction_takes_away_is_said_to_be_so():
    records = two()
    assert only(compare(records, "b")).verdict == "better (p = 0.005)"
    for k in range(2, 13):
        records += two([0.5, 0.6, 0.4], [0.4, 0.6, 0.5], labels=k)
    row = next(r for r in compare(records, "b") if r.model == "a" and r.labels_per_class == 1)
    assert row.low > 0
    assert row.holm_p == pytest.approx(12 * row.paired_p)
    assert row.verdict.startswith("n.s. after Holm's correction (p = 0.06")


def test_the_metric_is_chosen():
    rows = compare(two(), "b", metric="last_test_accuracy")
    assert only(rows).mean == pytest.approx(0.274)
    without = two(val_accuracy=None)
    assert compare(without, "b")
    with pytest.raises(ValueError, match="val_accuracy in every successful run"):
        compare(without, "b", metric="val_accuracy")
    timed = two(best_time_test_accuracy=0.75)
    assert only(compare(timed, "b", metric="best_time_test_accuracy")).mean == 0.75
    with pytest.raises(ValueError, match="best_time_test_accuracy in every successful run"):
        compare(two(), "b", metric="best_time_test_accuracy")
    with pytest.raises(ValueError, match="'metric'"):
        compare(two(), "b", metric="loss")


def test_rows_stand_in_the_order_of_thesis_and_request():
    records = [*two(dataset="PubMed"), *two(dataset="Other"), *two(dataset="Cora", labels=10),
               *two(dataset="Cora", labels=2), *records_of("c", BASE, labels=2)]  # fmt: skip
    rows = compare(records, "b", models=["c", "a"])
    cells = list(dict.fromkeys((r.dataset, r.labels_per_class) for r in rows))
    assert cells == [("Cora", 2), ("Cora", 10), ("PubMed", 1), ("Other", 1)]
    assert [r.model for r in rows[:3]] == ["b", "c", "a"]


def test_a_baseline_without_runs_is_refused():
    with pytest.raises(ValueError, match=r"baseline grand-l \(found a, b\)"):
        compare(two())
