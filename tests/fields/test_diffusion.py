"""The bound field: one sparse product that equals message passing and the equation."""

from __future__ import annotations

import pytest
import torch
from reference import dense_random_walk, to_dense

from grandpp.fields import EdgeAttention, GraphDiffusion, LinearDiffusion, NonlinearDiffusion
from grandpp.linalg import use_triton

T0 = torch.zeros(())


def make(**kwargs):
    torch.manual_seed(0)
    field = GraphDiffusion(8, heads=2, **kwargs).double()
    for parameter in field.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return field


def test_random_walk_field_equals_the_dense_equation(karate, features):
    bound = make(attention=None, learn_alpha=False).prepare(features, karate)
    a = dense_random_walk(karate, 34)
    torch.testing.assert_close(bound(T0, features), a @ features - features)


def test_alpha_and_beta_enter_as_in_the_equation(karate, features):
    field = make(attention=None, learn_beta=True)
    bound = field.prepare(features, karate)
    y = torch.randn_like(features)
    a = dense_random_walk(karate, 34)
    expected = field.alpha_logit.sigmoid() * (a @ y - y) + field.beta * features
    torch.testing.assert_close(bound(T0, y), expected)


def test_linear_mode_keeps_the_operator_and_nonlinear_mode_follows_the_state(karate, features):
    y = torch.randn_like(features)
    for mode, kind, same in (
        ("linear", LinearDiffusion, True),
        ("nonlinear", NonlinearDiffusion, False),
    ):
        field = make(mode=mode, learn_alpha=False)
        bound = field.prepare(features, karate)
        assert isinstance(bound, kind)
        at = features if same else y
        prior = bound.graph.prior(None, 1.0, like=at)
        a = to_dense(bound.graph, field.attention(at, bound.graph, prior))
        torch.testing.assert_close(bound(T0, y), a @ y - y)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_sparse_product_equals_message_passing_in_value_and_gradient(mode, karate, features):
    field = make(mode=mode)
    loops = torch.cat([karate, torch.tensor([[3, 3], [3, 3]])], dim=1)
    results = []
    for by_messages in (False, True):
        x = features.clone().requires_grad_()
        handle = field.register_propagate_forward_hook(lambda *a: None) if by_messages else None
        bound = field.prepare(x, loops)
        bound(T0, 2 * x).pow(3).sum().backward()
        results.append((bound(T0, features).detach(), x.grad))
        if handle is not None:
            assert bound.product == field.message_product
            handle.remove()
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
def test_nonlinear_mode_with_tritons_kernels_never_forms_the_operator(
    normalization, karate, features, monkeypatch
):
    launchers = pytest.importorskip(
        "grandpp.linalg.experimental.triton_products", exc_type=ImportError
    )
    if not launchers.INTERPRETED:
        pytest.skip("the kernels run on the GPU, the graph lies on the CPU")
    field = make(mode="nonlinear", normalization=normalization, learn_beta=True)
    parameters, results = [*field.parameters()], []
    for on in (False, True):
        x = features.clone().requires_grad_()
        with use_triton(on), monkeypatch.context() as patch:
            bound = field.prepare(x, karate)
            if on:
                patch.setattr(EdgeAttention, "forward", None)
            y = bound.bind(bound.captured)(T0, 2 * x)
        gradients = torch.autograd.grad(y.pow(3).sum(), [x, *parameters])
        results.append([y.detach(), *gradients])
    torch.testing.assert_close(results[1], results[0])


def test_only_scaled_dot_products_without_watchers_take_the_fused_kernel(karate, features):
    launchers = pytest.importorskip(
        "grandpp.linalg.experimental.triton_products", exc_type=ImportError
    )
    if not launchers.INTERPRETED:
        pytest.skip("the kernels run on the GPU, the graph lies on the CPU")
    field = make(mode="nonlinear")
    assert field.prepare(features, karate).aggregate is None
    with use_triton():
        assert field.prepare(features, karate).aggregate is not None
        cosine = make(mode="nonlinear", attention="cosine")
        assert cosine.prepare(features, karate).aggregate is None
        field.register_propagate_forward_hook(lambda *a: None)
        assert field.prepare(features, karate).aggregate is None


def test_constants_are_a_fixed_point_of_every_operator(karate):
    ones = torch.ones(34, 8, dtype=torch.float64)
    for mode in ("linear", "nonlinear"):
        bound = make(mode=mode).prepare(torch.randn_like(ones), karate)
        assert bound(T0, 3 * ones).abs().max() < 1e-12


def test_binding_swaps_every_captured_tensor(karate, features):
    for mode in ("linear", "nonlinear"):
        bound = make(mode=mode, learn_beta=True).prepare(features, karate)
        doubled = bound.bind([2 * t for t in bound.captured])
        assert doubled.captured is not bound.captured
        assert (doubled(T0, features) - bound(T0, features)).abs().max() > 0.1
        pairs = zip(doubled.captured, bound.captured, strict=True)
        assert all(torch.equal(a, 2 * b) for a, b in pairs)
        same = bound.bind(bound.captured)
        assert torch.equal(same(T0, features), bound(T0, features))


def test_features_that_are_not_finite_name_the_first_node(karate, features):
    features[5, 2] = float("nan")
    features[9, 0] = float("inf")
    with pytest.raises(ValueError, match="2 nodes, first at node 5"):
        make().prepare(features, karate)


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"mode": "cubic"}, "linear, nonlinear.*got 'cubic'"),
        ({"attention": None, "mode": "nonlinear"}, "got None"),
        ({"self_loop_weight": -1.0}, "self_loop_weight.*-1"),
    ],
)
def test_wrong_choices_are_refused_in_words(kwargs, words):
    with pytest.raises(ValueError, match=words):
        make(**kwargs)


@pytest.mark.parametrize("x", [torch.zeros(34, 7), torch.zeros(34), torch.zeros(34, 8).long()])
def test_features_of_the_wrong_shape_or_type_are_refused(x, karate):
    with pytest.raises(ValueError, match="expected node features"):
        make().prepare(x, karate)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("attention", [None, "gat"])
def test_attention_weights_are_the_operator_by_edges(mode, attention, karate, features):
    if (mode, attention) == ("nonlinear", None):
        pytest.skip("nonlinear mode has an attention")
    field = make(mode=mode, attention=attention)
    loops = torch.cat([torch.tensor([[3], [3]]), karate], dim=1)
    edges, weights = field.attention_weights(features, loops)
    assert torch.equal(edges[:, : karate.size(1)], karate)
    assert torch.equal(edges[:, karate.size(1) :], torch.arange(34).expand(2, -1))
    dense = torch.zeros(34, 34, dtype=torch.float64).index_put((edges[1], edges[0]), weights)
    torch.testing.assert_close(dense.sum(1), torch.ones(34, dtype=torch.float64))
    bound = field.prepare(features, loops)
    torch.testing.assert_close(dense, to_dense(bound.graph, bound.operator(features)))
