"""Cells with known answers: better, equal, worse, filled, and what has no test."""

from __future__ import annotations

import pytest
from reproduced_of import around, reproduced_of
from scipy import stats

from grandpp.studies.thesis import LAYOUTS
from grandpp.studies.thesis.reproduced_cells import reproduce

FEW, DEPTH = LAYOUTS["4.3"], LAYOUTS["4.1"]


def cell(result, model, at, dataset="Cora"):
    (found,) = [c for c in result.cells if (c.dataset, c.model, c.at) == (dataset, model, at)]
    return found


def test_a_cell_by_hand():
    # The thesis has 54.94 +- 16.09 over 100 splits; ours: 64, 60, 68.
    result = reproduce(FEW, reproduced_of("grand++-l", [0.64, 0.60, 0.68]))
    own = cell(result, "grand++-l", 1)
    assert (own.runs, own.failed, own.splits) == (3, 0, 3)
    assert (own.mean, own.std) == pytest.approx((0.64, 0.04))
    assert (own.last_mean, own.last_std) == pytest.approx((0.32, 0.02))
    error = (0.04**2 / 3 + 0.1609**2 / 100) ** 0.5
    assert own.test.t == pytest.approx((0.64 - 0.5494) / error)
    reference = stats.ttest_ind_from_stats(0.64, 0.04, 3, 0.5494, 0.1609, 100, equal_var=False)
    assert own.holm_p == pytest.approx(reference.pvalue)


def test_better_worse_and_not_significant_are_distinguished():
    records = [
        *reproduced_of("grand-l", around(0.65)),  # 52.53 +- 16.40 in the thesis
        *reproduced_of("grand++-l", around(0.555)),  # 54.94 +- 16.09
        *reproduced_of("gcn", around(0.40)),  # 47.72 +- 15.33
    ]
    result = reproduce(FEW, records)
    outcome = {c.model: c.outcome for c in result.cells if c.at == 1}
    assert outcome == {"grand-l": "better", "grand++-l": "n.s.", "gcn": "worse"}
    assert cell(result, "grand-l", 1).verdict == "better (p < 0.001)"
    assert cell(result, "gcn", 1).verdict == "worse (p < 0.001)"


def test_holm_corrects_over_all_tested_cells():
    alone = reproduce(FEW, reproduced_of("grand-l", around(0.565)))
    p = cell(alone, "grand-l", 1).holm_p
    assert 0.001 < p < 0.05
    assert cell(alone, "grand-l", 1).outcome == "better"
    # Four cells as in the thesis stand beside it now: the smallest p counts five times.
    others = {2: 0.6482, 5: 0.7607, 10: 0.8025, 20: 0.8286}
    more = [r for k, v in others.items() for r in reproduced_of("grand-l", around(v), labels=k)]
    together = reproduce(FEW, [*reproduced_of("grand-l", around(0.565)), *more])
    assert cell(together, "grand-l", 1).holm_p == pytest.approx(min(1.0, 5 * p))
    assert cell(together, "grand-l", 1).outcome == "n.s."


def test_what_has_no_test_says_why():
    records = [
        *reproduced_of("grand-l", [0.5]),
        *reproduced_of("poisson", around(0.5)),
        *reproduced_of("gcn", [None, None]),
    ]
    result = reproduce(FEW, records)
    assert cell(result, "grand-l", 1).verdict == "one split: no test"
    assert cell(result, "poisson", 1).verdict == "not in the thesis"
    assert cell(result, "gcn", 1).verdict == "every run failed"
    assert cell(result, "gcn", 1).failed == 2
    assert cell(result, "grand-l", 20).verdict == "not run"
    assert {c.at for c in result.cells if c.model == "poisson"} == {1}
    assert {c.dataset for c in result.cells} == {"Cora"}


def test_failed_runs_are_counted_and_in_no_mean():
    own = cell(reproduce(FEW, reproduced_of("gcn", [0.4, None, 0.6])), "gcn", 1)
    assert (own.runs, own.failed, own.splits, own.mean) == (2, 1, 2, pytest.approx(0.5))


def test_seeds_are_averaged_within_their_split():
    records = [*reproduced_of("gcn", [0.4, 0.6]), *reproduced_of("gcn", [0.5, 0.7], seed=1)]
    own = cell(reproduce(FEW, records), "gcn", 1)
    assert (own.runs, own.splits) == (4, 2)
    assert (own.mean, own.std) == pytest.approx((0.55, 0.02**0.5))


def test_depths_are_cells_of_their_own_and_na_is_filled():
    records = [
        *reproduced_of("grand-l", around(0.6), dataset="CiteSeer", labels=20, depth=128.0),
        *reproduced_of("grand-l", around(0.7), dataset="CiteSeer", labels=20, depth=64.0),
        *reproduced_of("gcn", around(0.5), dataset="CiteSeer", labels=20, depth=16.0),
    ]
    result = reproduce(DEPTH, records)
    filled = cell(result, "grand-l", 128, "CiteSeer")
    assert (filled.outcome, filled.mean) == ("filled", pytest.approx(0.6))
    assert filled.verdict == "filled: NA in the thesis"
    assert cell(result, "grand-l", 64, "CiteSeer").outcome == "n.s."  # 69.84 +- 2.66
    assert cell(result, "gcn", 16, "CiteSeer").outcome == "better"  # 24.78 +- 1.45
    # One less deep than the other is no second configuration, and no pair of one depth.
    assert result.paired == ()


def test_pairs_are_taken_at_each_depth_and_corrected_together():
    records = []
    for depth, gap in ((1.0, 0.03), (16.0, 0.0), (256.0, 0.1)):
        noise = [0.01, -0.01, 0.005, -0.005, 0.002]
        records += reproduced_of("grand-l", [0.7] * 5, labels=20, depth=depth)
        values = [0.7 + gap + e for e in noise]
        records += reproduced_of("grand++-l", values, labels=20, depth=depth)
    pairs = reproduce(DEPTH, records).paired
    assert [p.depth for p in pairs] == [1.0, 16.0, 256.0]
    assert [p.best.verdict.split()[0] for p in pairs] == ["better", "n.s.;", "better"]
    best = min(pairs, key=lambda p: p.best.paired_p)
    assert best.best.holm_p == pytest.approx(3 * best.best.paired_p)
    assert pairs[2].last.difference == pytest.approx(pairs[2].best.difference / 2)


def test_mixtures_and_nothing_are_refused():
    with pytest.raises(ValueError, match="got none"):
        reproduce(FEW, [])
    both = [*reproduced_of("gcn", [0.5]), *reproduced_of("gcn", [0.5], labels=2, protocol="no_val")]
    with pytest.raises(ValueError, match="one protocol"):
        reproduce(FEW, both)
    two = [*reproduced_of("gcn", [0.5]), *reproduced_of("gcn", [0.5], epochs=3)]
    with pytest.raises(ValueError, match="one configuration"):
        reproduce(FEW, two)


def test_cells_stand_in_the_order_of_the_thesis():
    records = [r for m in ("poisson", "gcn", "grand-l", "grand++-l") for d in ("CiteSeer", "Cora")
               for r in reproduced_of(m, [0.5], dataset=d, labels=5)]  # fmt: skip
    cells = [c for c in reproduce(FEW, records).cells if c.at == 5]
    order = [(c.dataset, c.model) for c in cells]
    models = ["grand++-l", "grand-l", "gcn", "poisson"]
    assert order == [(d, m) for d in ("Cora", "CiteSeer") for m in models]
