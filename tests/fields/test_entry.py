"""How layers enter a solve: under autocast, in half precision, as replicas, with wrong input."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from grandpp.fields import LowPrecision, MLPField
from grandpp.image import ODEClassifier
from grandpp.image.flow import ContinuousFlow
from grandpp.layers import KINDS, CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv, NeuralODE
from grandpp.models import DiffusionClassifier
from grandpp.sequence import ODERNN

HALF = [torch.bfloat16, torch.float16]
TRUSTED = torch.tensor([0, 33])
LAYERS = {
    "grand": lambda: GRANDConv(8, heads=2),
    "grand-nl": lambda: GRANDConv(8, heads=2, mode="nonlinear", learn_beta=True),
    "grand-nl checkpoint": lambda: GRANDConv(
        8, heads=2, mode="nonlinear", solver="dopri5", gradient="checkpoint"
    ),
    "grand limit": lambda: GRANDConv(8, heads=2, time=float("inf")),
    "grand walk": lambda: GRANDConv(8, attention=None, heads=1),
    "grand++": lambda: GRANDPPConv(8, heads=2, learn_gain=True),
    "grand++ adjoint": lambda: GRANDPPConv(
        8, heads=2, mode="nonlinear", solver="dopri5", gradient="adjoint"
    ),
    "heavy ball": lambda: HeavyBallConv(8, heads=2, momentum="learned", source="paper"),
    "ghbnode": lambda: HeavyBallConv(8, heads=2, kind="ghbnode"),
    "adamnode": lambda: HeavyBallConv(8, heads=2, kind="adamnode"),
    "cgnn": lambda: CGNNConv(8),
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    net = LAYERS[name]()
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net


def on_graph(name: str, net: nn.Module, x, edges):
    return net(x, edges, None, TRUSTED) if "++" in name or name == "heavy ball" else net(x, edges)


def values_and_gradients(net, y, x):
    net.zero_grad()
    x.grad = None
    y.float().square().sum().backward()
    return [y.detach(), x.grad, *(p.grad.clone() for p in net.parameters() if p.grad is not None)]


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", LAYERS)
def test_graph_layers_after_a_linear_map_under_autocast(name, dtype, karate):
    net, encoder = made(name), nn.Linear(5, 8)
    x = torch.randn(34, 5)
    with torch.autocast("cpu", dtype):
        h = encoder(x)
        y = on_graph(name, net, h, karate)
        assert h.dtype == dtype and y.dtype == torch.float32
    expected = on_graph(name, net, h.float(), karate)
    assert torch.equal(y, expected)
    y.sum().backward()
    assert encoder.weight.grad is not None and encoder.weight.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", HALF)
@pytest.mark.parametrize("name", LAYERS)
def test_graph_layers_in_half_precision_compute_in_single(name, dtype, karate):
    low = made(name).to(dtype)
    wide = copy.deepcopy(low).float()  # fixed constants, rounded to half, included
    x = torch.randn(34, 8).to(dtype).requires_grad_()
    start = x.detach().float().requires_grad_()
    y = on_graph(name, low, x, karate)
    assert y.dtype == dtype and all(p.dtype == dtype for p in low.parameters())
    expected = values_and_gradients(wide, on_graph(name, wide, start, karate), start)
    found = values_and_gradients(low, y, x)
    assert torch.equal(found[0], expected[0].to(dtype))
    assert len(found) == len(expected)
    for a, b in zip(found[1:], expected[1:], strict=True):
        assert a.dtype == dtype
        scale = float(b.abs().max()) + 1e-6
        torch.testing.assert_close(a.float(), b, rtol=0.02, atol=0.02 * scale)


def test_a_whole_solution_of_a_half_layer_has_its_type_and_counts_backward(karate):
    net = GRANDConv(8, heads=2, mode="nonlinear", solver="dopri5").bfloat16()
    x = torch.randn(34, 8, dtype=torch.bfloat16, requires_grad=True)
    solution = net.solve(x, karate, save_at=[0.5, 1.0])
    assert solution.ys.dtype == torch.bfloat16 and solution.ts.dtype == torch.float64
    solution.y.sum().backward()
    assert solution.stats.nfe_backward > 0


def test_half_features_of_a_layer_in_single_precision_are_refused_without_autocast(karate):
    with pytest.raises(ValueError, match=r"got torch\.bfloat16 for a layer in torch\.float32"):
        GRANDConv(8)(torch.randn(34, 8).bfloat16(), karate)


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "checkpoint"])
@pytest.mark.parametrize("kind", KINDS)
def test_neural_odes_under_autocast_and_in_half_precision(kind, gradient):
    sizes = {"sonode": {"in_channels": 8}}.get(kind, {})
    torch.manual_seed(0)
    net = NeuralODE(MLPField(5 if kind == "anode" else 4, (6,), **sizes), kind, gradient=gradient)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.copy_(parameter.bfloat16().float())
    x = torch.randn(3, 4).bfloat16()
    start = x.float().requires_grad_()
    expected = values_and_gradients(net, net(start), start)
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    assert y.dtype == torch.float32 and torch.equal(y, expected[0])
    low = net.bfloat16()
    x.requires_grad_()
    found = values_and_gradients(low, low(x), x)
    assert torch.equal(found[0], expected[0].bfloat16())
    for a, b in zip(found[1:], expected[1:], strict=True):
        assert a.dtype == torch.bfloat16
        torch.testing.assert_close(a.float(), b, rtol=0.02, atol=0.02)


def test_a_field_may_still_ask_for_half_precision_inside():
    seen = []

    class Field(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, t, h):
            y = self.linear(h)
            seen.append(y.dtype)
            return y.tanh()

    net = NeuralODE(LowPrecision(Field()), rtol=1e-2, atol=1e-2, gradient="checkpoint")
    with torch.autocast("cpu", torch.bfloat16):
        y = net(torch.randn(2, 4))
        y.sum().backward()  # inside: a cached copy of the weight must not lose its gradient
    assert y.dtype == torch.float32 and set(seen) == {torch.bfloat16}
    assert net.field.field.linear.weight.grad.abs().max() > 0


def test_siblings_under_autocast_equal_themselves_outside():
    torch.manual_seed(0)
    rnn, flow = ODERNN("hbnode", 2, 4, 2), ContinuousFlow(MLPField(2, (4,)), (2,))
    classifier = ODEClassifier("hbnode", (1, 4, 4), 2, 3)
    x, times = torch.randn(4, 3, 2).bfloat16(), torch.rand(4, 3).cumsum(0)
    image, points = torch.rand(2, 1, 4, 4).bfloat16(), torch.randn(3, 2).bfloat16()
    noise = torch.Generator()
    runs = (
        lambda cast: rnn(cast(x), times).outputs,
        lambda cast: classifier.solve(cast(image)).y,
        lambda cast: flow(cast(points), noise.manual_seed(0)).value,
        lambda cast: flow.inverse(cast(points)),
    )
    for run in runs:
        expected = run(torch.Tensor.float)
        with torch.autocast("cpu", torch.bfloat16):
            y = run(lambda v: v)
        assert torch.equal(y, expected) and y.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert classifier(image).isfinite().all()  # its last linear map is autocast's
    low = rnn.bfloat16()(x, times.bfloat16().float())
    assert low.outputs.dtype == low.state.dtype == torch.bfloat16
    assert torch.allclose(low.outputs.float(), runs[0](torch.Tensor.bfloat16).float(), atol=0.05)
    assert flow.bfloat16()(points).value.dtype == torch.bfloat16
    assert classifier.bfloat16()(image.detach()).dtype == torch.bfloat16


def test_a_classifier_trains_under_autocast(karate):
    torch.manual_seed(0)
    net = DiffusionClassifier(5, 2, GRANDPPConv(8, heads=2))
    x, labels = torch.randn(34, 5), torch.arange(34) % 2
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(x, karate, None, TRUSTED)
        loss = nn.functional.cross_entropy(logits, labels)
    loss.backward()
    assert all(p.grad is not None for p in net.parameters() if p.requires_grad)


def replica_of(net: nn.Module) -> tuple[nn.Module, dict[str, torch.Tensor]]:
    """What ``torch.nn.parallel.replicate`` makes for one device, which needs CUDA to run."""
    copies, tensors = {}, {}
    for name, module in net.named_modules():
        copies[name] = copy = module._replicate_for_data_parallel()
        copy._former_parameters = {}
    for name, module in net.named_modules():
        for key, child in module._modules.items():
            if child is not None:
                path = f"{name}.{key}" if name else key
                setattr(copies[name], key, copies[path])
        for key, parameter in module._parameters.items():
            if parameter is None:
                copies[name]._parameters[key] = None
                continue
            clone = parameter.clone()  # stands for the broadcast: no leaf
            setattr(copies[name], key, clone)
            copies[name]._former_parameters[key] = clone
            tensors[f"{name}.{key}".lstrip(".")] = clone
    return copies[""], tensors


@pytest.mark.parametrize("name", LAYERS)
def test_replicas_of_data_parallel_give_the_same_gradients(name, karate):
    net = made(name)
    x = torch.randn(34, 8, requires_grad=True)
    expected = values_and_gradients(net, on_graph(name, net, x, karate), x)
    replica, _ = replica_of(net)
    assert not list(replica.parameters())
    found = values_and_gradients(net, on_graph(name, replica, x, karate), x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "checkpoint"])
def test_replicas_of_siblings_give_the_same_gradients(gradient):
    torch.manual_seed(0)
    ode = NeuralODE(MLPField(4, (6,)), "hbnode", gradient=gradient)
    rnn = ODERNN("hbnode", 4, 5, 2, gradient=gradient)
    times = torch.rand(6, 3).cumsum(0)
    image = ODEClassifier("sonode", (1, 2, 2), 2, 3, gradient=gradient)
    for net, x, call in (
        (ode, torch.randn(3, 4), lambda f, x: f(x)),
        (rnn, torch.randn(6, 3, 4), lambda f, x: f(x, times).outputs),
        (image, torch.rand(3, 1, 2, 2), lambda f, x: f(x)),
    ):
        x = x.requires_grad_()
        expected = values_and_gradients(net, call(net, x), x)
        found = values_and_gradients(net, call(replica_of(net)[0], x), x)
        torch.testing.assert_close(found, expected)
        assert len(found) == 2 + len(list(net.parameters()))


@pytest.mark.parametrize("conv", [GRANDConv, GRANDPPConv, HeavyBallConv, CGNNConv])
def test_pairs_of_features_and_missing_edges_are_refused_in_words(conv, karate):
    x = torch.randn(34, 8)
    with pytest.raises(TypeError, match=r"one tensor \(got a tuple.*no bipartite form"):
        conv(8)((x, x), karate)
    with pytest.raises(TypeError, match=r"'edge_index'.*\[2, E\].*got None"):
        conv(8)(x, None)


def test_arguments_may_be_given_by_name(karate):
    x = torch.randn(34, 8)
    conv = GRANDConv(8)
    expected = conv(x, karate)
    assert torch.equal(conv(x=x, edge_index=karate), expected)
    assert torch.equal(conv.solve(edge_index=karate, x=x).y, expected)
