"""Training leaves nothing behind: after a step every tensor that it made is gone."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from grandpp.fields import MLPField
from grandpp.image import ODEClassifier
from grandpp.image.flow import ContinuousFlow
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv, NeuralODE
from grandpp.sequence import ODERNN
from grandpp.solvers import resolve_solver

Run = Callable[[], Tensor]


@pytest.fixture(autouse=True, scope="module")
def few_objects():
    """Let the garbage collector look at the objects of these tests alone, which is much faster."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


class Storages(TorchDispatchMode):
    """Watches every result of an operation, forward and backward, whoever holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, StorageWeakRef] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = {storage_of(x) for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        found = func(*args, **(kwargs or {}))
        for part in dense_parts(found):
            # Parameters and their gradients were there before.
            if part.numel() > 1 and storage_of(part) not in given:
                ref = StorageWeakRef(part.untyped_storage())
                self.seen[ref.cdata] = ref
        return found

    def alive(self) -> int:
        """Number of them that are still there."""
        gc.collect()
        return sum(not ref.expired() for ref in self.seen.values())


def dense_parts(found: object) -> list[Tensor]:
    """The tensors of a result, the arrays of compressed rows one by one."""
    tensors = [x for x in tree_leaves(found) if isinstance(x, Tensor)]
    dense = [x for x in tensors if x.layout == torch.strided]
    return dense + [x.values() for x in tensors if x.layout == torch.sparse_csr]


def storage_of(x: Tensor) -> int | None:
    """Identity of the memory of a tensor; the others have several."""
    return x.untyped_storage()._cdata if x.layout == torch.strided else None


def graph_layer(layer: type[nn.Module], **options) -> Run:
    conv = layer(4, time=2.0, **options)
    x = torch.randn(12, 4, requires_grad=True)
    ring = torch.arange(12)
    edges = torch.stack([torch.cat([ring, ring.roll(1)]), torch.cat([ring.roll(1), ring])])
    more = (None, torch.tensor([0, 5])) if layer is GRANDPPConv else ()
    return lambda: conv(x, edges, *more)


def module(model: nn.Module, *inputs: Tensor) -> Run:
    return lambda: model(*inputs)


def flow(**options) -> Run:
    named = {"solver": resolve_solver(**options)} if options else {}
    model, x = ContinuousFlow(MLPField(3, (4,)), (3,), **named), torch.randn(5, 3)
    return lambda: model.log_prob(x)


def rnn(kind: str = "hbnode", **options) -> Run:
    net = ODERNN(kind, 2, 3, 1, **options)
    times = torch.arange(3.0).view(3, 1).expand(3, 4)
    x = torch.randn(3, 4, 2)
    return lambda: net(x, times).outputs


def classifier(**options) -> Run:
    if options and "gradient" not in options:
        options["gradient"] = None
    model = ODEClassifier("hbnode", (2, 6, 6), 3, 3, 3, tolerance=None, **options)
    x = torch.rand(2, 2, 6, 6)
    return lambda: model.logits(model.solve(x))


EXPLICIT = [
    {"solver": solver, "gradient": gradient}
    for solver in ("dopri5", "tsit5")
    for gradient in ("direct", "checkpoint", "adjoint")
]
EVERY = [{}, {"solver": "auto"}, *EXPLICIT, {"solver": "prox_be"}]

LAYERS: dict[str, Callable[..., Run]] = {
    "GRAND linear": lambda **o: graph_layer(GRANDConv, **o),
    "GRAND nonlinear": lambda **o: graph_layer(GRANDConv, mode="nonlinear", **o),
    "GRAND++": lambda **o: graph_layer(GRANDPPConv, **o),
    "GRAND++ nonlinear": lambda **o: graph_layer(GRANDPPConv, mode="nonlinear", **o),
    "CGNN": lambda **o: graph_layer(CGNNConv, **o),
    **{
        f"{kind} conv": lambda kind=kind, **o: graph_layer(HeavyBallConv, kind=kind, **o)
        for kind in ("hbnode", "ghbnode", "adamnode")
    },
    **{
        f"neural ODE {kind}": lambda kind=kind, **o: module(
            NeuralODE(MLPField(3, (4,)), kind, **o), torch.randn(5, 3)
        )
        for kind in ("node", "hbnode", "ghbnode", "adamnode")
    },
    "ODE-RNN": rnn,
    "classifier": classifier,
    "flow": lambda **o: flow(**o),
}


def left_behind(run: Run) -> int:
    """Tensors that outlive a step of training."""

    def step() -> None:
        loss = run().square().mean()
        loss.backward()

    step()  # graphs that are prepared once, and gradients
    with Storages() as storages:
        step()
    return storages.alive()


@pytest.mark.parametrize("options", EVERY, ids=lambda o: "-".join(o.values()) or "default")
@pytest.mark.parametrize("layer", LAYERS)
def test_a_step_of_training_leaves_nothing_behind(layer, options):
    torch.manual_seed(0)
    assert left_behind(LAYERS[layer](**options)) == 0


def test_a_solve_that_turned_stiff_leaves_nothing_behind():
    class Stiff(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rate = nn.Parameter(torch.tensor([300.0, 1.0, 2.0]))

        def forward(self, t: Tensor, y: Tensor) -> Tensor:
            return -self.rate * (y - y.cos())

    model = NeuralODE(Stiff(), solver="auto", time=5.0)
    x = torch.ones(2, 3)
    assert [name for _, name in model.solve(x).stats.methods] == ["dopri5", "prox_adaptive"]
    assert left_behind(lambda: model(x)) == 0
