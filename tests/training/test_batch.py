"""Batches: every run gives what it gives by itself, whatever becomes of the others."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

import grandpp.training.batch as batch_module
from grandpp.data import low_label_split, sbm
from grandpp.linalg.singular import ConvergenceError
from grandpp.models import can_classify_batched
from grandpp.studies.low_label.zoo import BATCH_MODELS, MODELS, tuned_run
from grandpp.training import build_optimizer
from grandpp.training.batch import check_batch, train_batch
from grandpp.training.loop import TrainingRun, train_run

CPU = torch.device("cpu")
SAME = ("test_accuracy", "val_accuracy", "last_test_accuracy", "best_epoch", "epochs", "status",
        "message")  # fmt: skip
PLACES = [(split, seed) for split in range(3) for seed in range(2)]


@pytest.fixture(scope="module")
def graph():
    return sbm(300, 700, num_classes=3, num_features=64, words_per_node=8, seed=1)


def runs_of(graph, model, places=PLACES, **settings):
    settings = {"epochs": 6, "time": 4.0, "hidden": 16, "attention_channels": 16, **settings}
    base = tuned_run("sbm", model, 5, **settings)
    configs = [base.on(*place) for place in places]
    return configs, [split_of(graph, config) for config in configs]


def split_of(graph, config):
    options = {"num_development": 150} if config.protocol == "grand" else {}
    return low_label_split(graph, 5, config.split, config.protocol, **options)


def same(results, configs, splits):
    for result, config, data in zip(results, configs, splits, strict=True):
        alone = train_run(config, data, CPU)
        assert [getattr(result, n) for n in SAME] == [getattr(alone, n) for n in SAME]
        if alone.status == "success":
            assert result.energy == pytest.approx(alone.energy, rel=1e-4)


@pytest.fixture
def after_training(monkeypatch):
    """The runs that the last trainings left behind, in the order of their beginning."""
    runs = []
    begin = TrainingRun.begin.__func__

    def keep(cls, *arguments):
        runs.append(begin(cls, *arguments))
        return runs[-1]

    monkeypatch.setattr(TrainingRun, "begin", classmethod(keep))
    return runs


@pytest.mark.parametrize("model", BATCH_MODELS)
def test_every_run_gives_what_it_gives_by_itself(graph, after_training, model):
    configs, splits = runs_of(graph, model)
    results = train_batch(configs, splits, CPU)
    same(results, configs, splits)
    assert len({r.last_test_accuracy for r in results}) > 1
    half = len(configs)
    for one, other in zip(after_training[:half], after_training[half:], strict=True):
        logits = []
        for run in (one, other):
            run.model.eval()
            data = run.data
            logits.append(run.model(run.x, data.edge_index, None, data.train_mask))
        torch.testing.assert_close(*logits, rtol=1e-4, atol=1e-4)


POOL = {"cluster_labels": 1.0, "clusters": "chosen", "cluster_pool": 0.2}


@pytest.mark.parametrize("settings", [{}, {"estimate_shares": True}, POOL])
def test_every_run_finds_its_own_best_time(graph, settings):
    configs, splits = runs_of(graph, "grand++-l", best_time=True, **settings)
    results = train_batch(configs, splits, CPU)
    same(results, configs, splits)
    names = [f"best_time{part}" for part in ("", "_epoch", "_val_accuracy", "_test_accuracy")]
    for result, config, data in zip(results, configs, splits, strict=True):
        alone = train_run(config, data, CPU)
        assert [getattr(result, n) for n in names] == [getattr(alone, n) for n in names]
    assert len({(r.best_time, r.best_time_epoch) for r in results}) > 1


@pytest.mark.parametrize("optimizer", ["Adam", "RMSprop"])
def test_other_settings_of_the_table_and_dropout_before_the_decoder(graph, optimizer):
    settings = {"attention": "exp_kernel", "dropout": 0.5, "optimizer": optimizer, "lr": 0.01,
                "weight_decay": 0.1, "features": "binary"}  # fmt: skip
    configs, splits = runs_of(graph, "grand++-l", PLACES[:3], **settings)
    same(train_batch(configs, splits, CPU), configs, splits)


def test_without_validation_nodes_the_last_epoch_counts(graph):
    configs, splits = runs_of(graph, "grand-l", PLACES[:2], protocol="no_val", epochs=3)
    results = train_batch(configs, splits, CPU)
    same(results, configs, splits)
    assert [r.best_epoch for r in results] == [3, 3]


def test_runs_out_of_patience_leave_and_the_others_go_on(graph):
    configs, splits = runs_of(graph, "grand-l", epochs=14, patience=2)
    counts = [0] * len(configs)

    def on_epoch(place):
        counts[place] += 1

    results = train_batch(configs, splits, CPU, on_epoch)
    same(results, configs, splits)
    assert counts == [r.epochs for r in results]
    assert len(set(counts)) > 1


def test_gradients_of_the_joint_loss_are_those_of_each_loss(graph):
    configs, splits = runs_of(graph, "grand++-cluster-l", input_dropout=0.5, dropout=0.3)
    configs = [c.with_settings(rtol=1e-12) for c in configs]
    batch = batch_module._Batch.begin(configs, splits, CPU)
    for entry in batch.entries:
        to_double(entry.run)
    batch._learn(batch.entries)
    for entry, config, data in zip(batch.entries, configs, splits, strict=True):
        alone = TrainingRun.begin(config, data, CPU)
        to_double(alone)
        # A step without effect on the gradients: they are compared after it.
        alone.train_epoch(torch.optim.SGD(alone.model.parameters(), lr=0.0))
        pairs = zip(entry.run.model.named_parameters(), alone.model.parameters(), strict=True)
        for (name, ours), theirs in pairs:
            if theirs.grad is None:
                assert ours.grad is None, name
            else:
                torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-8, atol=1e-8)


def to_double(run):
    run.model.double()
    x = run.x
    run.x = x.double() if isinstance(x, torch.Tensor) else replace(x, values=x.values.double())
    if run.targets.weight is not None:
        run.targets = replace(run.targets, weight=run.targets.weight.double())


def fail_at(monkeypatch, split, epoch, poison):
    """Spoil one run's model once, before a training step or an evaluation."""
    calls = {"train": 0}
    learn = batch_module._Batch.train_epoch

    def train_epoch(self):
        calls["train"] += 1
        if calls["train"] == epoch:
            poison(next(e for e in self.alive if e.run.data is self.entries[split].run.data))
        learn(self)

    monkeypatch.setattr(batch_module._Batch, "train_epoch", train_epoch)


