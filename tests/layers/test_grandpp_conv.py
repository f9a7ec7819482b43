"""GRAND++ as a layer: limits, conservation, adjoints."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from reference import dense_random_walk, to_dense
from torch_geometric.nn import MessagePassing

from grandpp.graph import degree
from grandpp.layers import GRANDConv, GRANDPPConv, HeavyBallConv

INDEX = torch.tensor([0, 33, 5])
TIGHT = {"rtol": 1e-10, "atol": 1e-11}


def make(channels=8, std=0.5, **kwargs):
    torch.manual_seed(0)
    kwargs.setdefault("heads", 2)
    conv = GRANDPPConv(channels, **kwargs).double()
    for parameter in conv.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=std)
    return conv


def test_layer_is_message_passing_and_its_name_tells_source_gain_and_initial_state():
    conv = GRANDPPConv(8, source="paper", source_gain=0.3, initial="zero", learn_gain=True)
    assert isinstance(conv, MessagePassing)
    assert "source=(paper, gain=0.3, learned, initial=zero)" in str(conv)


@pytest.mark.parametrize("source", ["balanced", "paper"])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
def test_gain_zero_equals_grand(source, mode, karate, features):
    conv = make(time=3.0, source=source, source_gain=0.0, mode=mode)
    grand = GRANDConv(8, time=3.0, mode=mode, heads=2).double()
    grand.load_state_dict({k: v for k, v in conv.state_dict().items() if "source" not in k})
    torch.testing.assert_close(conv(features, karate, source_index=INDEX), grand(features, karate))
    with_gain = make(time=3.0, source=source, source_gain=0.5, mode=mode)
    difference = with_gain(features, karate, source_index=INDEX) - grand(features, karate)
    assert difference.abs().max() > 1e-2


@pytest.mark.parametrize("solver", ["dopri5", "exact"])
def test_linear_mode_equals_the_augmented_matrix_exponential(solver, karate, features):
    tolerance = TIGHT if solver == "dopri5" else {"rtol": 1e-13}
    conv = make(
        time=4.0, source="paper", source_gain=0.7, solver=solver, learn_beta=True, **tolerance
    )
    field = conv.prepare(features, karate)
    a = to_dense(field.graph, field.weight).detach()
    alpha, beta = conv.alpha_logit.sigmoid().detach(), conv.beta.detach()
    s = torch.zeros_like(features)
    s[INDEX] = 0.7 * alpha * (features[INDEX] - features[INDEX].mean(0))
    s = s + beta * features
    n = 34
    augmented = torch.zeros(2 * n, 2 * n, dtype=torch.float64)
    augmented[:n, :n] = 4 * alpha * (a - torch.eye(n))
    augmented[:n, n:] = 4 * torch.eye(n)
    expected = torch.matrix_exp(augmented) @ torch.cat([features, s])
    y = conv(features, karate, source_index=INDEX)
    torch.testing.assert_close(y, expected[:n], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("attention", [None, "scaled_dot"])
@pytest.mark.parametrize("mode_of_index", ["index", "mask"])
def test_balanced_source_conserves_the_stationary_mean_and_the_papers_does_not(
    attention, mode_of_index, karate, features
):
    index = INDEX
    if mode_of_index == "mask":
        index = torch.zeros(34, dtype=torch.bool).index_fill(0, INDEX, True)
    for source, conserved in (("balanced", True), ("paper", False)):
        conv = make(
            time=5000.0,
            source=source,
            source_gain=1.0,
            attention=attention,
            solver="exact",
            rtol=1e-13,
        )
        field = conv.prepare(features, karate)
        a = to_dense(field.graph, field.weight).detach()
        left = torch.linalg.matrix_power(a, 4096)[0]  # every row is the stationary distribution
        drift = left @ (conv(features, karate, source_index=index) - features)
        assert (drift.abs().max() < 1e-7) == conserved
        if attention is None:
            d = degree(field.graph, field.prior)
            torch.testing.assert_close(left, d / d.sum())


@pytest.mark.parametrize("solver", ["exact", "auto"])
def test_the_mean_is_conserved_to_the_tolerance_of_the_solver_in_single_precision(
    solver, karate, features
):
    drifts = []
    for rtol in (1e-2, 1e-5):
        torch.manual_seed(0)
        options = {"rtol": rtol} if solver == "exact" else {"rtol": rtol, "atol": rtol}
        conv = GRANDPPConv(8, time=4.0, source_gain=1.0, solver=solver, **options)
        with torch.no_grad():
            for parameter in conv.attention.parameters():
                parameter.normal_()  # far from the random walk, which moves no degrees
            exact = copy.deepcopy(conv).double()
            # Of the source alone, in double precision: what the solver does to it is left out.
            single, _ = conv.bind(features.float(), karate, source_index=torch.arange(4))
            double, _ = exact.bind(features, karate, source_index=torch.arange(4))
        size = double.source.abs().max()
        drifts.append(float((single.source.double() - double.source).abs().max() / size))
    assert 1e-5 < drifts[0] < 1e-2
    assert drifts[1] < 1e-5


def test_deep_limit_of_the_balanced_source_is_poisson_learning_and_not_constant(karate, features):
    # Propositions 8 and 9: the limit solves (I - A) z = g s and differs from node to node.
    conv = make(
        time=4000.0, source_gain=1.0, attention=None, learn_alpha=False, solver="exact", rtol=1e-10
    )
    z = conv(features, karate, source_index=INDEX)
    laplacian = torch.eye(34, dtype=torch.float64) - dense_random_walk(karate, 34)
    d = (torch.bincount(karate[1], minlength=34) + 1).double().unsqueeze(-1)
    s = torch.zeros_like(features)
    s[INDEX] = (features[INDEX] - features[INDEX].mean(0)) / d[INDEX]
    torch.testing.assert_close(laplacian @ z, s, rtol=0, atol=1e-6)
    assert z.std(0).min() > 1e-2


def test_zero_start_with_the_balanced_source_counts_the_visits_of_random_walkers(karate, features):
    # Proposition 8 with Euler steps: z(k dt) = sum over visits of walkers released from I,
    # z_i = (1/d_i) sum_j (x_j - mean) sum_{s<=k} P(B_j(s) = i) * dt + the released mass.
    dt, steps = 0.5, 8
    conv = make(
        time=dt * steps,
        source_gain=1.0,
        attention=None,
        learn_alpha=False,
        initial="zero",
        solver="euler",
        step_size=dt,
    )
    z = conv(features, karate, source_index=INDEX)
    a = dense_random_walk(karate, 34)
    walk = (1 - dt) * torch.eye(34, dtype=torch.float64) + dt * a
    d = (torch.bincount(karate[1], minlength=34) + 1).double()
    deviation = features[INDEX] - features[INDEX].mean(0)
    # A walker moves along a row of the transition matrix: position distribution e_j P^s.
    position = torch.eye(34, dtype=torch.float64)[INDEX]
    total = torch.zeros_like(features)
    for s in range(steps + 1):
        factor = dt if s < steps else 1.0  # the initial state is released once, in full
        total = total + factor * position.t() @ deviation
        position = position @ walk
    torch.testing.assert_close(z, total / d.unsqueeze(-1))


@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("source", ["balanced", "paper"])
def test_adjoint_gradients_equal_direct_ones(mode, source, karate, features):
    gradients = []
    for gradient in ("direct", "adjoint"):
        conv = make(
            16,
            time=2.0,
            mode=mode,
            source=source,
            learn_gain=True,
            learn_beta=True,
            initial="shifted",
            solver="dopri5",
            gradient=gradient,
            rtol=1e-7,
            atol=1e-8,
        )
        torch.manual_seed(1)
        encoder = torch.nn.Linear(8, 16).double()
        conv(encoder(features), karate, source_index=INDEX).pow(3).sum().backward()
        gradients.append([p.grad for p in [*conv.parameters(), *encoder.parameters()]])
    for direct, other in zip(*gradients, strict=True):
        torch.testing.assert_close(direct, other, rtol=1e-4, atol=1e-5 * float(direct.abs().max()))


def test_without_trusted_nodes_the_layer_is_grand(karate, features):
    conv = make(time=3.0, source_gain=2.0)
    grand = GRANDConv(8, time=3.0, heads=2).double()
    grand.load_state_dict({k: v for k, v in conv.state_dict().items() if "source" not in k})
    torch.testing.assert_close(conv(features, karate), grand(features, karate))


def test_reset_parameters_restores_a_learned_gain():
    conv = GRANDPPConv(8, source_gain=0.25, learn_gain=True)
    torch.nn.init.zeros_(conv.source.gain)
    conv.reset_parameters()
    assert float(conv.source.gain.detach()) == 0.25
    assert conv.source.gain.requires_grad
    assert not GRANDPPConv(8).source.gain.requires_grad


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"source": "poisson"}, "balanced, paper"),
        ({"initial": "ones"}, "shifted"),
        ({"source_gain": float("inf")}, "finite"),
    ],
)
def test_wrong_choices_are_refused_in_words(kwargs, words):
    with pytest.raises(ValueError, match=words):
        GRANDPPConv(8, **kwargs)


@pytest.mark.parametrize("edges", [34, 60])
def test_long_times_tend_to_the_limit_on_directed_graphs(edges):
    generator = torch.Generator().manual_seed(edges)
    edge_index = torch.randint(30, (2, edges), generator=generator)
    x = torch.randn(30, 8, generator=generator, dtype=torch.float64)
    index = torch.arange(0, 30, 2)
    limit = make(time=float("inf"), attention="gat")(x, edge_index, source_index=index)
    long = make(time=2000.0, attention="gat", rtol=1e-12, solver="exact")
    torch.testing.assert_close(long(x, edge_index, source_index=index), limit, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("time", [3.0, float("inf")])
def test_sampled_trees_have_a_source(time):
    # Neighbourhoods of two seeds, as a loader samples them.
    edge_index = torch.tensor([[2, 3, 4, 5, 6, 7], [0, 0, 1, 1, 2, 4]])
    x = torch.randn(8, 8).double()
    conv = make(time=time)
    seeds = torch.tensor([0, 1])
    y = conv(x, edge_index, source_index=seeds)
    # Each seed is alone in its component.
    torch.testing.assert_close(y, conv(x, edge_index))
    joined = torch.cat([edge_index, torch.tensor([[5], [2]])], dim=1)
    assert (conv(x, joined, source_index=seeds) - conv(x, joined)).abs().max() > 1e-3


@pytest.mark.parametrize("layer", [GRANDPPConv, HeavyBallConv])
def test_batch_of_the_papers_source_equals_each_graph_alone(layer, karate, features):
    options = {"initial": "shifted"} if layer is GRANDPPConv else {}
    conv = layer(8, time=2.0, source="paper", source_gain=1.0, heads=2, **options).double()
    x = torch.cat([features, 2 - features[:20]])
    first = karate[:, (karate < 20).all(dim=0)]
    both = torch.cat([karate, first + 34], dim=1)
    index = torch.tensor([0, 33, 5, 34, 40])
    batch = torch.cat([torch.zeros(34), torch.ones(20)]).long()
    y = conv(x, both, source_index=index, batch=batch)
    torch.testing.assert_close(y[:34], conv(features, karate, source_index=index[:3]))
    alone = conv(2 - features[:20], first, source_index=index[3:] - 34)
    torch.testing.assert_close(y[34:], alone)
    assert (conv(x, both, source_index=index) - y).abs().max() > 1e-2


def test_a_fixed_gain_is_no_part_of_a_checkpoint_and_a_learned_one_is():
    conv, grand = GRANDPPConv(8, source_gain=0.7), GRANDConv(8)
    conv.load_state_dict(grand.state_dict())  # strictly
    grand.load_state_dict(conv.state_dict())
    assert "source.gain" not in dict(conv.named_parameters())
    old = {**grand.state_dict(), "source.gain": torch.tensor(0.2)}
    with pytest.warns(UserWarning, match=r"source\.gain = 0\.2 is left out.*0\.7"):
        conv.load_state_dict(old)
    assert "source.gain" in old
    assert float(conv.source.gain) == 0.7
    assert "gain=0.7" in str(conv)
    learned = GRANDPPConv(8, source_gain=0.7, learn_gain=True)
    learned.load_state_dict(old)
    assert float(learned.source.gain.detach()) == pytest.approx(0.2)
    assert "gain=0.2, learned" in str(learned)
    assert "source.gain" in learned.state_dict()


def test_old_checkpoints_with_the_same_fixed_gain_load_without_a_warning(recwarn):
    conv = GRANDPPConv(8, source_gain=0.3)
    conv.load_state_dict({**GRANDConv(8).state_dict(), "source.gain": torch.tensor(0.3)})
    copied = pickle.loads(pickle.dumps(copy.deepcopy(conv)))
    copied.load_state_dict({**GRANDConv(8).state_dict(), "source.gain": torch.tensor(0.3)})
    assert not [w for w in recwarn if "gain" in str(w.message)]
    assert float(copied.double().source.gain) == 0.3
