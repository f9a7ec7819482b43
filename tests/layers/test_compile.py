"""Inside torch.compile every layer gives the values and the gradients that it gives outside."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from grandpp.fields import ATTENTIONS, EdgeAttention, MLPField
from grandpp.graph import prepare_graph
from grandpp.image import ODEClassifier
from grandpp.image.flow import ContinuousFlow
from grandpp.layers import KINDS, CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv, NeuralODE
from grandpp.models import DiffusionClassifier, SparseFeatures
from grandpp.sequence import ODERNN
from grandpp.solvers import solve

LAYERS = {"grand": GRANDConv, "grand++": GRANDPPConv, "heavy ball": HeavyBallConv}


@pytest.fixture(autouse=True)
def fresh_compiler():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


class Net(nn.Module):
    """Layers between linear maps, which are what there is to compile."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(5, 8), nn.Linear(8, 2)
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor, *args: Tensor) -> Tensor:
        h = self.encoder(x).tanh()
        return self.decoder(torch.stack([layer(h, *args).relu() for layer in self.layers]))


def randomized(net: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.4)
    return net.double()


def assert_same(net, calls, backend):
    compiled = torch.compile(net, backend=backend)
    for x, *rest in calls:
        results = []
        for f in (net, compiled):
            start = x.clone().requires_grad_()
            net.zero_grad()
            y = f(start, *rest)
            y.square().sum().backward()
            gradients = [p.grad for p in net.parameters() if p.grad is not None]
            assert len(gradients) > 3
            results.append([y.detach(), start.grad, *gradients])
        torch.testing.assert_close(results[1], results[0])


def graphs(karate):
    """Two graphs of different sizes: the compiled model meets both."""
    x = torch.randn(34, 5, dtype=torch.float64)
    directed = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 0, 2, 3]])
    return [(x, karate), (x[:4], directed)]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("mode", ["linear", "nonlinear"])
@pytest.mark.parametrize("layer", LAYERS)
def test_every_attention_of_every_layer(layer, mode, backend, karate):
    attentions = [a for a in (*ATTENTIONS, None) if a is not None or mode == "linear"]
    options = {"source": "balanced"} if layer == "heavy ball" else {}
    options["solver"] = "dopri5" if mode == "nonlinear" else "auto"
    convs = [LAYERS[layer](8, mode=mode, attention=a, heads=2, time=0.5, **options)
             for a in attentions]  # fmt: skip
    calls = graphs(karate)
    if layer != "grand":
        calls = [(x, edges, None, torch.tensor([0, 2])) for x, edges in calls]
    assert_same(randomized(Net(*convs)), calls, backend)


def test_every_other_layer_on_graphs(karate):
    kinds = ("ghbnode", "sonode", "adamnode", "wave")
    balls = [HeavyBallConv(8, kind=kind, time=0.5, heads=2, momentum="learned") for kind in kinds]
    assert_same(randomized(Net(CGNNConv(8), *balls)), graphs(karate), "aot_eager")


@pytest.mark.parametrize(
    ("gradient", "backend"),
    [("direct", "eager"), ("adjoint", "aot_eager"), ("checkpoint", "eager")],
)
def test_neural_odes_of_every_kind_and_gradient(gradient, backend):
    class ANODE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.ode = NeuralODE(MLPField(9, (4,)), "anode", gradient=gradient)

        def forward(self, x: Tensor) -> Tensor:
            return self.ode(x)[:, :8]

    wide = {"sonode": 16}
    odes = [NeuralODE(MLPField(8, (4,), in_channels=wide.get(kind)), kind, gradient=gradient)
            for kind in KINDS if kind != "anode"]  # fmt: skip
    x = torch.randn(6, 5, dtype=torch.float64)
    assert_same(randomized(Net(ANODE(), *odes)), [(x,), (x[:2],)], backend)


@pytest.mark.parametrize("gradient", ["direct", "adjoint", "checkpoint"])
def test_a_compiled_field_inside_a_neural_ode(gradient):
    field = randomized(MLPField(8, (4,)))
    x = torch.randn(3, 8, dtype=torch.float64)
    results = []
    for f in (field, torch.compile(field, backend="eager")):
        field.zero_grad()
        y = NeuralODE(f, gradient=gradient)(x)
        y.sum().backward()
        results.append([y.detach(), *(p.grad for p in field.parameters())])
    torch.testing.assert_close(results[1], results[0])


def test_classifiers_with_dense_and_sparse_features(karate):
    x = torch.randn(34, 5, dtype=torch.float64).relu()
    convs = [GRANDConv(8, heads=2), GRANDPPConv(8, heads=2)]
    for conv in convs:
        net = randomized(DiffusionClassifier(5, 3, conv)).eval()
        assert_same(net, [(x, karate, None, torch.tensor([0, 5]))], "eager")
        sparse = SparseFeatures.from_dense(x)
        compiled = torch.compile(net, backend="eager")
        torch.testing.assert_close(compiled(sparse, karate), net(x, karate))


def test_siblings_for_sequences_and_images():
    torch.manual_seed(0)
    rnn = ODERNN("hbnode", 2, 4, 2).double()
    x = torch.randn(4, 3, 2, dtype=torch.float64)
    times, lengths = torch.rand(4, 3, dtype=torch.float64).cumsum(0), torch.tensor([4, 2, 3])
    image = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    classifier = ODEClassifier("anode", (1, 4, 4), 3, 4, num_classes=3).double()
    flow = ContinuousFlow(MLPField(2, (4,)), (2,), divergence="exact").double()
    points = torch.randn(5, 2, dtype=torch.float64)
    for net, call in (
        (rnn, lambda f: f(x, times, lengths).outputs),
        (classifier, lambda f: f(image)),
        (flow, lambda f: f(points).change),
    ):
        results = []
        for f in (net, torch.compile(net, backend="aot_eager")):
            net.zero_grad()
            y = call(f)
            y.square().sum().backward()
            results.append([y.detach(), *(p.grad for p in net.parameters())])
        torch.testing.assert_close(results[1], results[0])


def test_what_layers_are_made_of_inside_a_compiled_function(karate):
    x = torch.randn(34, 8, dtype=torch.float64)
    graph = prepare_graph(karate, 34)
    attention = randomized(EdgeAttention(8, 8, 2))
    prior = graph.prior(None, 1.0, like=x)

    def weights(x):
        return 2 * attention(x + 0, graph, prior)

    def carried(x):
        return 2 * solve(lambda t, y: y.sin(), x + 0, (0.0, 1.0)).y

    for f in (weights, carried):
        torch.testing.assert_close(torch.compile(f, backend="eager")(x), f(x))


@pytest.mark.slow
def test_the_default_backend(karate):
    conv, ode = GRANDConv(8, heads=2), NeuralODE(MLPField(8, (4,)), gradient="adjoint")
    x = torch.randn(34, 5, dtype=torch.float64)
    assert_same(randomized(Net(conv)), [(x, karate)], "inductor")
    assert_same(randomized(Net(ode)), [(x,)], "inductor")
