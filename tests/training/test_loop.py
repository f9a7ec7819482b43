"""Training: selection by validation, repeatability, honest failures."""

from __future__ import annotations

import json

import pytest
import torch

from grandpp.data import low_label_split
from grandpp.models.base import PlainClassifier
from grandpp.models.features import to_dense
from grandpp.studies.low_label.zoo import BATCH_MODELS, tuned_run
from grandpp.training import RunResult, build_optimizer, train_run
from grandpp.training.batch import train_batch
from grandpp.training.json_lines import to_json
from grandpp.training.loop import TrainingRun
from grandpp.training.records import make_record
from grandpp.training.statistics import summarize

CPU = torch.device("cpu")


def run(data, model, **overrides):
    config = tuned_run("sbm", model, 5, epochs=6, **overrides)
    return train_run(config, data, CPU)


@pytest.mark.parametrize("model", ["grand-l", "grand++-l", "grand-nl", "gcn"])
def test_the_same_configuration_gives_the_same_bits(data, model):
    states = []
    for _ in range(2):
        torch.manual_seed(5)
        config = tuned_run("sbm", model, 5, time=2.0)
        built = config.settings.build(data.num_features, 3)
        runner, optimizer = TrainingRun(built, data), build_optimizer(config, built)
        for _ in range(3):
            runner.train_epoch(optimizer)
        states.append(built.state_dict())
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    first, second = (run(data, model, time=2.0) for _ in range(2))
    assert first.last_test_accuracy == second.last_test_accuracy
    other = run(data, model, time=2.0, seed=1)
    assert (other.val_accuracy, other.last_test_accuracy) != (
        first.val_accuracy,
        first.last_test_accuracy,
    )


def test_learning_beats_chance_and_the_record_is_complete(data):
    config = tuned_run("sbm", "grand-l", 5, epochs=40, time=4.0)
    result = train_run(config, data, CPU)
    assert result.status == "success"
    assert result.test_accuracy > 0.6
    assert 1 <= result.best_epoch <= 40
    assert result.nfe_forward > 2
    assert result.nfe_backward > 2
    assert result.peak_memory_mb > 50
    assert result.seconds > 0


class Scripted(PlainClassifier):
    """Returns prescribed logits."""

    def __init__(self, logits):
        super().__init__()
        self.script = iter(logits)

    def logits(self, *args):
        return next(self.script)


def test_the_epoch_is_chosen_by_validation_alone_and_the_first_of_equals_wins(one_class, predict):
    script = [predict(5, 90), predict(10, 20), predict(10, 80), predict(3, 100)]
    runner, result = TrainingRun(Scripted(script), one_class), RunResult()
    for epoch in range(1, 5):
        runner.evaluate(epoch, result)
    n_val, n_test = int(one_class.val_mask.sum()), int(one_class.test_mask.sum())
    assert result.best_epoch == 2
    assert result.val_accuracy == pytest.approx(10 / n_val)
    assert result.test_accuracy == pytest.approx(20 / n_test)
    assert result.last_test_accuracy == pytest.approx(100 / n_test)


def test_patience_ends_training_and_changes_nothing_before(data):
    whole = train_run(tuned_run("sbm", "gcn", 5, epochs=60), data, CPU)
    assert whole.epochs == 60
    for patience in (1, 4, 60):
        short = train_run(tuned_run("sbm", "gcn", 5, epochs=60, patience=patience), data, CPU)
        assert short.epochs == min(60, short.best_epoch + patience)
        assert short.val_accuracy <= whole.val_accuracy
    assert short.best_epoch == whole.best_epoch
    assert short.test_accuracy == whole.test_accuracy


def test_patience_without_validation_nodes_is_refused(data):
    split = low_label_split(data, 5, seed=0, protocol="no_val")
    with pytest.raises(ValueError, match="validation nodes for patience=3"):
        train_run(tuned_run("sbm", "gcn", 5, patience=3), split, CPU)
    with pytest.raises(ValueError, match="'patience' to be positive"):
        train_run(tuned_run("sbm", "gcn", 5, patience=0), data, CPU)


