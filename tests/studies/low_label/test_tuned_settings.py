"""The table of settings and what is built from it."""

from __future__ import annotations

import pytest
import torch

from grandpp.studies.low_label.zoo import DEFAULT_MODEL, FAMILIES, ZOO, tuned_run
from grandpp.training import build_optimizer
from grandpp.training.settings import hash_choices


def test_tuned_rows_set_what_their_family_has():
    for family in FAMILIES:
        for dataset, row in family.tuned_rows.items():
            assert set(row) <= set(family.choice_names()), (family, dataset)


def test_tuned_values_of_the_papers_are_in_the_table():
    cora = tuned_run("Cora", "grand-l", 1)
    assert (
        cora.settings.time,
        cora.settings.hidden,
        cora.settings.heads,
        cora.settings.attention_channels,
    ) == (18.2948, 80, 8, 128)
    assert (cora.settings.optimizer, cora.settings.lr, cora.settings.normalization) == (
        "Adamax",
        0.0229,
        "squareplus",
    )
    assert tuned_run("CiteSeer", "grand++-l", 1).settings.time == 8.0
    assert tuned_run("sbm", "grand++-l", 1).settings.time == 18.3


def test_bags_of_words_are_binary_for_networks_and_linear_diffusion():
    trained = [name for name, variant in ZOO.items() if "features" in variant.choices]
    nonlinear = {"grand-nl", "grand-nl-rw", "grand++-nl", "grand++-nl-rw", "grand++-cluster-nl"}
    linear = {"grand-l", "grand++-l", "grand++-cluster-l", "hb-l"}
    assert {"gcn", "gat", "sage", "monet", "sgc", "mlp"} | linear | nonlinear < set(trained)
    for dataset in ("CoauthorCS", "Computers", "Photo"):
        forms = {name: tuned_run(dataset, name, 1).settings.features for name in trained}
        assert forms[DEFAULT_MODEL] == "unit"
        assert {forms[name] for name in nonlinear} == {"rows"}
        assert {forms[name] for name in ("gcn", "gat", "sage", "monet", "mlp")} == {"binary"}
        expected = None if dataset == "Computers" else "binary"
        assert {forms[name] for name in linear} == {expected}
        rows = tuned_run(dataset, "gcn", 1, features="rows")
        assert rows.choices()["features"] == "rows"
    plain = set(trained) - nonlinear - {DEFAULT_MODEL}
    for dataset in ("Cora", "CiteSeer", "KarateClub", "my"):
        assert all(tuned_run(dataset, name, 1).settings.features is None for name in plain)


def test_the_default_form_of_features_leaves_hashes_alone():
    for model in ("gcn", "grand-l"):
        plain = tuned_run("Cora", model, 1)
        assert hash_choices({k: v for k, v in plain.choices().items() if k != "features"}) == (
            plain.config_hash
        )
        assert tuned_run("Cora", model, 1, features="binary").config_hash != plain.config_hash


def test_overrides_reach_the_model_and_leave_models_without_the_setting_alone():
    config = tuned_run(
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
    conv = config.settings.build(5, 2).conv
    assert (conv.mode, conv.time, conv.source.kind, conv.source.initial_gain) == (
        "nonlinear",
        2.0,
        "paper",
        0.7,
    )
    solver = conv.solver
    assert (solver.method, solver.step_size, solver.gradient) == ("rk4", 0.5, "adjoint")
    assert conv.source.initial == "zero"
    bare = tuned_run("Cora", "grand-l", 1, layer_norm=False)
    assert isinstance(bare.settings.build(5, 2).norm, torch.nn.Identity)
    assert bare.settings.build(5, 2).conv.beta is None
    for model in ("grand-l", "grand++-nl"):
        conv = tuned_run("Cora", model, 1, learn_beta=True).settings.build(5, 2).conv
        assert float(conv.beta.detach()) == 0.0
    assert not conv.source.gain.requires_grad
    own = tuned_run("Cora", "grand++-l", 1, learn_gain=True).settings.build(5, 2).conv.source
    assert own.gain.requires_grad and float(own.gain.detach()) == pytest.approx(0.2)
    assert tuned_run("Cora", "grand-l", 1, learn_gain=True) == tuned_run("Cora", "grand-l", 1)
    assert tuned_run("Cora", "hb-l", 1, learn_beta=True) == tuned_run("Cora", "hb-l", 1)
    plain = tuned_run("Cora", "gcn", 1)
    assert tuned_run("Cora", "gcn", 1, time=3.0, source_gain=0.1, rtol=1e-3) == plain
    grand = tuned_run("Cora", "grand-l", 1)
    assert tuned_run("Cora", "grand-l", 1, source="paper", initial="zero") == grand


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
        tuned_run(**arguments)
    with pytest.raises(TypeError, match="color"):
        tuned_run("Cora", "gcn", 1, color="red")


def test_tuned_values_have_types():
    config = tuned_run("ogbn-arxiv", "grand-l", 1)
    assert isinstance(config.settings.hidden, int)
    assert isinstance(config.settings.weight_decay, float)
    assert "attention" not in tuned_run("Cora", "mlp", 1).choices()
    assert torch.optim.Adamax is type(
        build_optimizer(
            tuned_run("Cora", "grand-l", 1),
            tuned_run("Cora", "grand-l", 1).settings.build(4, 2),
        )
    )


def test_the_default_model_trains_longer_with_more_labels_on_every_graph():
    for dataset in ("Cora", "Photo", "my"):
        epochs = {k: tuned_run(dataset, DEFAULT_MODEL, k).settings.epochs for k in (1, 5, 10, 500)}
        assert epochs == {1: 30, 5: 30, 10: 50, 500: 100}
    assert tuned_run("Cora", DEFAULT_MODEL, 20, epochs=7).settings.epochs == 7
    assert tuned_run("Cora", "grand-l", 20).settings.epochs == 100
