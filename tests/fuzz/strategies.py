"""Random graphs, layers and solvers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from grandpp.fields import ATTENTIONS, NORMALIZATIONS
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv
from grandpp.solvers import Proximal

LAYERS = {
    "grand": GRANDConv,
    "grand++": GRANDPPConv,
    "heavy_ball": HeavyBallConv,
    "cgnn": CGNNConv,
}
ANGULAR = ("cosine", "pearson")
"""Scores of directions: they jump where a feature vector passes through zero, as one of a single
channel does, and no solver goes beyond that."""
WEIGHTS = (0.0, 0.25, 1.0, 3.0)


@dataclass(frozen=True)
class Edges:
    """A graph in plain values, so that a failing case prints as something to copy."""

    num_nodes: int
    pairs: tuple[tuple[int, int], ...]
    weights: tuple[float, ...] | None = None

    @property
    def edge_index(self) -> Tensor:
        return torch.tensor(self.pairs, dtype=torch.long).reshape(-1, 2).t().contiguous()

    def edge_weight(self, dtype: torch.dtype) -> Tensor | None:
        return None if self.weights is None else torch.tensor(self.weights, dtype=dtype)


@st.composite
def graphs(
    draw: Any,
    min_nodes: int = 0,
    max_nodes: int = 6,
    undirected: bool | None = None,
    weighted: bool | None = None,
    zero_weights: bool = True,
) -> Edges:
    """Graphs with up to ``2 * max_nodes`` edges: repeated edges, loops and isolated nodes too."""
    sizes = [n for n in (2, 3, 4, 5, 6, 3, 4, 5, 6, 1, 0) if min_nodes <= n <= max_nodes]
    n = draw(st.sampled_from(sizes))
    if n == 0:
        return Edges(0, (), () if weighted else None)
    nodes, number = st.integers(0, n - 1), draw(st.integers(0, 2 * n))
    pairs = draw(st.lists(st.tuples(nodes, nodes), min_size=number, max_size=number))
    weights = None
    if draw(st.booleans()) if weighted is None else weighted:
        value = st.sampled_from(WEIGHTS if zero_weights else WEIGHTS[1:])
        weights = draw(st.lists(value, min_size=len(pairs), max_size=len(pairs)))
    if draw(st.booleans()) if undirected is None else undirected:
        back = [k for k, (j, i) in enumerate(pairs) if j != i]
        pairs = [*pairs, *((pairs[k][1], pairs[k][0]) for k in back)]
        weights = None if weights is None else [*weights, *(weights[k] for k in back)]
    return Edges(n, tuple(pairs), None if weights is None else tuple(weights))


@dataclass(frozen=True)
class Case:
    """A layer, a graph and features: everything that a property needs.

    Args:
        layer: Key of :data:`LAYERS`.
        options: Of the layer, the solver's among them.
        graph: The graph.
        channels: Size F of the features.
        double: Whether in float64.
        seed: Of parameters and features.
        trusted: How far each node is trusted, ``None`` without a source.
    """

    layer: str
    options: dict[str, Any]
    graph: Edges
    channels: int = 2
    double: bool = True
    seed: int = 0
    trusted: tuple[float, ...] | None = None

    @property
    def dtype(self) -> torch.dtype:
        return torch.float64 if self.double else torch.float32

    def build(self) -> Any:
        """The layer, with parameters that are nowhere at their special initial values."""
        conv = LAYERS[self.layer](self.channels, **self.options).to(self.dtype)
        generator = torch.Generator().manual_seed(self.seed)
        for name, parameter in conv.named_parameters():
            if parameter.requires_grad:
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                # The length scale of a kernel stays away from zero.
                values = 1 + 0.2 * noise.tanh() if name.endswith("length") else 0.6 * noise
                parameter.data.copy_(values)
        return conv

    def features(self) -> Tensor:
        generator = torch.Generator().manual_seed(self.seed + 1)
        shape = (self.graph.num_nodes, self.channels)
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(self.dtype)

    def projection(self, num_nodes: int | None = None) -> Tensor:
        """Random factors that turn features into a loss."""
        generator = torch.Generator().manual_seed(self.seed + 2)
        shape = (self.graph.num_nodes if num_nodes is None else num_nodes, self.channels)
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    @property
    def source_index(self) -> Tensor | None:
        return None if self.trusted is None else torch.tensor(self.trusted, dtype=self.dtype)

    def inputs(self) -> tuple[Tensor | None, ...]:
        """Arguments of ``forward``."""
        given = (self.features(), self.graph.edge_index, self.graph.edge_weight(self.dtype))
        return given if self.trusted is None else (*given, self.source_index)

    def but(self, **options: Any) -> Case:
        """The same case with other options of the layer."""
        return replace(self, options={**self.options, **options})


@dataclass(frozen=True)
class SolverChoice:
    """Options of a layer that choose a solver, and what accuracy to expect of it.

    Args:
        options: For the constructor.
        error: Relative error of values and gradients in float64.
        single: In float32.
        longest: Longest time span.
    """

    options: dict[str, Any]
    error: float
    single: float = 3e-4
    longest: float = 3.0

    def tolerance(self, case: Case) -> float:
        return self.error if case.double else max(self.error, self.single)


_TIGHT = {"rtol": 1e-8, "atol": 1e-9, "max_nfe": 20_000}


def _marching(name: str, gradient: str | None = None) -> SolverChoice:
    chosen = {} if gradient is None else {"gradient": gradient}
    # Diffusion backwards in time amplifies errors, so the adjoint's spans are short.
    longest = 1.0 if gradient == "adjoint" else 3.0
    if name == "rk4":
        return SolverChoice({"solver": name, "step_size": 0.05, **chosen}, 1e-4, longest=longest)
    return SolverChoice({"solver": name, **_TIGHT, **chosen}, 1e-5, longest=longest)


def _proximal(name: str) -> SolverChoice:
    """A method of order 2 at least; backward Euler is compared with its own steps instead."""
    solver = Proximal(name, step_size=0.04, inner_tol=1e-9)
    return SolverChoice({"solver": solver}, 2e-3, longest=1.0)


EXACT = SolverChoice({"solver": "exact", "rtol": 1e-11}, 1e-7, longest=300.0)
LINEAR_ONLY = {"exact": EXACT}
# Up to 20 tolerances off in the root mean square where attention is random and strong, see
# tests/solvers/linear/test_commutator_free.py; far from the error that is allowed here.
DIFFUSION_ONLY = {"commutator_free": _marching("commutator_free")}
GENERAL = {
    "auto": _marching("auto"),
    "default": SolverChoice({}, 3e-3, 3e-3, longest=20.0),
    **{
        f"{name}, {gradient}": _marching(name, gradient)
        for name in ("tsit5", "dopri5", "rk4")
        for gradient in ("direct", "checkpoint", "adjoint")
    },
    **{name: _proximal(name) for name in ("prox_cn", "prox_bdf2", "prox_bdf3", "prox_bdf4")},
    **{name: _proximal(name) for name in ("prox_ms2", "prox_ms3")},
    "prox_adaptive": SolverChoice(
        {"solver": "prox_adaptive", "rtol": 1e-6, "atol": 1e-7, "max_nfe": 20_000}, 2e-3, 2e-3, 2.0
    ),
}
# In single precision a tolerance of 1e-8 asks for more digits than there are.
_SINGLE = {"rtol": 1e-5, "atol": 1e-6}


def fitted(choice: SolverChoice, double: bool) -> dict[str, Any]:
    """Options of a choice that suit the precision."""
    if double or not ({"rtol", "atol"} & set(choice.options)):
        return choice.options
    return {**choice.options, **{k: v for k, v in _SINGLE.items() if k in choice.options}}


@dataclass(frozen=True)
class Solved:
    """A case and the solver it was given."""

    case: Case
    choice: SolverChoice = field(repr=False)


@st.composite
def diffusivities(draw: Any, nonlinear: bool) -> dict[str, Any]:
    """Options of :class:`GraphDiffusion`."""
    score = draw(st.sampled_from(ATTENTIONS if nonlinear else (None, *ATTENTIONS)))
    options: dict[str, Any] = {
        "mode": "nonlinear" if nonlinear else "linear",
        "attention": score,
        "self_loop_weight": draw(st.sampled_from((1.0, 0.0, 0.5))),
        "learn_alpha": draw(st.booleans()),
        "learn_beta": draw(st.booleans()),
    }
    if score is not None:
        options["heads"] = heads = draw(st.sampled_from((1, 2)))
        options["attention_channels"] = 3 * heads
        options["normalization"] = draw(st.sampled_from(NORMALIZATIONS))
    return options


@st.composite
def trust(draw: Any, num_nodes: int) -> tuple[float, ...]:
    """How far each node is trusted."""
    value = st.sampled_from((0.0, 1.0, 1.0, 0.5))
    return tuple(draw(st.lists(value, min_size=num_nodes, max_size=num_nodes)))


@st.composite
def equations(draw: Any, layer: str, nonlinear: bool) -> dict[str, Any]:
    """Options that choose the equation of a layer."""
    if layer == "cgnn":
        return {"alpha": draw(st.sampled_from((0.918, 0.0, 0.5, 1.0)))}
    options = draw(diffusivities(nonlinear))
    if layer == "grand++":
        options["source"] = draw(st.sampled_from(("balanced", "paper")))
        options["source_gain"] = draw(st.sampled_from((0.2, 1.0)))
        options["learn_gain"] = draw(st.booleans())
        options["initial"] = draw(st.sampled_from(("features", "shifted", "zero")))
    if layer == "heavy_ball":
        kinds = ("hbnode", "sonode", "wave", "ghbnode", "adamnode")
        options["kind"] = kind = draw(st.sampled_from(kinds))
        if kind == "ghbnode":
            options["activation"] = draw(st.sampled_from(("tanh", "identity", "hardtanh")))
        options["momentum"] = draw(st.sampled_from(("zero", "learned")))
        options["source"] = draw(st.sampled_from((None, "balanced", "paper")))
    return options


def is_linear(layer: str, options: dict[str, Any]) -> bool:
    """Whether ``solver="exact"`` is for this equation."""
    if layer != "heavy_ball":
        return options.get("mode", "linear") == "linear"
    if options["mode"] == "nonlinear" or options["kind"] == "adamnode":
        return False
    if options["kind"] == "wave":
        return options["source"] is None and not options["learn_beta"]
    return options["kind"] != "ghbnode" or options["activation"] == "identity"


KINKED = 5e-2


def of_slopes(tolerance: float, options: dict[str, Any]) -> float:
    """The tolerance of a gradient whose value has ``tolerance``.

    A step across the kink of LeakyReLU has a value within the tolerance but not a slope: its error
    is of the order of the step, under every solver, and vanishes only as slowly as the steps do.
    """
    bent = options.get("mode") == "nonlinear" and options["attention"] == "gat"
    return max(tolerance, KINKED) if bent else tolerance


CHOICES = {**LINEAR_ONLY, **DIFFUSION_ONLY, **GENERAL}


def suits(solver: str, layer: str, options: dict[str, Any]) -> bool:
    """Whether a solver is for this equation."""
    if solver in DIFFUSION_ONLY:
        return layer in ("grand", "grand++")
    return solver in GENERAL or is_linear(layer, options)


@st.composite
def cases(
    draw: Any,
    layers: tuple[str, ...] = tuple(LAYERS),
    graph: st.SearchStrategy[Edges] | None = None,
    solvers: tuple[str, ...] = tuple(CHOICES),
    nonlinear: bool | None = None,
) -> Solved:
    """A layer of any kind on a graph of any kind under any solver that suits it."""
    layer = draw(st.sampled_from(layers))
    bent = layer != "cgnn" and (draw(st.booleans()) if nonlinear is None else nonlinear)
    options = draw(equations(layer, bent))
    names = [s for s in solvers if suits(s, layer, options)]
    choice = CHOICES[draw(st.sampled_from(names))]
    # Waves and unstable momentum grow: long spans of theirs are another property.
    longest = min(choice.longest, 3.0) if layer == "heavy_ball" else choice.longest
    times = [t for t in (1.0, 0.0, 0.3, 3.0, 20.0, 300.0) if t <= longest]
    time, double = draw(st.sampled_from(times)), draw(st.sampled_from((True, True, False)))
    options |= {"time": time, **fitted(choice, double)}
    edges = draw(graphs() if graph is None else graph)
    angular = options.get("attention") in ANGULAR
    if angular and options.get("initial") == "zero":
        options["initial"] = "features"
    sourced = layer == "grand++" or (layer == "heavy_ball" and options["source"] is not None)
    case = Case(
        layer=layer,
        options=options,
        graph=edges,
        channels=draw(st.sampled_from((2, 3) if angular else (2, 1, 3))),
        double=double,
        seed=draw(st.integers(0, 2**16)),
        trusted=draw(trust(edges.num_nodes)) if sourced and draw(st.booleans()) else None,
    )
    return Solved(case, choice)
