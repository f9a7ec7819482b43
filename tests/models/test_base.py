"""What all models share: sparse features, edge weights, wanted nodes, labels."""

from __future__ import annotations

import pytest
import torch
from operations import LargestTensor, OperationNames
from torch_geometric.nn import GAT, GCN

from grandpp.layers import GRANDConv
from grandpp.models import (
    GCNII,
    DiffusionClassifier,
    LanczosNet,
    LaplaceLearning,
    MoNet,
    PredictThenPropagate,
    SimplifiedGCN,
    SparseFeatures,
    gat,
    gcn,
    mlp,
    sage,
    sparse_if_sparse,
    to_dense,
)

WEIGHTLESS = ("gat", "mlp", "sage", "monet")


def test_sparse_features_hold_the_same_matrix_and_are_chosen_by_density(sparse_x):
    sparse = sparse_if_sparse(sparse_x)
    assert isinstance(sparse, SparseFeatures)
    assert torch.equal(to_dense(sparse), sparse_x)
    assert sparse.num_nodes == 34
    dense = torch.randn(5, 4)
    assert sparse_if_sparse(dense) is dense


def test_sparse_features_give_the_logits_and_gradients_of_dense_ones(network, karate, sparse_x):
    _, model = network
    model.eval()
    results = []
    for x in (sparse_x, SparseFeatures.from_dense(sparse_x), sparse_x.to_sparse_csr()):
        model.zero_grad()
        logits = model(x, karate)
        logits.square().sum().backward()
        results.append([logits.detach(), *(p.grad.clone() for p in model.parameters())])
    for dense, *others in zip(*results, strict=True):
        for sparse in others:
            torch.testing.assert_close(sparse, dense, rtol=1e-4, atol=1e-5)


NARROW = {
    "gcn": lambda: gcn(3000, 4, 3, 0.5, input_dropout=0.5),
    "gat": lambda: gat(3000, 4, 3, 0.5, 2, input_dropout=0.5),
    "mlp": lambda: mlp(3000, 4, 3, 0.5, input_dropout=0.5),
    "sage": lambda: sage(3000, 4, 3, 0.5, input_dropout=0.5),
    "monet": lambda: MoNet(3000, 4, 3, input_dropout=0.5),
    "lanczosnet": lambda: LanczosNet(3000, 2, 3, steps=6),
    "appnp": lambda: PredictThenPropagate(3000, 4, 3),
    "gcnii": lambda: GCNII(3000, 4, 3, layers=2),
    "sgc": lambda: SimplifiedGCN(3000, 3, input_dropout=0.5),
    "grand-l": lambda: DiffusionClassifier(3000, 3, GRANDConv(4, time=1.0)),
}


@pytest.mark.parametrize("kind", ["features", "csr"])
def test_sparse_features_are_never_held_dense(kind, karate):
    # Two entries per node among 3000: 102,000 entries dense, 16 times 3000 weights at the most.
    x = torch.zeros(34, 3000)
    x[torch.arange(34), torch.arange(34)] = 1.0
    x[torch.arange(34), 2999 - torch.arange(34)] = 1.0
    x = x.to_sparse_csr() if kind == "csr" else SparseFeatures.from_dense(x)
    for name, make in NARROW.items():
        torch.manual_seed(0)
        model = make()
        with LargestTensor() as seen:
            model(x, karate).square().sum().backward()
        assert seen.largest < 34 * 3000, name


@pytest.mark.parametrize("kind", ["features", "csr"])
def test_the_transpose_of_sparse_features_is_sorted_once(kind, karate, sparse_x):
    x = sparse_x.to_sparse_csr() if kind == "csr" else SparseFeatures.from_dense(sparse_x)
    model = mlp(50, 4, 3, 0.5, input_dropout=0.5)
    model(x, karate).sum().backward()
    with OperationNames() as seen:
        model(x, karate).sum().backward()
    assert "aten.mm" in seen.names
    assert not {name for name in seen.names if "sort" in name}


def test_maps_of_sparse_features_keep_the_parameters_and_the_draws_of_pyg(karate):
    for own, theirs in ((gcn, GCN), (gat, GAT)):
        options = {"heads": 2} if own is gat else {}
        torch.manual_seed(3)
        expected = theirs(50, 8, 2, 3, dropout=0.5, **options).state_dict()
        torch.manual_seed(3)
        made = own(50, 8, 3, 0.5, **options).model.state_dict()
        assert list(made) == list(expected)
        assert all(torch.equal(made[name], expected[name]) for name in made)


def test_every_parameter_learns_and_trusted_nodes_are_ignored(network, karate, sparse_x):
    name, model = network
    model.eval()
    output = model.classify(sparse_x, karate, source_index=torch.tensor([0]))
    assert output.stats is None
    torch.testing.assert_close(output.logits, model(sparse_x, karate))
    (output.logits[:, 0] * torch.randn(34)).sum().backward()
    # The last perceptron of a filter may have no active unit.
    idle = [n for n, p in model.named_parameters() if not p.grad.any() and "net" not in n]
    assert idle == [], name
    assert model.is_trained


def test_wanted_nodes_get_the_logits_they_have_among_all(network, karate, sparse_x):
    _, model = network
    model.eval()
    index = torch.tensor([1, 5, 30])
    mask = torch.zeros(34, dtype=torch.bool).index_fill(0, index, True)
    for wanted in (index, mask):
        logits = model.classify(sparse_x, karate, wanted=wanted).logits
        torch.testing.assert_close(logits, model(sparse_x, karate)[index])


def test_logits_follow_the_edges_in_any_order_and_the_nodes_in_any_numbering(
    network, karate, sparse_x
):
    name, model = network
    model.eval()
    logits = model(sparse_x, karate)
    mixed = karate[:, torch.randperm(karate.size(1))]
    torch.testing.assert_close(model(sparse_x, mixed), logits, rtol=1e-4, atol=1e-5)
    if "lanczos" in name:  # starts from a vector that hangs on the numbering
        return
    place = torch.randperm(34)
    moved = torch.empty_like(sparse_x).index_copy_(0, place, sparse_x)
    torch.testing.assert_close(model(moved, place[karate])[place], logits, rtol=1e-4, atol=1e-5)


def test_edge_weights_are_used_or_refused_in_words(network, karate, sparse_x):
    name, model = network
    model.eval()
    plain, ones = model(sparse_x, karate), torch.ones(karate.size(1))
    if name == "mlp":  # sees no graph
        assert torch.equal(model(sparse_x, karate, ones), model(sparse_x, karate[:, :2]))
        return
    if name in WEIGHTLESS:
        with pytest.raises(ValueError, match=r"expected no 'edge_weight' \(got 156 of them\)"):
            model(sparse_x, karate, ones)
        return
    torch.testing.assert_close(model(sparse_x, karate, ones), plain)
    # A symmetric function of the ends, so that the graph stays undirected.
    weight = 1.0 + (karate.sum(0) % 3)
    assert (model(sparse_x, karate, weight) - plain).abs().max() > 1e-3
    # Weight 0 is no edge.
    gone = (karate == 33).any(0)
    without = model(sparse_x, karate[:, ~gone])
    torch.testing.assert_close(
        model(sparse_x, karate, (~gone).float()), without, rtol=1e-3, atol=1e-4
    )


def test_a_model_without_parameters_says_so():
    assert not LaplaceLearning(3).is_trained