def test_without_validation_nodes_the_last_epoch_counts(data):
    split = low_label_split(data, 5, seed=0, protocol="no_val")
    result = run(split, "gcn")
    assert result.val_accuracy is None
    assert result.best_epoch == 6
    assert result.test_accuracy == result.last_test_accuracy


def test_binary_features_are_the_words_whatever_their_weights(data):
    words, weighted = data.clone(), data.clone()
    words.x = (data.x != 0).float()
    weighted.x = data.x * torch.rand(300, 1).add(0.5)
    wanted = run(words, "grand-l", time=2.0, layer_norm=False)
    found = run(weighted, "grand-l", time=2.0, layer_norm=False, features="binary")
    assert (found.val_accuracy, found.last_test_accuracy) == (
        wanted.val_accuracy,
        wanted.last_test_accuracy,
    )
    other = run(weighted, "grand-l", time=2.0, layer_norm=False)
    assert other.val_accuracy != wanted.val_accuracy


@pytest.mark.parametrize("clusters", ["features", "views"])
@pytest.mark.parametrize("sparse", [False, True])
def test_clusters_grow_in_the_features_as_loaded_whatever_the_network_gets(data, clusters, sparse):
    weighted = data.clone()
    weighted.x = data.x * torch.rand_like(data.x).add(0.1)
    if sparse:
        weighted.x = weighted.x.to_sparse_csr()
    rows, ones = (
        TrainingRun.begin(
            tuned_run("sbm", "grand++-cluster-l", 5, clusters=clusters, features=features),
            weighted,
            CPU,
        )
        for features in ("rows", "binary")
    )
    assert torch.equal(ones.targets.label, rows.targets.label)
    assert torch.equal(ones.targets.weight, rows.targets.weight)
    inputs = [to_dense(each.x) for each in (rows, ones)]
    torch.testing.assert_close(inputs[0], to_dense(weighted.x))
    assert torch.equal(inputs[1], (inputs[0] != 0).float())


@pytest.mark.parametrize("model", ["gcn", "grand-l"])
def test_binary_features_without_a_zero_end_the_run_with_what_was_expected(data, model):
    numbers = data.clone()
    numbers.x = 50 * torch.randn(300, 4).abs().add(1.0)
    with pytest.raises(ValueError, match="features='binary'"):
        run(numbers, model, time=1.0, features="binary")


def test_test_labels_never_reach_training(data):
    # Changing every label outside the training set changes no parameter and no prediction.
    changed = data.clone()
    hidden = ~changed.train_mask
    changed.y = torch.where(hidden, (changed.y + 1) % 3, changed.y)
    config = tuned_run("sbm", "grand++-l", 5, epochs=3, time=2.0)
    logits = []
    for graph in (data, changed):
        torch.manual_seed(0)
        model = config.settings.build(graph.num_features, 3)
        runner, optimizer = TrainingRun(model, graph), build_optimizer(config, model)
        for _ in range(3):
            runner.train_epoch(optimizer)
        logits.append(model.eval()(graph.x, graph.edge_index, None, graph.train_mask))
    assert torch.equal(*logits)


def test_an_encoder_that_overflows_is_a_status_and_bad_data_are_an_error(data):
    huge = data.clone()
    huge.x = torch.where(data.x > 0, 3e38, 0.0)  # finite until dropout doubles it
    result = run(huge, "grand-l", input_dropout=0.5)
    assert result.status == "diverged"
    assert "finite node features" in result.message
    bad = data.clone()
    bad.x[7, 3] = float("nan")
    for model in ("grand-l", "grand++-cluster-l", "gcn"):
        with pytest.raises(ValueError, match="1 NaN or infinite values, the first at node 7"):
            run(bad, model)


def test_training_that_leaves_the_finite_numbers_is_a_status_too(data):
    result = run(data, "grand++-l", lr=1e30)
    assert result.status in ("diverged", "non_finite", "linear_solve_failed")
    assert result.test_accuracy is None
    assert result.message


