"""Message passing as PyG users change it, and sparse matrices as edges."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.nn.conv import MessagePassing

from grandpp.graph import prepare_graph
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv

TIGHT = {"solver": "dopri5", "rtol": 1e-9, "atol": 1e-10}


class Scaled(GRANDConv):
    def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
        return 3 * super().message(x_j, edge_weight)


class Updated(GRANDConv):
    def update(self, inputs: Tensor) -> Tensor:
        return 3 * inputs


class Aggregated(GRANDConv):
    def aggregate(self, inputs: Tensor, index: Tensor, ptr=None, dim_size=None) -> Tensor:
        return 3 * super().aggregate(inputs, index, ptr, dim_size)


class Propagated(GRANDConv):
    def propagate(self, edge_index, size=None, **kwargs):
        return 3 * MessagePassing.propagate(self, edge_index, size, **kwargs)


class Multiplied(GRANDConv):
    def message_product(self, graph, weight, y):
        return 3 * super().message_product(graph, weight, y)


class Inherited(Propagated):
    """PyG generates a propagate for every class, which would hide the inherited one."""


class Renamed(Scaled):
    """Inherits an overridden message."""


CHANGED = [Scaled, Updated, Aggregated, Propagated, Multiplied, Inherited, Renamed]


def randomized(conv):
    torch.manual_seed(0)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return conv.double()


@pytest.mark.parametrize("kind", CHANGED, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_messages_three_times_as_large_diffuse_three_times_as_fast(kind, mode, karate, features):
    for _ in range(2):  # PyG generates code at the first use of a class
        changed = randomized(kind(8, time=0.5, mode=mode, heads=2, **TIGHT))
        plain = randomized(GRANDConv(8, time=1.5, mode=mode, heads=2, **TIGHT))
        torch.testing.assert_close(
            changed(features, karate), plain(features, karate), rtol=1e-6, atol=1e-8
        )


@pytest.mark.parametrize("kind", CHANGED, ids=lambda kind: kind.__name__)
def test_the_default_solver_honours_them_and_exact_ones_refuse(kind, karate, features):
    changed, plain = kind(8, time=0.5, attention=None), GRANDConv(8, time=1.5, attention=None)
    y = changed.double()(features, karate)
    torch.testing.assert_close(y, plain.double()(features, karate), rtol=1e-3, atol=1e-4)
    for options in ({"solver": "exact"}, {"time": float("inf")}):
        with pytest.raises(ValueError, match=r"overridden methods like message\(\).*another"):
            kind(8, **options).double()(features, karate)


@pytest.mark.parametrize("base", [GRANDPPConv, HeavyBallConv, CGNNConv])
def test_every_layer_honours_them(base, karate, features):
    seen = []

    class Watching(base):
        def message(self, x_j: Tensor, edge_weight: Tensor) -> Tensor:
            seen.append(x_j.shape)
            return super().message(x_j, edge_weight)

    y = Watching(8, **TIGHT).double()(features, karate)
    assert seen
    torch.testing.assert_close(y, base(8, **TIGHT).double()(features, karate))


def test_a_method_of_one_instance_counts_too(karate, features):
    conv = randomized(GRANDConv(8, time=0.5, heads=2, **TIGHT))
    plain = randomized(GRANDConv(8, time=1.5, heads=2, **TIGHT))
    conv.message = lambda x_j, edge_weight: 3 * edge_weight.unsqueeze(-1) * x_j
    torch.testing.assert_close(
        conv(features, karate), plain(features, karate), rtol=1e-6, atol=1e-8
    )


def test_a_message_may_ask_for_what_pyg_offers(karate, features):
    class Both(GRANDConv):
        def message(self, x_i: Tensor, x_j: Tensor, edge_weight: Tensor) -> Tensor:
            return edge_weight.unsqueeze(-1) * (x_j - x_i)

    # The rows of alpha (A - I) sum to 0, so subtracting x_i changes nothing.
    both, plain = (randomized(kind(8, heads=2, **TIGHT)) for kind in (Both, GRANDConv))
    torch.testing.assert_close(
        both(features, karate), plain(features, karate), rtol=1e-6, atol=1e-8
    )


def test_a_layer_is_as_before_after_an_explanation(karate, features):
    conv = randomized(GRANDConv(8, heads=2))
    expected = conv(features, karate)
    explainer = Explainer(
        conv,
        GNNExplainer(epochs=2),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node"},
    )
    explanation = explainer(features, karate)
    assert explanation.edge_mask.shape == (karate.size(1),)
    assert torch.equal(conv(features, karate), expected)
    conv.solver = GRANDConv(8, solver="exact").solver
    conv(features, karate)  # refuses while messages are watched


def test_an_explainers_mask_reaches_overridden_messages(karate, features):
    for kind in (Scaled, Propagated, Inherited):
        conv = randomized(kind(8, heads=2, solver="rk4", step_size=0.25))
        plain = conv(features, karate)
        conv.explain = True
        conv._edge_mask = torch.full((karate.size(1),), -20.0, dtype=torch.float64)
        conv._loop_mask = karate[0] != karate[1]
        conv._apply_sigmoid = True
        assert (conv(features, karate) - plain).abs().max() > 0.1


def matrices(edge_index: Tensor, weight: Tensor):
    def coo():
        return torch.sparse_coo_tensor(edge_index.flip(0), weight, (34, 34))

    yield "coo", coo()
    yield "coalesced", coo().coalesce()
    yield "csr", coo().to_sparse_csr()
    yield "csc", coo().to_sparse_csc()


def test_a_sparse_matrix_is_left_as_it_was(karate, features):
    order = torch.randperm(karate.size(1))
    edges = torch.cat([karate[:, order], karate[:, order[:5]]], dim=1)  # some of them twice
    weight = torch.rand(edges.size(1), dtype=torch.float64)
    convs = [GRANDConv(8, heads=2), GRANDPPConv(8, heads=2), HeavyBallConv(8, heads=2), CGNNConv(8)]
    for conv in convs:
        expected = randomized(conv)(features, edges, weight)
        for name, matrix in matrices(edges, weight):
            before = matrix.clone()
            torch.testing.assert_close(conv(features, matrix), expected, msg=name)
            if name.startswith("co"):
                assert matrix.is_coalesced() == before.is_coalesced(), name
            assert torch.equal(matrix.to_dense(), before.to_dense()), name
            if name == "coo":
                # Marked as coalesced, this would keep its repeated entries.
                assert matrix.coalesce().indices().size(1) == karate.size(1)


@pytest.mark.parametrize("form", ["coo", "coalesced", "csr"])
def test_gradients_reach_the_values_of_a_sparse_matrix(form, path):
    weight = torch.rand(6, dtype=torch.float64, requires_grad=True)
    x = torch.randn(4, 2, dtype=torch.float64)
    conv = randomized(GRANDConv(2, heads=1))
    matrix = torch.sparse_coo_tensor(path.flip(0), weight, (4, 4))
    if form != "coo":
        matrix = matrix.coalesce() if form == "coalesced" else matrix.to_sparse_csr()
    found, expected = (
        torch.autograd.grad(conv(x, edges, w).square().sum(), weight)[0]
        for edges, w in ((matrix, None), (path, weight))
    )
    torch.testing.assert_close(found, expected)
    assert expected.abs().max() > 0


def test_weights_given_beside_a_matrix_belong_to_its_entries_as_they_stand(path):
    twice = torch.cat([path, path[:, :2]], dim=1)
    weight, x = torch.rand(8, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    matrix = torch.sparse_coo_tensor(twice.flip(0), torch.ones(8), (4, 4))
    conv = GRANDConv(2, attention=None, heads=1).double()
    torch.testing.assert_close(conv(x, matrix, weight), conv(x, twice, weight))


def test_no_argument_of_a_layer_is_written_to(karate, features):
    weight, trusted = torch.rand(karate.size(1), dtype=torch.float64), torch.tensor([0, 5])
    given = [features, karate, weight, trusted]
    copies, versions = [t.clone() for t in given], [t._version for t in given]
    for mode in ("linear", "nonlinear"):
        for kind in (GRANDPPConv, HeavyBallConv):
            source = {"source": "balanced"} if kind is HeavyBallConv else {}
            kind(8, mode=mode, **source).double()(*given)
    assert all(torch.equal(a, b) for a, b in zip(given, copies, strict=True))
    assert [t._version for t in given] == versions


@pytest.mark.parametrize("form", ["coo", "csr", "csc"])
@pytest.mark.parametrize("shape", [(5, 5), (4, 5), (5, 4), (3, 3)])
@pytest.mark.parametrize("base", [GRANDConv, GRANDPPConv, HeavyBallConv, CGNNConv])
def test_a_matrix_of_another_size_than_the_features_is_refused(base, shape, form):
    matrix = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), shape)
    matrix = matrix if form == "coo" else getattr(matrix, f"to_sparse_{form}")()
    with pytest.raises(ValueError, match=rf"\[4, 4\].*got \[{shape[0]}, {shape[1]}\]"):
        base(2)(torch.randn(4, 2), matrix)


@pytest.mark.parametrize("base", [GRANDConv, GRANDPPConv, HeavyBallConv, CGNNConv])
def test_weights_that_are_no_dense_tensor_are_refused_in_words(base, path):
    weight = torch.ones(path.size(1))
    for wrong, words in (
        (weight.to_sparse(), "sparse_coo"),
        ([1.0] * 6, "a list"),
        (2.0, "a float"),
    ):
        with pytest.raises(TypeError, match=f"'edge_weight'.*{words}"):
            base(2)(torch.randn(4, 2), path, wrong)
    graph = prepare_graph(path, 4)
    if base.takes_graphs:
        with pytest.raises(TypeError, match=r"'edge_weight'.*a list"):
            base(2)(torch.randn(4, 2), graph, [1.0] * 6)
