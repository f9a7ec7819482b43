"""Every model that runs know by name."""

from __future__ import annotations

import copy

import pytest
import torch

from grandpp.data import low_label_split, sbm
from grandpp.solvers import SOLVER_NAMES
from grandpp.studies.low_label.zoo import MODELS, ZOO, tuned_run
from grandpp.training import build_optimizer, make_record, record_key, train_run

BASELINES = [m for m in MODELS if not ZOO[m].has_time] + ["cgnn"]
UNTRAINED = ("clusters", "view-clusters", "label_propagation", "laplace", "poisson")


@pytest.fixture(scope="module")
def data():
    graph = sbm(300, 900, num_classes=3, num_features=64, words_per_node=8, seed=1)
    return low_label_split(graph, 5, seed=0, num_development=150)


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
    config = tuned_run(dataset, model, 1)
    built = config.settings.build(12, 3)
    assert built.is_trained == (model not in UNTRAINED)
    if built.is_trained:
        build_optimizer(config, built)
    else:
        with pytest.raises(ValueError, match=f"trained by gradient.*{model}"):
            build_optimizer(config, built)


@pytest.mark.parametrize("model", BASELINES)
def test_every_baseline_runs_and_leaves_a_record(model, data):
    config = tuned_run("sbm", model, 5, epochs=2, layers=2)
    calls = []
    result = train_run(config, data, torch.device("cpu"), on_epoch=lambda: calls.append(1))
    assert result.status == "success", result.message
    untrained = model in UNTRAINED
    assert config.settings.epochs == (0 if untrained else 2)
    assert len(calls) == config.settings.epochs
    assert result.best_epoch in ((0,) if untrained else (1, 2))
    assert (result.nfe_forward is not None) == (model == "cgnn")
    if untrained or model == "correct_and_smooth":
        assert result.test_accuracy > 0.5
        assert result.val_accuracy > 0.5
    record = make_record(config, result, data, "cpu")
    assert record_key(record) == config.key


@pytest.mark.parametrize("model", [*UNTRAINED, "correct_and_smooth"])
def test_labels_of_other_nodes_reach_no_model(model, data):
    changed = data.clone()
    changed.y = torch.where(data.train_mask, data.y, (data.y + 1) % 3)
    index = data.train_mask.nonzero().view(-1)
    logits = []
    for graph in (data, changed):
        torch.manual_seed(0)
        built = tuned_run("sbm", model, 5).settings.build(graph.num_features, 3).eval()
        built.fit_labels(index, graph.y[index])
        logits.append(built(graph.x, graph.edge_index))
    assert torch.equal(*logits)
    hits = [(z.argmax(1) == data.y).float().mean() for z in logits]
    assert hits[0] > 0.5


@pytest.mark.parametrize(
    ("model", "kind", "mode", "source"),
    [
        ("hb-l", "hbnode", "linear", None),
        ("hb++-nl", "hbnode", "nonlinear", "balanced"),
        ("ghb-nl", "ghbnode", "nonlinear", None),
        ("wave-l", "wave", "linear", None),
        ("adam-l", "adamnode", "linear", None),
    ],
)
def test_momentum_models_are_diffusion_with_another_equation_of_motion(model, kind, mode, source):
    config = tuned_run("Cora", model, 20, time=3.0, source_gain=0.1)
    conv = config.settings.build(10, 7).conv
    assert (conv.kind, conv.mode, conv.time) == (kind, mode, 3.0)
    assert (conv.source and conv.source.kind) == source
    if source:
        assert conv.source.initial_gain == 0.1
    assert conv.solver.method == "auto"
    if kind == "adamnode":
        with pytest.raises(ValueError, match="no 'gamma' for kind='adamnode'"):
            tuned_run("Cora", model, 20, gamma=3.0)
    else:
        damped = tuned_run("Cora", model, 20, gamma=3.0)
        assert damped.settings.gamma == 3.0
    if kind in ("hbnode", "wave"):
        assert float(damped.settings.build(10, 7).conv.dynamics.gamma) == 3.0
    assert tuned_run("Cora", "grand-l", 20, gamma=3.0) == tuned_run("Cora", "grand-l", 20)
    assert (config.settings.hidden, config.settings.heads) == (80, 8)


@pytest.mark.parametrize("model", [m for m in MODELS if ZOO[m].has_time])
def test_settings_take_the_solvers_that_their_layer_takes(model):
    for solver in SOLVER_NAMES:
        for options in ({}, {"rtol": 1e-3}, {"step_size": 0.5}, {"gradient": "adjoint"}):
            try:
                run = tuned_run("Cora", model, 1, solver=solver, **options)
            except (ValueError, TypeError):
                with pytest.raises((ValueError, TypeError)):
                    unchecked(model, solver, options).conv()
            else:
                run.settings.conv()


def test_nonlinear_models_train_at_their_own_tolerance_with_the_default_solver_alone():
    run = tuned_run("PubMed", "grand++-nl", 1)
    assert (run.settings.rtol, run.settings.atol) == (1e-3, 1e-4)
    assert tuned_run("PubMed", "grand++-nl", 1, rtol=1e-6).settings.rtol == 1e-6
    for solver in ("euler", "dopri5"):
        assert tuned_run("PubMed", "grand++-nl", 1, solver=solver).settings.rtol is None
    assert tuned_run("PubMed", "grand++-l", 1).settings.rtol is None


def unchecked(model, solver, options):
    """Settings without the checks."""
    settings = copy.copy(tuned_run("Cora", model, 1).settings)
    settings.__dict__.update(solver=solver, **options)
    return settings


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("grand-nl", {"solver": "exact"}, "mode='linear' for solver='exact'"),
        ("grand-l", {"solver": "magic"}, "'solver' to be one of"),
        ("grand-l", {"solver": "steady"}, "'solver' to be one of"),
        ("grand-l", {"solver": "rk4", "rtol": 1e-3}, "options of 'rk4'"),
        ("grand-l", {"heads": 7}, "multiple of 'heads'"),
        ("grand-l", {"attention": "none"}, "'attention' to be one of"),
        ("grand-l", {"normalization": "none"}, "'normalization' to be one of"),
        ("grand++-l", {"source": "none"}, "'source' to be one of"),
        ("grand++-l", {"initial": "none"}, "'initial' to be one of"),
        ("grand++-l", {"source_gain": float("inf")}, "'source_gain' to be finite"),
        ("grand-nl-rw", {"rewiring": "three_hop"}, "'rewiring' to be one of"),
        ("hb-l", {"gamma": -1.0}, "'gamma' to be finite and not negative"),
        ("cgnn", {"alpha": 2.0}, "'alpha' in"),
        ("gat", {"heads": 7}, "multiple of 'heads'"),
        ("gcnii", {"alpha": -1.0}, "'alpha' in"),
        ("monet", {"kernels": 0}, "'kernels' to be positive"),
    ],
)
def test_a_choice_that_a_model_does_not_take_is_refused_before_it_is_built(model, options, words):
    with pytest.raises((ValueError, TypeError), match=words):
        tuned_run("Cora", model, 1, **options)
