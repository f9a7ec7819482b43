"""The bar: where it stands and what it says."""

from __future__ import annotations

import numpy as np
import pytest

from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.progress import Progress


@pytest.fixture
def bar():
    config = tuned_run("sbm", "gcn", 1, epochs=10)
    with Progress([config.on(split, 0) for split in range(3)], show=True) as progress:
        yield progress


def record(accuracy, dataset="sbm"):
    return {"dataset": dataset, "labels_per_class": 1, "model": "gcn", "test_accuracy": accuracy}


def test_the_bar_moves_within_runs_and_a_run_that_stopped_early_counts_in_full(bar):
    bar.show(np.array([4, 3, 0]))
    assert bar._bar.n == 7
    bar.finish(0, record(0.5))
    bar.show(np.array([4, 5, 0]))
    assert bar._bar.n == 15
    assert bar._bar.total == 30


def test_the_mean_accuracy_is_that_of_the_data_set_at_hand(bar):
    bar.finish(0, record(0.5))
    bar.finish(1, record(None))
    bar.finish(2, record(0.7))
    assert "gcn=60.0%" in str(bar._bar)
    bar.finish(0, record(0.2, dataset="Cora"))
    assert "gcn=20.0%" in str(bar._bar)
