"""How many runs at once, and on how many threads: the rule, and that nothing of it stays behind."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info
from torch_geometric.data import Data

import grandpp.training.threads as threads
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.threads import Threads, auto_workers, threads_per_run

GIB = 2**30


def graph(nodes, edges):
    """A graph of a size, which nobody looks into."""
    return Data(edge_index=torch.empty(2, edges, dtype=torch.long), num_nodes=nodes)


CORA = (tuned_run("Cora", "grand-l", 1), graph(2485, 10_138))
LARGE = (tuned_run("PubMed", "grand-l", 1), graph(19_717, 88_648))
NONLINEAR = (tuned_run("PubMed", "grand-nl", 1), LARGE[1])


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    """Eight cores and plenty of memory; the threads of torch are put back."""
    before = torch.get_num_threads()
    torch.set_num_threads(8)
    monkeypatch.setattr(threads, "cpu_count", lambda: 8)
    monkeypatch.setattr(threads, "_total_memory", lambda: 64 * GIB)
    yield
    torch.set_num_threads(before)


def threads_of(run, runs):
    return threads_per_run(runs).of(*run)


def test_a_small_graph_takes_one_thread_and_a_large_one_what_the_others_leave():
    assert threads_of(CORA, [CORA]) == threads_of(CORA, 20 * [CORA]) == 1
    assert threads_of(LARGE, [LARGE]) == 8
    assert threads_of(LARGE, 2 * [LARGE]) == 4
    assert threads_of(LARGE, 20 * [LARGE]) == 1
    assert threads_per_run(20 * [CORA], 3) == Threads(3, 3)


def test_a_batch_counts_as_one_large_graph():
    rule = threads_per_run([CORA])
    assert rule.of(*CORA, copies=2) == 1
    assert rule.of(*CORA, copies=20) == 8


def test_threads_that_torch_was_denied_are_not_taken():
    torch.set_num_threads(2)
    assert threads_of(LARGE, [LARGE]) == 2


def test_memory_bounds_the_runs_at_once_and_their_threads_fill_the_cores(monkeypatch):
    runs = 20 * [NONLINEAR]
    many = auto_workers(runs, threads_per_run(runs))
    assert many == 8
    monkeypatch.setattr(threads, "_total_memory", lambda: 5 * GIB)
    rule = threads_per_run(runs)
    assert auto_workers(runs, rule) == 2
    assert rule.of(*NONLINEAR) == 4
    monkeypatch.setattr(threads, "_total_memory", lambda: None)
    assert auto_workers(runs, threads_per_run(runs)) == 8


@pytest.mark.parametrize(
    ("models", "splits", "epochs", "workers"),
    [
        (["grand++-cluster-l", "grand++-l", "grand-l"], 3, None, 5),  # the README's command
        (["grand-l"], 100, None, 8),
        (["grand-l"], 1, None, 1),
        (["grand-l"], 2, None, 1),
        (["grand-l"], 4, 3, 1),
        (["poisson"], 4, None, 1),
    ],
)
def test_processes_are_started_where_they_pay(models, splits, epochs, workers):
    configs = [tuned_run("Cora", model, 1, epochs=epochs) for model in models]
    runs = [(config, CORA[1]) for config in configs for _ in range(splits)]
    assert auto_workers(runs, threads_per_run(runs)) == workers


def test_runs_of_several_threads_share_the_cores():
    runs = 20 * [CORA]
    assert auto_workers(runs, Threads(3, 3)) == 2


def test_the_cost_of_a_run_grows_with_its_epochs_depth_and_nonlinearity():
    config, data = CORA
    base = threads.rough_seconds(config, data)
    assert threads.rough_seconds(config.with_settings(epochs=200), data) == pytest.approx(2 * base)
    assert threads.rough_seconds(config.with_settings(time=180.0), data) > 2 * base
    assert threads.rough_seconds(config.with_settings(time=1e9), data) < 100 * base
    nonlinear = tuned_run("Cora", "grand-nl", 1, solver="tsit5")
    assert threads.rough_seconds(nonlinear, data) > 10 * base


def test_a_run_is_held_to_its_threads_and_leaves_none_of_it_behind():
    np.ones((2, 2)) @ np.ones((2, 2))  # loads the library
    blas = [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"]
    for rule, number in ((Threads(1, 8), 1), (Threads(2, 8), 2)):
        with pytest.raises(KeyError), rule.limit(*CORA):
            assert torch.get_num_threads() == number
            held = {i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"}
            assert held == {number}
            raise KeyError
    assert torch.get_num_threads() == 8
    assert [i["num_threads"] for i in threadpool_info() if i["user_api"] == "blas"] == blas
