"""Training on shards is training on the whole graph, whatever the number of ranks."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sharded import directed, in_ranks, shards_of, undirected, whole

from grandpp.data.features import scale_features
from grandpp.distributed import read_shard
from grandpp.distributed.job import Job
from grandpp.distributed.training import Checkpoints, ShardedTraining, train_shard
from grandpp.graph import dirichlet_energy
from grandpp.models import (
    NodeDropout,
    drop_by_node,
    sparse_if_sparse,
    to_dense,
    training_shares,
)
from grandpp.studies.low_label.zoo import tuned_run
from grandpp.training.settings import build_optimizer
from grandpp.training.targets import targets_of

EPOCHS = 5
SETTINGS = {"hidden": 16, "epochs": EPOCHS, "heads": 2, "attention_channels": 8, "time": 2.0}
MODELS = {
    "grand++-l": {"input_dropout": 0.4, "dropout": 0.3, "estimate_shares": True},
    "grand-nl": {"input_dropout": 0.4, "dropout": 0.3, "solver": "tsit5"},
    "gcn": {"input_dropout": 0.4, "dropout": 0.3},
    "grand++-cluster-l": {"input_dropout": 0.4, "dropout": 0.3},
    "grand++-views-l": {
        "input_dropout": 0.4,
        "dropout": 0.3,
        "estimate_shares": True,
        "cluster_pool": 0.5,
    },
}


def run_of(model, **changes):
    settings = {**SETTINGS, **MODELS[model], **changes}
    return tuned_run("planted", model, 3, protocol="per_class_val", split=0, **settings)


def trained(rank, folder, parts, model):
    """Losses, gradients and logits after some epochs in one rank."""
    shard, run = read_shard(folder, rank, parts), run_of(model)
    training = ShardedTraining.begin(run, shard, Job(rank, parts), torch.float64)
    optimizer = build_optimizer(run, training.model)
    losses = [training.train_epoch(epoch, optimizer) for epoch in range(1, EPOCHS + 1)]
    gradients = {name: p.grad.numpy() for name, p in training.model.named_parameters()}
    energy = training.energy()
    return losses, gradients, shard.nodes.numpy(), training.predict().numpy(), energy


def reference(data, model):
    """The same in the ordinary model on the whole graph."""
    run = run_of(model)
    seed = int(np.random.SeedSequence([run.split, run.seed]).generate_state(1)[0])
    torch.manual_seed(seed)
    network = run.settings.build(data.num_features, int(data.y.max()) + 1).double()
    by_node = NodeDropout(seed, torch.arange(data.num_nodes))
    drop_by_node(network, by_node)
    settings = run.settings
    x = sparse_if_sparse(scale_features(data.x, settings.features).double())
    network.fit_features(x)
    targets = targets_of(data, settings.features, settings.cluster_labels, settings.clusters)
    weight = None if targets.weight is None else targets.weight.double()
    shares = training_shares(targets.label, weight, int(data.y.max()) + 1)
    network.fit_shares(shares)
    optimizer, train, losses = build_optimizer(run, network), data.train_mask, []
    for epoch in range(1, EPOCHS + 1):
        by_node.begin(epoch)
        optimizer.zero_grad()
        logits = network.classify(x, data.edge_index, data.edge_weight, train).logits
        losses_of_nodes = F.cross_entropy(logits[targets.nodes], targets.label, reduction="none")
        share = targets.weight
        loss = losses_of_nodes.mean() if share is None else share.double() @ losses_of_nodes
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    network.eval()
    with torch.no_grad():
        logits = network(x, data.edge_index, data.edge_weight, train)
        if settings.cluster_pool:
            logits = logits.log_softmax(1) + 0.5 * targets.proba.double().clamp(min=1e-12).log()
        logits = network.adjust(logits)
        energy = None
        if model != "gcn":
            before = network.encoder(x)
            after = network.diffuse(before, data.edge_index, data.edge_weight, train).features
            energy = float(
                dirichlet_energy(after, data.edge_index, data.edge_weight)
                / dirichlet_energy(before, data.edge_index, data.edge_weight)
            )
    return losses, {n: p.grad.numpy() for n, p in network.named_parameters()}, logits, energy


@pytest.mark.parametrize(
    ("model", "kind", "parts"),
    [
        *(("grand++-l", *case) for case in ((undirected, 4), (directed, 1), (directed, 2))),
        *(("grand-nl", *case) for case in ((undirected, 2), (directed, 1), (directed, 4))),
        *(("gcn", *case) for case in ((undirected, 1), (undirected, 2))),
        *(("grand++-cluster-l", *case) for case in ((undirected, 2), (directed, 2))),
        *(("grand++-views-l", *case) for case in ((undirected, 1), (directed, 4))),
    ],
)
def test_losses_gradients_and_predictions_are_those_of_the_whole_graph(
    tmp_path, model, kind, parts
):
    data, run = kind(), run_of(model)
    clusters_of = run if run.settings.cluster_labels else None
    folder = shards_of(data, tmp_path, parts, clusters_of=clusters_of)
    losses, gradients, logits, energy = reference(data, model)
    found = in_ranks(parts, trained, folder, parts, model)
    for mine, to_parameters, _, _, share in found:
        np.testing.assert_allclose(mine, losses, rtol=1e-8)
        for name, right in gradients.items():
            scale = np.abs(right).max()
            np.testing.assert_allclose(to_parameters[name], right, atol=1e-8 * scale, rtol=0)
        assert share == (energy if energy is None else pytest.approx(energy, rel=1e-7))
    predicted = whole([(nodes, here) for _, _, nodes, here, _ in found])
    np.testing.assert_allclose(predicted, logits, rtol=0, atol=1e-8 * float(logits.abs().max()))
    assert np.array_equal(predicted.argmax(1), logits.argmax(1))


def binary_in(rank, folder, parts, full):
    """Binary features where the ranks in ``full`` have no 0: all alike here, or the refusal."""
    shard = read_shard(folder, rank, parts)
    x = torch.full((len(shard.nodes), shard.info["features"]), 0.5)
    if rank not in full:
        x[:, 0] = 0
    shard = replace(shard, x=x)
    try:
        training = ShardedTraining.begin(
            run_of("grand++-l", features="binary"), shard, Job(rank, parts), torch.float64
        )
    except ValueError as error:
        return str(error)
    return bool((to_dense(training.x) == 1).all())


def test_binary_features_may_have_no_zero_in_one_part_but_not_in_all(tmp_path):
    folder = shards_of(undirected(), tmp_path, 2)
    assert in_ranks(2, binary_in, folder, 2, (0,)) == [True, False]
    for said in in_ranks(2, binary_in, folder, 2, (0, 1)):
        assert "expected some features of 0" in said


@pytest.fixture
def shard(tmp_path):
    return read_shard(shards_of(undirected(), tmp_path, 1), 0)


def result_of(shard, **options):
    run = run_of("grand++-l", **options.pop("settings", {}))
    found = asdict(train_shard(run, shard, Job(0, 1), **options))
    for name in ("seconds", "peak_memory_mb"):
        del found[name]
    return found


class Interrupted(Exception):
    """Stands for a process that ends."""


def test_a_resumed_training_ends_like_an_undisturbed_one(tmp_path, shard):
    right = result_of(shard)
    path = tmp_path / "run.pt"

    def stop(epoch):
        if epoch == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        result_of(shard, checkpoints=Checkpoints(path), on_epoch=stop)
    epochs = []
    assert (
        result_of(shard, checkpoints=Checkpoints(path, resume=True), on_epoch=epochs.append)
        == right
    )
    assert epochs == [4, 5]
    # Nothing is left to do, and the result is the same again.
    assert result_of(shard, checkpoints=Checkpoints(path, resume=True)) == right


def test_a_checkpoint_of_another_training_is_refused(tmp_path, shard):
    path = tmp_path / "run.pt"
    result_of(shard, checkpoints=Checkpoints(path))
    with pytest.raises(ValueError, match=r"same training.*hidden=16 there, 8 here"):
        result_of(shard, settings={"hidden": 8}, checkpoints=Checkpoints(path, resume=True))
    with pytest.raises(ValueError, match="at least the 5 epochs"):
        result_of(shard, settings={"epochs": 2}, checkpoints=Checkpoints(path, resume=True))
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="expected a checkpoint in"):
        result_of(shard, checkpoints=Checkpoints(path, resume=True))


def test_a_training_that_diverges_is_a_result(shard):
    found = result_of(shard, settings={"lr": 1e30})
    assert found["status"] in ("diverged", "non_finite") and found["test_accuracy"] is None


def test_shards_from_before_clusters_were_pooled_are_refused_for_a_pool(tmp_path):
    data, run = undirected(), run_of("grand++-views-l")
    older = replace(
        read_shard(shards_of(data, tmp_path, 1, clusters_of=run), 0, 1), target_proba=None
    )
    ShardedTraining.begin(run.with_settings(cluster_pool=None), older, Job(0, 1), torch.float32)
    with pytest.raises(ValueError, match=r"for 'cluster_pool' .*partition again"):
        ShardedTraining.begin(run, older, Job(0, 1), torch.float32)


def test_settings_that_need_the_whole_graph_are_refused(shard):
    with pytest.raises(ValueError, match="cluster_labels"):
        result_of(shard, settings={"cluster_labels": 1.0})
