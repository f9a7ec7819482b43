"""The table of settings and what is built from it."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from grandpp.training import RunConfig, build_model, build_optimizer, tuned_config
from grandpp.training.registry import REGISTRY
from grandpp.training.settings import settings_table


def test_rows_set_what_their_models_know_and_nothing_else():
    known = {f.name for f in fields(RunConfig)}
    used = {}
    for name, row in REGISTRY.items():
        assert row.fields <= known, name
        used.setdefault(row.settings or name, set()).update(row.fields)
    for (name, dataset), values in settings_table().items():
        given = {k for k, v in values.items() if v is not None}
        foreign = given - used[name] - {"epochs"}
        assert not foreign, (name, dataset)
        assert values["epochs"] is not None
        assert (values["epochs"] == 0) == (values["lr"] is None)
    assert {(name, "*") for name in used} <= set(settings_table())


def test_tuned_values_of_the_papers_are_in_the_table():
    cora = tuned_config("Cora", "grand-l", 1)
    assert (cora.time, cora.hidden, cora.heads, cora.attention_channels) == (18.2948, 80, 8, 128)
    assert (cora.optimizer, cora.lr, cora.normalization) == ("Adamax", 0.0229, "squareplus")
    assert tuned_config("CiteSeer", "grand++-l", 1).time == 8.0
    assert tuned_config("sbm", "grand++-l", 1).time == tuned_config("Cora", "grand++-l", 1).time


def test_overrides_reach_the_model_and_leave_models_without_the_setting_alone():
    config = tuned_config(
        "Cora",
        "grand++-nl",
        1,
        source_gain=0.7,
        source="paper",
        solver="rk4",
        step_size=0.5,
        initial="zero",
        time=2.0,
        gradient="adjoint",
    )
    conv = build_model(config, 5, 2).conv
    assert (conv.mode, conv.time, conv.source.kind, conv.source.initial_gain) == (
        "nonlinear",
        2.0,
        "paper",
        0.7,
    )
    solver = conv.solver
    assert (solver.method, solver.step_size, solver.gradient) == ("rk4", 0.5, "adjoint")
    assert conv.source.initial == "zero"
    bare = tuned_config("Cora", "grand-l", 1, layer_norm=False)
    assert isinstance(build_model(bare, 5, 2).norm, torch.nn.Identity)
    assert build_model(bare, 5, 2).conv.beta is None
    for model in ("grand-l", "grand++-nl"):
        conv = build_model(tuned_config("Cora", model, 1, learn_beta=True), 5, 2).conv
        assert float(conv.beta.detach()) == 0.0
    assert not conv.source.gain.requires_grad
    own = build_model(tuned_config("Cora", "grand++-l", 1, learn_gain=True), 5, 2).conv.source
    assert own.gain.requires_grad and float(own.gain.detach()) == pytest.approx(0.2)
    assert tuned_config("Cora", "grand-l", 1, learn_gain=True) == tuned_config("Cora", "grand-l", 1)
    assert tuned_config("Cora", "hb-l", 1, learn_beta=True) == tuned_config("Cora", "hb-l", 1)
    plain = tuned_config("Cora", "gcn", 1)
    assert tuned_config("Cora", "gcn", 1, time=3.0, source_gain=0.1, rtol=1e-3) == plain
    grand = tuned_config("Cora", "grand-l", 1)
    assert tuned_config("Cora", "grand-l", 1, source="paper", initial="zero") == grand


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"model": "grand"}, "grand-l.*got 'grand'"),
        ({"model": "gcn", "lr": -1.0}, "lr"),
        ({"model": "grand-l", "time": -2.0}, "time.*-2"),
        ({"model": "gcn", "dropout": 1.0}, "dropout"),
        ({"model": "gcn", "optimizer": "SGD"}, "Adam.*SGD"),
        ({"model": "gcn", "features": "raw"}, "rows, binary.*raw"),
        ({"model": "gcn", "labels_per_class": 0}, "labels_per_class"),
    ],
)
def test_wrong_values_are_refused_in_words(arguments, words):
    arguments = {"dataset": "Cora", "labels_per_class": 1, **arguments}
    with pytest.raises(ValueError, match=words):
        tuned_config(**arguments)
    with pytest.raises(TypeError, match="color"):
        tuned_config("Cora", "gcn", 1, color="red")


def test_settings_table_reads_as_typed_values():
    config = tuned_config("ogbn-arxiv", "grand-l", 1)
    assert isinstance(config.hidden, int)
    assert isinstance(config.weight_decay, float)
    assert tuned_config("Cora", "mlp", 1).attention is None
    assert torch.optim.Adamax is type(
        build_optimizer(
            tuned_config("Cora", "grand-l", 1),
            build_model(tuned_config("Cora", "grand-l", 1), 4, 2),
        )
    )