def test_the_data_stay_where_they_are(data):
    x = data.x
    run(data, "mlp")
    assert data.x is x


def test_a_failed_solve_is_a_status_not_an_accuracy(data):
    result = run(data, "grand-l", solver="euler", step_size=1e3, time=1e5)
    # Euler far beyond its stability limit: the state overflows within the solve.
    assert result.status == "non_finite"
    assert result.test_accuracy is None
    assert "step_size" in result.message


@pytest.mark.parametrize("model", ["grand++-l", "gcn", "label_propagation", "laplace", "clusters"])
def test_nodes_without_a_known_label_neither_train_nor_count(data, model):
    masks = ("train_mask", "val_mask", "test_mask")
    unknown, without = data.clone(), data.clone()
    for name in masks:
        hidden = data[name].nonzero().view(-1)[::4]
        unknown.y[hidden] = -1
        without[name] = data[name].index_fill(0, hidden, False)
    settings = {} if model in ("label_propagation", "laplace", "clusters") else {"time": 2.0}
    config = tuned_run("sbm", model, 5, epochs=3, **settings)
    found, expected = (train_run(config, graph, CPU) for graph in (unknown, without))
    for name in ("test_accuracy", "val_accuracy", "last_test_accuracy", "energy"):
        assert getattr(found, name) == getattr(expected, name), name
    assert found.status == "success"
    assert bool((unknown.train_mask == data.train_mask).all())


def test_training_nodes_without_any_known_label_are_an_error(data):
    unknown = data.clone()
    unknown.y[data.train_mask] = -1
    for model in ("grand-l", "laplace"):
        with pytest.raises(ValueError, match=r"training nodes with a known label \(got none\)"):
            run(unknown, model)
    unseen = data.clone()
    unseen.y[data.val_mask] = -1
    with pytest.raises(ValueError, match="validation nodes for patience=3"):
        train_run(tuned_run("sbm", "gcn", 5, patience=3), unseen, CPU)


def test_without_test_nodes_there_is_no_accuracy_and_a_message(data):
    untested = data.clone()
    untested.test_mask = torch.zeros_like(data.test_mask)
    result = run(untested, "gcn")
    assert (result.status, result.test_accuracy, result.last_test_accuracy) == (
        "success", None, None,
    )  # fmt: skip
    assert result.val_accuracy > 0
    assert "no test node" in result.message
    line = to_json(make_record(tuned_run("sbm", "gcn", 5), result, untested, "cpu"))
    assert json.loads(line, parse_constant=pytest.fail)["test_accuracy"] is None
    summary = summarize([json.loads(line)])
    assert (summary.n, summary.failed, summary.mean) == (0, 0, None)


def test_features_without_energy_leave_no_share_of_it(data):
    flat = data.clone()
    flat.x = torch.ones(300, 64) / 64
    assert run(flat, "grand-l", time=1.0, input_dropout=0.0).energy is None


@pytest.mark.parametrize("model", ["grand-l", "gcn", "clusters", "grand++-cluster-l"])
@pytest.mark.parametrize("features", [None, "binary"])
def test_features_in_compressed_rows_give_the_same_run(data, model, features):
    sparse = data.clone()
    sparse.x = data.x.to_sparse_csr()
    settings = {} if model == "clusters" else {"time": 2.0, "features": features, "epochs": 3}
    config = tuned_run("sbm", model, 5, **settings)
    found, expected = (train_run(config, graph, CPU) for graph in (sparse, data))
    for name in ("test_accuracy", "val_accuracy", "last_test_accuracy", "energy"):
        assert getattr(found, name) == getattr(expected, name), name
    if model in BATCH_MODELS:
        splits = [sparse, sparse]
        together = train_batch([config, config], splits, CPU)
        assert together[0].last_test_accuracy == pytest.approx(expected.last_test_accuracy, abs=0.1)
