"""The best time of a trajectory: found by validation alone, and without a trace in training."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from grandpp.models import DiffusionClassifier, pool_with_clusters
from grandpp.solvers import SolveError
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training import RunResult, build_optimizer, train_run
from grandpp.training.best_time import record_best_time
from grandpp.training.loop import TrainingRun

CPU = torch.device("cpu")
MODELS = ("grand-l", "grand++-l", "grand-nl", "hb-l", "wave-l", "cgnn")
POOL = ("cluster_labels", "clusters", "cluster_pool")
SMALL = {"epochs": 4, "hidden": 16, "attention_channels": 16, "time": 3.0}


@pytest.mark.parametrize("model", [*MODELS, "adjusted", "pooled"])
def test_accuracies_are_those_of_models_with_that_end_time(model, data):
    """Every quarter of T up to 3 T is tried with a model of its own."""
    torch.manual_seed(0)
    exact = {"rtol": 1e-7, "atol": 1e-7} if model == "grand-nl" else {}
    if model == "adjusted":
        model, exact = "grand-l", {"estimate_shares": True}
    if model == "pooled":
        pool = {"cluster_labels": 1.0, "clusters": "views", "cluster_pool": 0.1}
        model, exact = "grand-l", pool | {"estimate_shares": True}
    config = tuned_run("sbm", model, 5, **SMALL | exact)
    built = config.settings.build(data.num_features, 3)
    pool = {name: getattr(config.settings, name) for name in POOL}
    run, optimizer = (
        TrainingRun(built, data, best_time=True, **pool),
        build_optimizer(config, built),
    )
    for _ in range(8):
        run.train_epoch(optimizer)
    built.eval()
    with torch.no_grad():
        proba = built(data.x, data.edge_index, None, data.train_mask).softmax(1)
    # Shares that the probabilities at T have, so that other times are adjusted to others.
    built.fit_shares(proba.mean(0))
    found = []
    for quarters in range(1, 13):
        settings = SMALL | exact | {"time": 0.75 * quarters}
        other = tuned_run("sbm", model, 5, **settings).settings.build(data.num_features, 3).eval()
        other.load_state_dict(built.state_dict())
        logits = other(data.x, data.edge_index, None, data.train_mask)
        if config.settings.cluster_pool:
            logits = pool_with_clusters(logits, run.targets.proba, 0.1)
        logits = other.adjust(logits)
        hit = (logits.argmax(1) == data.y).float()
        found.append((float(hit[data.val_mask].mean()), float(hit[data.test_mask].mean())))
    best = max(range(12), key=lambda n: found[n][0])
    result = RunResult()
    with torch.no_grad():
        logits = run.adjust(built(data.x, data.edge_index, None, data.train_mask))
        run.evaluate_trajectory(logits, 7, result)
    assert len({val for val, _ in found}) > 2
    assert result.best_time == pytest.approx(0.75 * (best + 1))
    assert result.best_time_epoch == 7
    accuracies = (result.best_time_val_accuracy, result.best_time_test_accuracy)
    assert accuracies == pytest.approx(found[best], abs=1e-6)
    assert built.conv.time == 3.0


class Scripted(DiffusionClassifier):
    """Gives prescribed logits along the trajectory."""

    def __init__(self, logits):
        torch.nn.Module.__init__(self)
        self.conv = SimpleNamespace(time=2.0)
        self.logits = logits

    def classify_along(self, *arguments, times, throw):
        assert not throw
        assert times == [0.5 * n for n in range(1, 13)]
        return self.logits


def test_validation_nodes_choose_among_epochs_and_times_and_the_first_of_equals_wins(
    one_class, predict
):
    epochs = [
        [*(predict(1, 99) for _ in range(5)), predict(8, 20), *(predict(8, 70) for _ in range(6))],
        [predict(8, 60), predict(9, 30), predict(9, 50), *(predict(2, 90) for _ in range(9))],
        [predict(9, 80) for _ in range(12)],
    ]
    result, seen = RunResult(), []
    for epoch, script in enumerate(epochs, start=1):
        record_best_time(Scripted(script), None, one_class, script[3], epoch, result)
        seen.append((result.best_time, result.best_time_epoch, result.best_time_test_accuracy))
    n_test = int(one_class.test_mask.sum())
    assert seen[0] == (3.0, 1, pytest.approx(20 / n_test))
    assert seen[1] == seen[2] == (1.0, 2, pytest.approx(30 / n_test))
    assert result.best_time_val_accuracy == pytest.approx(9 / int(one_class.val_mask.sum()))


def test_where_no_time_is_reached_the_logits_at_the_end_time_count(data):
    result = RunResult()
    logits = torch.nn.functional.one_hot(data.y, 3).float()
    record_best_time(Scripted([]), None, data, logits, 5, result)
    assert (result.best_time, result.best_time_epoch) == (2.0, 5)
    assert (result.best_time_val_accuracy, result.best_time_test_accuracy) == (1.0, 1.0)


@pytest.mark.parametrize("model", ["grand++-l", "grand-nl"])
def test_looking_along_the_trajectory_changes_nothing_else(model, data):
    plain = train_run(tuned_run("sbm", model, 5, **SMALL), data, CPU)
    looked = train_run(tuned_run("sbm", model, 5, best_time=True, **SMALL), data, CPU)
    for name in ("test_accuracy", "val_accuracy", "last_test_accuracy", "energy", "nfe_forward",
                 "nfe_backward", "best_epoch"):  # fmt: skip
        assert getattr(looked, name) == getattr(plain, name), name
    assert looked.best_time_val_accuracy >= plain.val_accuracy
    assert 1 <= looked.best_time_epoch <= 4
    assert plain.best_time is plain.best_time_test_accuracy is None


def test_models_without_a_trajectory_are_refused_and_runs_of_them_do_not_look(data):
    config = tuned_run("sbm", "gcn", 5, epochs=2, best_time=True)
    assert config == tuned_run("sbm", "gcn", 5, epochs=2)
    assert train_run(config, data, CPU).best_time is None
    with pytest.raises(ValueError, match="a model with a trajectory"):
        record_best_time(config.settings.build(64, 3), data.x, data, None, 1, RunResult())


def test_a_solve_that_fails_beyond_the_end_time_ends_the_look_and_not_the_run(data):
    far = SMALL | {"time": 32.0}  # strong damping over a long span: waves overflow beyond it
    plain = train_run(tuned_run("sbm", "wave-l", 5, **far), data, CPU)
    looked = train_run(tuned_run("sbm", "wave-l", 5, best_time=True, **far), data, CPU)
    assert looked.status == "success"
    assert looked.test_accuracy == plain.test_accuracy
    assert looked.best_time_val_accuracy >= plain.val_accuracy
    model = tuned_run("sbm", "wave-l", 5, **far).settings.build(data.num_features, 3).eval()
    with pytest.raises(SolveError):
        model.classify_along(data.x, data.edge_index, times=[32.0, 96.0])


def test_weights_of_edges_count_along_the_trajectory_too(data):
    weighted = data.clone()
    weighted.edge_weight = torch.rand(data.num_edges, generator=torch.manual_seed(0)) ** 4
    torch.manual_seed(0)
    built = tuned_run("sbm", "grand-l", 5, **SMALL).settings.build(data.num_features, 3).eval()
    edges = (data.edge_index, weighted.edge_weight)
    (found,) = built.classify_along(data.x, *edges, times=[3.0])
    torch.testing.assert_close(found, built(data.x, *edges))
    assert (found - built(data.x, data.edge_index)).abs().max() > 1e-3
    seen = []
    built.classify_along = lambda x, *graph, **options: seen.append(graph[1]) or []
    logits = built(data.x, *edges)
    record_best_time(built, data.x, weighted, logits, 1, RunResult())
    assert seen[0] is weighted.edge_weight


@pytest.mark.parametrize("time", [0.0, float("inf")])
def test_a_trajectory_without_length_or_end_is_refused(time):
    with pytest.raises(ValueError, match=f"'time' to be .*got {time}"):
        tuned_run("sbm", "grand-l", 5, best_time=True, time=time)
