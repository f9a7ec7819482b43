"""Neural ODEs whose field is diffusion on a graph, against the dense equation."""

from __future__ import annotations

from dataclasses import dataclass

import dense_reference as dense
import torch
from fuzzing import assert_near, fuzz, gradients
from hypothesis import strategies as st
from strategies import GENERAL, Edges, SolverChoice, fitted, graphs
from torch import nn

from grandpp.fields import ATTENTIONS, GraphDiffusion
from grandpp.layers import KINDS, NeuralODE

CHANNELS = 2


class OnGraph(nn.Module):
    """Attention diffusion at the present state; a second-order field looks at the momentum too."""

    def __init__(self, edges, kind, score, dtype):
        super().__init__()
        channels = CHANNELS + (kind == "anode")
        self.diffusion = GraphDiffusion(channels, mode="nonlinear", attention=score, heads=1,
                                        attention_channels=3)  # fmt: skip
        self.pull = nn.Linear(channels, channels) if kind == "sonode" else None
        self.register_buffer("edge_index", edges.edge_index)
        self.weight = edges.edge_weight(dtype)

    def forward(self, t, state):
        h = state
        if self.pull is not None:
            h, m = state.chunk(2, dim=1)
        dh = self.diffusion.prepare(h, self.edge_index, self.weight)(t, h)
        return dh if self.pull is None else dh - self.pull(m)


@dataclass(frozen=True)
class Flow:
    """A neural ODE on a graph."""

    kind: str
    score: str
    graph: Edges
    time: float
    choice: SolverChoice
    double: bool
    seed: int

    def build(self):
        dtype = torch.float64 if self.double else torch.float32
        torch.manual_seed(self.seed)
        field = OnGraph(self.graph, self.kind, self.score, dtype)
        options = {"solver": "dopri5", **fitted(self.choice, self.double)}
        flow = NeuralODE(field, self.kind, time=self.time, **options).to(dtype)
        for name, p in flow.named_parameters():
            if not name.endswith("length"):
                p.data.add_(0.3 * torch.randn_like(p))
        return flow, torch.randn(self.graph.num_nodes, CHANNELS, dtype=torch.float64).to(dtype)

    @property
    def tolerance(self):
        return self.choice.error if self.double else max(self.choice.error, self.choice.single)

    def reference(self, flow, x):
        p = dense.leaves(flow)
        inner = {k.removeprefix("field.diffusion."): v for k, v in p.items()}
        weight = self.graph.edge_weight(torch.float64)
        conv = flow.field.diffusion

        def force(h):
            y, m = (h.chunk(2, dim=1)) if self.kind == "sonode" else (h, None)
            problem = dense.Problem.of(conv, inner, y, self.graph.edge_index, weight)
            dy = problem.alpha * (problem.operator(y) @ y - y)
            return dy if m is None else dy - m @ p["field.pull.weight"].T - p["field.pull.bias"]

        m = torch.zeros_like(x)
        if self.kind == "node":
            rate, start = (lambda t, y: force(y)), x
        elif self.kind == "anode":
            rate, start = (lambda t, y: force(y)), torch.cat([x, m[:, :1]], dim=1)
        elif self.kind == "sonode":
            rate, start = (
                lambda t, y: torch.stack([y[1], force(torch.cat([*y], dim=1))]),
                torch.stack([x, m]),
            )
        else:
            rate = dense.equation_of_motion(flow.dynamics, p, force)
            start = torch.stack([x, m, m] if self.kind == "adamnode" else [x, m])
        y = dense.integrate(rate, start, self.time)
        return (y if self.kind in ("node", "anode") else y[0]), p


@st.composite
def flows(draw):
    """Any kind of equation, score, graph and solver."""
    choice = draw(st.sampled_from([c for n, c in GENERAL.items() if n != "default"]))
    return Flow(
        kind=draw(st.sampled_from(tuple(KINDS))),
        score=draw(st.sampled_from(ATTENTIONS)),
        graph=draw(graphs(min_nodes=1, max_nodes=4)),
        time=draw(st.sampled_from((0.5, 1.0))),
        choice=choice,
        double=draw(st.sampled_from((True, True, False))),
        seed=draw(st.integers(0, 2**16)),
    )


@fuzz(40, drawn=flows())
def test_a_neural_ode_on_a_graph_is_its_equation(drawn):
    flow, x = drawn.build()
    x.requires_grad_()
    wide = x.detach().double().requires_grad_()
    expected, p = drawn.reference(flow, wide)
    got = flow(x)
    assert_near(got, expected, drawn.tolerance)
    generator = torch.Generator().manual_seed(drawn.seed + 1)
    factor = torch.randn(got.shape, generator=generator, dtype=torch.float64)
    found = gradients((factor.to(got.dtype) * got).sum(), {"x": x, **dict(flow.named_parameters())})
    wanted = gradients((factor * expected).sum(), {"x": wide, **p})
    # A step across the kink of LeakyReLU has a value within the tolerance but not a slope.
    kinked = 5e-2 if drawn.score == "gat" else 0.0
    for name, gradient in found.items():
        assert_near(gradient, wanted[name], max(10 * drawn.tolerance, kinked), name)
