"""The table of settings and the identity of a run."""

from __future__ import annotations

import pytest
import torch

from grandpp.experiment import MODELS, build_model, build_optimizer, tuned_config, with_run


@pytest.mark.parametrize(
    "dataset",
    [
        "Cora",
        "CiteSeer",
        "PubMed",
        "CoauthorCS",
        "Computers",
        "Photo",
        "ogbn-arxiv",
        "KarateClub",
        "sbm",
    ],
)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_and_data_set_has_settings_that_build(dataset, model):
    config = tuned_config(dataset, model, 1)
    built = build_model(config, 12, 3)
    build_optimizer(config, built)
    assert sum(p.numel() for p in built.parameters()) > 0


def test_tuned_values_of_the_papers_are_in_the_table():
    cora = tuned_config("Cora", "grand-l", 1)
    assert (cora.time, cora.hidden, cora.heads, cora.attention_channels) == (18.2948, 80, 8, 128)
    assert (cora.optimizer, cora.lr, cora.normalization) == ("Adamax", 0.0229, "squareplus")
    assert tuned_config("CiteSeer", "grand++-l", 1).time == 8.0
    assert tuned_config("sbm", "grand++-l", 1).time == tuned_config("Cora", "grand++-l", 1).time


def test_hash_names_every_choice_but_split_and_seed():
    config = tuned_config("Cora", "grand++-l", 1)
    assert with_run(config, 5, 7).config_hash == config.config_hash
    assert with_run(config, 5, 7).key != config.key
    for change in ({"time": 3.0}, {"source_gain": 0.5}, {"epochs": 7}, {"layer_norm": False}):
        assert tuned_config("Cora", "grand++-l", 1, **change).config_hash != config.config_hash


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


@pytest.mark.parametrize(
    ("model", "kind", "mode", "source"),
    [
        ("hb-l", "heavy_ball", "linear", None),
        ("hb++-nl", "heavy_ball", "nonlinear", "balanced"),
        ("ghb-nl", "generalized", "nonlinear", None),
        ("wave-l", "wave", "linear", None),
        ("adam-l", "adam", "linear", None),
    ],
)
def test_momentum_models_are_diffusion_with_another_equation_of_motion(model, kind, mode, source):
    config = tuned_config("Cora", model, 20, time=3.0, source_gain=0.1)
    conv = build_model(config, 10, 7).conv
    assert (conv.kind, conv.mode, conv.time) == (kind, mode, 3.0)
    assert (conv.source and conv.source.kind) == source
    if source:
        assert conv.source.initial_gain == 0.1
    assert conv.solver.method == "auto"
    damped = tuned_config("Cora", model, 20, gamma=3.0)
    assert damped.gamma == 3.0
    if kind in ("heavy_ball", "wave"):
        assert float(build_model(damped, 10, 7).conv.dynamics.gamma) == 3.0
    assert tuned_config("Cora", "grand-l", 20, gamma=3.0).gamma is None
    assert (config.hidden, config.heads, config.initial) == (80, 8, None)