def no_source(entry):
    def forward(*arguments, **options):
        raise ConvergenceError("no measure")

    entry.run.model.conv.source.forward = forward


def no_gradient(entry):
    def refuse(grad):
        raise ConvergenceError("no gradient of the measure")

    entry.run.model.decoder.weight.register_hook(refuse)


def overflow(entry):
    with torch.no_grad():
        entry.run.model.encoder.linear.bias.fill_(3e38)


def lost_features(entry):
    with torch.no_grad():
        entry.run.model.encoder.linear.bias.fill_(float("inf"))


def infinite_loss(entry):
    with torch.no_grad():
        entry.run.model.decoder.bias.fill_(float("nan"))


@pytest.mark.parametrize(
    ("model", "poison", "status"),
    [
        ("grand++-l", no_source, "linear_solve_failed"),
        ("grand++-l", no_gradient, "linear_solve_failed"),
        ("grand-l", overflow, "non_finite"),
        ("grand++-l", infinite_loss, "diverged"),
        ("grand-l", lost_features, "diverged"),
    ],
)
def test_a_run_that_fails_leaves_and_the_others_do_not_notice(
    graph, monkeypatch, model, poison, status
):
    configs, splits = runs_of(graph, model, PLACES[:3], epochs=4, dropout=0.3)
    fail_at(monkeypatch, 1, 3, poison)
    results = train_batch(configs, splits, CPU)
    assert results[1].status == status
    assert results[1].message
    assert results[1].test_accuracy is None
    others = [0, 2]
    same(*([part[n] for n in others] for part in (results, configs, splits)))


def test_a_run_that_fails_in_its_evaluation_leaves_too(graph, monkeypatch):
    configs, splits = runs_of(graph, "grand++-l", PLACES[:3])
    evaluate = batch_module._Batch.evaluate

    def spoiled(self, epoch):
        if epoch == 3:
            no_source(self.entries[0])
        evaluate(self, epoch)

    monkeypatch.setattr(batch_module._Batch, "evaluate", spoiled)
    results = train_batch(configs, splits, CPU)
    assert results[0].status == "linear_solve_failed"
    same(results[1:], configs[1:], splits[1:])


def test_a_batch_may_lose_all_its_runs(graph):
    configs, splits = runs_of(graph, "grand-l", PLACES[:3], lr=1e30)
    results = train_batch(configs, splits, CPU)
    same(results, configs, splits)
    assert all(r.status != "success" for r in results)


def test_the_time_of_a_batch_is_shared_by_its_runs(graph, monkeypatch):
    configs, splits = runs_of(graph, "grand-l", PLACES[:4], epochs=1)
    moments = iter([10.0, 18.0])
    monkeypatch.setattr(batch_module.time, "perf_counter", lambda: next(moments))
    assert [r.seconds for r in train_batch(configs, splits, CPU)] == [2.0] * 4


def test_which_models_can_be_trained_in_batches():
    for model in MODELS:
        config = tuned_run("sbm", model, 5)
        assert can_classify_batched(config.settings.build(64, 3)) == (model in BATCH_MODELS)
        if model in BATCH_MODELS:
            check_batch(config)
        else:
            with pytest.raises(ValueError, match=rf"with solver exact.*got {re.escape(model)}[ )]"):
                check_batch(config)
    inexact = tuned_run("sbm", "grand-l", 5, solver="auto")
    assert not can_classify_batched(inexact.settings.build(64, 3))
    with pytest.raises(ValueError, match="solver auto"):
        check_batch(inexact)


def test_runs_of_several_kinds_and_patience_for_nothing_are_refused(graph):
    configs, splits = runs_of(graph, "grand-l", PLACES[:2])
    with pytest.raises(ValueError, match="split and seed alone"):
        train_batch([configs[0], configs[1].with_settings(lr=0.5)], splits, CPU)
    gcn = [tuned_run("sbm", "gcn", 5).on(*place) for place in PLACES[:2]]
    with pytest.raises(ValueError, match="linear GRAND"):
        train_batch(gcn, splits, CPU)
    hopeless, none = runs_of(graph, "grand-l", PLACES[:2], protocol="no_val", patience=2)
    with pytest.raises(ValueError, match="validation nodes"):
        train_batch(hopeless, none, CPU)


def test_one_optimiser_steps_as_many_do(graph):
    configs, splits = runs_of(graph, "grand-l", PLACES[:2])
    batch = batch_module._Batch.begin(configs, splits, CPU)
    single = build_optimizer(configs[0], batch.entries[0].run.model)
    mine = {k: v for k, v in batch.optimizer.param_groups[0].items() if k != "params"}
    assert mine == {k: v for k, v in single.param_groups[0].items() if k != "params"}
