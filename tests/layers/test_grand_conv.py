"""GRAND as a layer: what the mathematics promises, and what PyG users expect."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from reference import dense_random_walk, to_dense
from torch_geometric.nn import GCNConv, MessagePassing, Sequential
from torch_geometric.testing import assert_module

from grandpp.fields import ATTENTIONS, NORMALIZATIONS, GraphDiffusion
from grandpp.graph import dirichlet_energy, prepare_graph
from grandpp.layers import GRANDConv
from grandpp.solvers import SolveError, Status, TorchDiffEq

TIGHT = {"rtol": 1e-10, "atol": 1e-11}


def make(channels=8, heads=2, dtype=torch.float64, **kwargs):
    torch.manual_seed(0)
    conv = GRANDConv(channels, heads=heads, **kwargs).to(dtype)
    for parameter in conv.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return conv


def test_layer_is_message_passing_and_its_name_tells_every_choice():
    conv = GRANDConv(8, time=3.0, mode="nonlinear", attention="gat", heads=2, solver="rk4")
    assert isinstance(conv, MessagePassing)
    for words in (
        "GRANDConv(8",
        "time=3",
        "mode=nonlinear",
        "attention=gat",
        "heads=2",
        "rk4",
        "normalization=softmax",
        "self_loop_weight=1",
        "learn_alpha=True",
    ):
        assert words in str(conv)
    assert "attention=None" in str(GRANDConv(8, attention=None))


@pytest.mark.parametrize("solver", ["dopri5", "exact"])
@pytest.mark.parametrize("attention", [None, "scaled_dot"])
def test_linear_mode_equals_the_matrix_exponential(solver, attention, karate, features):
    tolerance = TIGHT if solver == "dopri5" else {"rtol": 1e-12}
    conv = make(time=4.0, attention=attention, learn_alpha=False, solver=solver, **tolerance)
    bound = conv.prepare(features, karate)
    a = to_dense(bound.graph, bound.weight)
    if attention is None:
        torch.testing.assert_close(a, dense_random_walk(karate, 34))
    expected = torch.matrix_exp(4.0 * (a - torch.eye(34))) @ features
    torch.testing.assert_close(conv(features, karate), expected, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_constants_are_a_fixed_point(mode, attention, normalization, karate):
    conv = make(time=2.0, mode=mode, attention=attention, normalization=normalization)
    ones = torch.full((34, 8), 1.7, dtype=torch.float64)
    torch.testing.assert_close(conv(ones, karate), ones, rtol=0, atol=1e-9)


@pytest.mark.parametrize("time", [1.0, 30.0, 500.0])
def test_undirected_walks_take_a_root_of_the_products_and_the_same_gradients(time, path):
    weight = torch.rand(3, dtype=torch.float64) + 0.5  # of the edges 0-1, 1-2, 2-3
    gradients, products = [], []
    for undirected in (True, False):
        conv = GRANDConv(2, time=time, attention=None, solver="exact", rtol=1e-12).double()
        x = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5], [1.0, 1.0]], dtype=torch.float64)
        x, w = x.requires_grad_(), weight.clone().requires_grad_()
        # A zero-weight edge one way changes nothing but makes the pattern directed.
        extra = torch.tensor([[0], [3]])
        edge_index = path if undirected else torch.cat([path, extra], dim=1)
        both_ways = w[path.min(dim=0).values]
        given = both_ways if undirected else torch.cat([both_ways, w.new_zeros(1)])
        solution = conv.solve(x, edge_index, given)
        solution.y.pow(3).sum().backward()
        gradients.append((solution.y.detach(), x.grad, w.grad, conv.alpha_logit.grad))
        products.append(solution.stats.nfe_forward)
    torch.testing.assert_close(gradients[0], gradients[1], rtol=1e-7, atol=1e-9)
    if time > 30:
        assert products[0] < 0.5 * products[1]


def test_degree_weighted_mean_is_conserved_and_extremes_shrink(karate, features):
    conv = make(time=5.0, attention=None, solver="exact", rtol=1e-12)
    y = conv(features, karate)
    d = (torch.bincount(karate[1], minlength=34) + 1).double().unsqueeze(-1)
    torch.testing.assert_close((d * y).sum(0), (d * features).sum(0))
    assert (y.max(0).values <= features.max(0).values).all()
    assert (y.min(0).values >= features.min(0).values).all()


def test_deep_diffusion_tends_to_the_stationary_mean_everywhere(karate, features):
    # Proposition 7: x_i(t) -> sum_j pi_j x_j(0).
    conv = make(time=2000.0, attention=None, learn_alpha=False, solver="exact")
    d = (torch.bincount(karate[1], minlength=34) + 1).double()
    limit = (d @ features / d.sum()).expand(34, -1)
    torch.testing.assert_close(conv(features, karate), limit, rtol=0, atol=1e-6)


def test_an_euler_step_is_the_expectation_of_the_random_walk(karate, features):
    # Proposition 5: k Euler steps of size dt equal E[x at the walker] for the lazy walk.
    dt, steps = 0.25, 6
    conv = make(time=dt * steps, attention=None, learn_alpha=False, solver="euler", step_size=dt)
    walk = (1 - dt) * torch.eye(34, dtype=torch.float64) + dt * dense_random_walk(karate, 34)
    expected = torch.matrix_power(walk, steps) @ features
    torch.testing.assert_close(conv(features, karate), expected)


def test_dirichlet_energy_falls_along_the_trajectory(karate, features):
    conv = make(time=8.0, attention=None, solver="exact")
    states = conv.solve(features, karate, save_at=[0.0, 1.0, 2.0, 4.0, 8.0]).ys
    energies = [float(dirichlet_energy(y.detach(), karate)) for y in states]
    assert all(a > b for a, b in pairwise(energies))


def test_zero_time_returns_the_input(karate, features):
    for solver in ("dopri5", "exact", "euler"):
        assert torch.equal(make(time=0.0, solver=solver)(features, karate), features)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_relabelled_nodes_and_reordered_edges_give_the_same_output(mode, karate, features):
    conv = make(time=2.0, mode=mode, attention="cosine", **TIGHT)
    weight = torch.rand(karate.size(1), dtype=torch.float64)
    y = conv(features, karate, weight)
    order = torch.randperm(karate.size(1))
    torch.testing.assert_close(conv(features, karate[:, order], weight[order]), y)
    permutation = torch.randperm(34)
    relabelled = torch.empty_like(features)
    relabelled[permutation] = features
    torch.testing.assert_close(conv(relabelled, permutation[karate], weight)[permutation], y)


def test_pygs_own_layer_checks_pass(karate):
    conv = make(time=1.0, dtype=torch.float32, solver="exact")
    x = torch.randn(34, 8)
    assert_module(conv, x, karate, expected_size=(34, 8), test_node_permutation=False)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solver", ["dopri5", "exact"])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_isolated_nodes_no_edges_and_components_keep_dtype_and_meaning(dtype, solver, mode, karate):
    if (solver, mode) == ("exact", "nonlinear"):
        pytest.skip("exact serves linear fields")
    conv = make(time=2.0, mode=mode, solver=solver, dtype=dtype)
    x = torch.randn(70, 8, dtype=dtype)
    both = torch.cat([karate, karate + 34], dim=1)
    y = conv(x, both)
    assert y.dtype == dtype
    torch.testing.assert_close(y[68:], x[68:])
    torch.testing.assert_close(y[:34], conv(x[:34], karate), rtol=1e-3, atol=1e-3)
    empty = torch.empty(2, 0, dtype=torch.int64)
    torch.testing.assert_close(conv(x, empty), x)
    assert conv(x[:0], empty).shape == (0, 8)


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_adjoint_gradients_equal_direct_ones_for_encoder_and_attention(
    mode, attention, karate, features
):
    # The captured x0 comes from the encoder, whose parameters are its ancestors: the trap.
    # GAT's LeakyReLU has a kink that error control has to feel its way over.
    rough = (attention, mode) == ("gat", "nonlinear")
    gradients = []
    for gradient in ("direct", "adjoint"):
        conv = make(
            16,
            2,
            time=1.0,
            mode=mode,
            attention=attention,
            learn_beta=True,
            solver="dopri5",
            gradient=gradient,
            rtol=1e-4 if rough else 1e-7,
            atol=1e-5 if rough else 1e-8,
        )
        torch.manual_seed(1)
        encoder = torch.nn.Linear(8, 16).double()
        conv(encoder(features), karate).pow(3).sum().backward()
        gradients.append([p.grad for p in [*conv.parameters(), *encoder.parameters()]])
    for name, direct, adjoint_gradient in zip(
        [n for n, _ in conv.named_parameters()] + ["encoder.weight", "encoder.bias"],
        *gradients,
        strict=True,
    ):
        rtol = 1e-2 if rough else 1e-4
        bound = rtol * float(direct.abs().max()) + 3e-6
        assert float((direct - adjoint_gradient).abs().max()) <= bound, name


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_gradients_pass_gradcheck_with_respect_to_features_and_edge_weights(mode, path):
    conv = make(2, 1, time=0.6, mode=mode, solver="rk4", step_size=0.2, learn_beta=True)
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    weight = (torch.rand(6, dtype=torch.float64) + 0.3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, w: conv(a, path, w), (x, weight))


def test_backward_products_are_counted_whatever_the_gradient(karate, features):
    for gradient in ("direct", "adjoint", "checkpoint"):
        conv = make(time=2.0, solver="dopri5", gradient=gradient)
        solution = conv.solve(features.requires_grad_(), karate)
        assert solution.stats.nfe_backward == 0
        solution.y.sum().backward()
        assert solution.stats.nfe_backward > 0


def test_layer_trains_inside_a_plain_pyg_model(karate):
    torch.manual_seed(0)
    model = Sequential(
        "x, edge_index",
        [
            (GCNConv(34, 8), "x, edge_index -> x"),
            (GRANDConv(8, time=2.0, heads=2), "x, edge_index -> x"),
            (torch.nn.Linear(8, 2), "x -> x"),
        ],
    )
    x, y = torch.eye(34), (torch.arange(34) > 16).long()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x, karate), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_an_explainers_edge_mask_reaches_the_messages(karate, features):
    GraphDiffusion(8)  # PyG generates code for the parent class at its first use
    conv = make(time=1.0, attention=None, solver="rk4", step_size=0.25)
    plain = conv(features, karate)
    conv.explain = True
    conv._edge_mask = torch.full((karate.size(1),), 20.0, dtype=torch.float64)
    conv._loop_mask = karate[0] != karate[1]
    conv._apply_sigmoid = True
    torch.testing.assert_close(conv(features, karate), plain, rtol=1e-5, atol=1e-6)
    conv._edge_mask = torch.full((karate.size(1),), -20.0, dtype=torch.float64)
    assert (conv(features, karate) - plain).abs().max() > 0.1


def test_compiled_model_gives_the_same_result_with_the_solve_run_eagerly(karate, features):
    conv = make(time=1.0, mode="nonlinear")
    compiled = torch.compile(lambda x, e: 2 * conv(x + 0, e), backend="eager")
    torch.testing.assert_close(compiled(features, karate), 2 * conv(features, karate))


def test_reset_parameters_draws_the_same_from_the_same_seed_and_overwrites_everything():
    conv = GRANDConv(8, attention="exp_kernel", learn_beta=True)
    states = []
    for _ in range(2):
        for parameter in conv.parameters():
            torch.nn.init.constant_(parameter, 7.0)
        torch.manual_seed(3)
        conv.reset_parameters()
        states.append({k: v.clone() for k, v in conv.state_dict().items()})
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
        assert not (value == 7).all(), name


def test_failed_solve_raises_in_words_or_returns_its_status(karate, features):
    conv = make(time=1000.0, max_nfe=30)
    with pytest.raises(SolveError, match="budget"):
        conv(features, karate)
    solution = conv.solve(features, karate, throw=False)
    assert solution.status is Status.MAX_NFE
    unstable = make(
        time=5000.0,
        learn_alpha=False,
        attention=None,
        self_loop_weight=0.0,
        solver="euler",
        step_size=5.0,
    )
    assert unstable.solve(features, karate, throw=False).status is Status.NON_FINITE


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"time": -1.0}, "time.*-1"),
        ({"time": float("nan")}, "time"),
        ({"time": float("inf"), "mode": "nonlinear"}, "mode='linear'"),
        ({"time": 3.0, "solver": "steady"}, "time=inf alone"),
        ({"time": float("inf"), "solver": TorchDiffEq()}, "steady"),
        ({"solver": "magic"}, "dopri5.*got 'magic'"),
        ({"rtol": 0.0}, "rtol"),
        ({"heads": 3, "attention_channels": 8}, "multiple"),
        ({"heads": 0}, "heads"),
        ({"mode": "nonlinear", "solver": "exact"}, "mode='linear'"),
        ({"attention_channels": 0}, "attention_channels=0"),
    ],
)
def test_wrong_choices_are_refused_in_words(kwargs, words):
    with pytest.raises(ValueError, match=words):
        GRANDConv(8, **kwargs)


@pytest.mark.parametrize("option", ["flow", "aggr", "node_dim"])
def test_what_the_equation_fixes_is_no_option(option):
    with pytest.raises(TypeError, match=f"GRANDConv.*'{option}'"):
        GRANDConv(8, **{option: None})


def test_inference_mode_leaves_nothing_behind_that_training_trips_over(karate, features):
    for solver in ("exact", "dopri5"):
        conv = make(solver=solver)
        edge_index = karate.clone()
        with torch.inference_mode():
            quiet = conv(features, edge_index)
        y = conv(features, edge_index)
        y.sum().backward()
        torch.testing.assert_close(quiet.clone(), y)


def test_a_sparse_matrix_of_targets_and_sources_replaces_edge_index(karate, features):
    conv = make(time=2.0, solver="exact")
    weight = torch.rand(karate.size(1), dtype=torch.float64)
    one_way = karate[:, :100]
    adj_t = torch.sparse_coo_tensor(one_way.flip(0), weight[:100], (34, 34)).coalesce()
    expected = conv(features, one_way, weight[:100])
    torch.testing.assert_close(conv(features, adj_t), expected)
    torch.testing.assert_close(conv(features, adj_t.to_sparse_csr()), expected)


def test_mixed_precision_around_the_layer_does_not_reach_the_solver(karate):
    conv = make(dtype=torch.float32)
    x = torch.randn(34, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y = conv(x, karate)
    torch.testing.assert_close(y, conv(x, karate))


@pytest.mark.parametrize(
    "options",
    [
        {"solver": "exact"},
        {"solver": "commutator_free"},
        {"solver": "commutator_free", "mode": "nonlinear"},
    ],
)
def test_hooks_and_solvers_without_messages_refuse_each_other_in_words(options, karate, features):
    conv = make(**options)
    handle = conv.register_message_forward_hook(lambda *a: None)
    with pytest.raises(ValueError, match="use another solver"):
        conv(features, karate)
    handle.remove()
    conv(features, karate)


def test_hooks_see_the_messages_of_the_default_solver(karate, features):
    conv, seen = make(time=2.0), []
    plain = conv.solve(features, karate)
    handle = conv.register_message_forward_hook(lambda *a: seen.append(a))
    hooked = conv.solve(features, karate)
    handle.remove()
    assert plain.stats.methods == [(0.0, "exact")]
    assert hooked.stats.methods == [(0.0, "dopri5")]
    assert len(seen) == hooked.stats.nfe_forward > 0
    torch.testing.assert_close(hooked.y, plain.y, rtol=1e-3, atol=1e-4)


def test_wrong_inputs_are_refused_in_words(karate, features):
    conv = make()
    with pytest.raises(IndexError, match=r"\[0, 34\).*got 99"):
        conv(features, torch.tensor([[0], [99]]))
    with pytest.raises(ValueError, match="edge_weight"):
        conv(features, karate, torch.ones(3))
    features[0, 0] = float("nan")
    with pytest.raises(ValueError, match="finite"):
        conv(features, karate)
    for x in (torch.ones(34, 8).half(), torch.ones(34, 8)):
        with pytest.raises(ValueError, match="float32 or float64"):
            make()(x, karate)
    with pytest.raises(TypeError, match="step_size"):
        GRANDConv(8, solver="exact", step_size=0.1)
    with pytest.raises(TypeError, match="solver object"):
        GRANDConv(8, solver=TorchDiffEq(), rtol=1e-9)


def test_edge_weights_of_a_deep_symmetric_walk_get_the_gradient_of_the_dense_solution(karate):
    # Deep enough for Chebyshev polynomials, whose recursion counts its terms twice.
    weight = torch.linspace(0.5, 1.5, 78, dtype=torch.float64)
    low, high = karate.min(0).values, karate.max(0).values
    _, edge = torch.unique(low * 34 + high, return_inverse=True)
    conv = make(34, time=60.0, attention=None, learn_alpha=False, solver="exact", rtol=1e-12)
    x = torch.eye(34, dtype=torch.float64)
    grads = []
    for dense in (False, True):
        w = weight.clone().requires_grad_()
        if dense:
            a = torch.zeros(34, 34, dtype=torch.float64).index_put((karate[1], karate[0]), w[edge])
            a = a + torch.eye(34)
            y = torch.matrix_exp(60.0 * (a / a.sum(1, keepdim=True) - torch.eye(34)))
        else:
            solution = conv.solve(x, karate, w[edge])
            y = solution.y
            assert solution.stats.nfe_forward < 60
        y.pow(3).sum().backward()
        grads.append(w.grad)
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-7, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("solver", ["dopri5", "exact"])
def test_cuda_gives_what_the_cpu_gives(solver, karate, features):
    conv = make(time=3.0, solver=solver)
    expected = conv(features, karate)
    result = conv.cuda()(features.cuda(), karate.cuda())
    torch.testing.assert_close(result.cpu(), expected)


@pytest.mark.parametrize("normalization", ["softmax", "squareplus"])
@pytest.mark.parametrize("attention", ["scaled_dot", "gat", "cosine", "pearson", "exp_kernel"])
@pytest.mark.parametrize("heads", [1, 3])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_a_weight_of_zero_has_the_one_sided_derivative_as_its_gradient(
    mode, heads, attention, normalization
):
    torch.manual_seed(0)
    conv = GRANDConv(
        4, mode=mode, attention=attention, heads=heads, attention_channels=4 * heads,
        normalization=normalization, self_loop_weight=0.1, solver="rk4", step_size=0.5,
    ).double()  # fmt: skip
    for p in conv.attention.parameters():
        p.data = (0.5 if attention == "gat" else 2.0) * torch.randn_like(p)
    x, way = torch.randn(2, 3, 4, dtype=torch.float64)
    edges = torch.tensor([[0, 1, 2], [1, 2, 0]])

    def loss(w):
        return (conv(x, edges, w) * way).sum()

    weight = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    given = weight.clone().requires_grad_()
    (grad,) = torch.autograd.grad(loss(given), given)
    step = 1e-7
    for e in (0, 2):
        ahead = [loss(weight + k * step * torch.eye(3)[e]) for k in (1, 2)]
        slope = (4 * ahead[0] - ahead[1] - 3 * loss(weight)) / (2 * step)
        torch.testing.assert_close(grad[e], slope.detach(), rtol=1e-3, atol=1e-5)


def test_a_prepared_graph_stands_in_place_of_edge_index(karate, features):
    weight = torch.rand(karate.size(1), dtype=torch.float64)
    graph = prepare_graph(karate, 34)
    for conv in (GRANDConv(8).double(), GRANDConv(8, mode="nonlinear").double()):
        for given in (None, weight):
            right = conv(features, karate, given)
            assert torch.equal(conv(features, graph, given), right)
    with pytest.raises(ValueError, match=r"\[34, 8\].*got \[33, 8\]"):
        conv(features[1:], graph)
