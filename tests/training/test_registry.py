"""Every model that runs know by name."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import low_label_split, sbm
from grandpp.training import (
    MODELS,
    build_model,
    build_optimizer,
    make_record,
    record_key,
    train_run,
    tuned_config,
)
from grandpp.training.registry import is_diffusion

BASELINES = [m for m in MODELS if not is_diffusion(m)] + ["cgnn"]
UNTRAINED = ("clusters", "label_propagation", "laplace", "poisson")


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
    config = tuned_config(dataset, model, 1)
    built = build_model(config, 12, 3)
    assert built.is_trained == (model not in UNTRAINED)
    if built.is_trained:
        build_optimizer(config, built)
    else:
        with pytest.raises(ValueError, match=f"trained by gradient.*{model}"):
            build_optimizer(config, built)


@pytest.mark.parametrize("model", BASELINES)
def test_every_baseline_runs_and_leaves_a_record(model, data):
    config = tuned_config("sbm", model, 5, epochs=2, layers=2)
    calls = []
    result = train_run(config, data, torch.device("cpu"), on_epoch=lambda: calls.append(1))
    assert result.status == "success", result.message
    untrained = model in UNTRAINED
    assert config.epochs == (0 if untrained else 2)
    assert len(calls) == config.epochs
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
        built = build_model(tuned_config("sbm", model, 5), graph.num_features, 3).eval()
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
    config = tuned_config("Cora", model, 20, time=3.0, source_gain=0.1)
    conv = build_model(config, 10, 7).conv
    assert (conv.kind, conv.mode, conv.time) == (kind, mode, 3.0)
    assert (conv.source and conv.source.kind) == source
    if source:
        assert conv.source.initial_gain == 0.1
    assert conv.solver.method == "auto"
    damped = tuned_config("Cora", model, 20, gamma=3.0)
    assert damped.gamma == 3.0
    if kind in ("hbnode", "wave"):
        assert float(build_model(damped, 10, 7).conv.dynamics.gamma) == 3.0
    assert tuned_config("Cora", "grand-l", 20, gamma=3.0).gamma is None
    assert (config.hidden, config.heads, config.initial) == (80, 8, None)
