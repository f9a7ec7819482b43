"""The GRAND++ source term and its initial states, addable to any diffusion field."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from grandpp.fields.attention import check_choice
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.duration import length_of
from grandpp.fields.fixed import register_fixed
from grandpp.fields.random_walk import walk_measure
from grandpp.fields.stationary import measure_and_classes
from grandpp.fields.trust import graphs_of, trust_weights, trusted_nodes
from grandpp.graph import degree
from grandpp.linalg.arguments import check_number
from grandpp.linalg.components import Classes, Components

DEFAULT_GAIN = 0.2
"""Chosen on validation nodes, see ``docs/results.md``."""

# Sources at one in so many nodes, or fewer, are known by these nodes to the solver.
_MANY = 8

SOURCES: tuple[str, ...] = ("balanced", "paper")
INITIALS: tuple[str, ...] = ("features", "shifted", "zero")


class TrustedSource(nn.Module):
    r"""A source at trusted (labelled) nodes I and an initial state, from the encoded features.

    Source: GRAND++, thesis (4.11)-(4.12).

    .. math::
        z'_i = \alpha \big( [(A - I) z]_i + g\, s_i \big), \qquad
        s_i = \begin{cases}
            x_i - \hat x & \text{"paper"} \\
            (x_i - \hat x) / d_i & \text{"balanced"}
        \end{cases} \quad (i \in I), \quad s_i = 0 \text{ elsewhere.}

    The paper's source lets the state drift along the constants for ever, because
    :math:`\sum_i d_i s_i \neq 0`. The balanced one does not, and its limit T -> infinity is
    Poisson learning, :math:`(I - A) z = g s`. In general (learned attention, directed edges,
    several components) balance is :math:`\sum_{i \in C} \pi_i s_i = 0` in every closed class C,
    where pi is the measure of :func:`grandpp.fields.walk_measure` for the span
    :math:`\tau = \alpha T`, reached from the degrees of the closed classes; for T = infinity it is
    their stationary measure. Then the source adds exactly nothing to a weighted mean of z(T) over
    C, whose weights are the degrees transported by diffusion over the span T. It follows that

    .. math:: \hat x_C = \frac{\sum_{i \in I \cap C} (\pi_i / d_i) x_i}
                              {\sum_{i \in I \cap C} \pi_i / d_i} ,

    the plain mean over I for the random walk on a connected undirected graph, where pi = d. A
    class with a single trusted node has no source then. In nonlinear mode pi is that of A(x(0)).

    Means are taken over closed classes: a closed class is a strongly connected set of nodes that
    receives nothing from others, in an undirected graph a component. No source at any other
    (transient) node can make the state drift, and such nodes are compared with the plain mean of
    all trusted nodes in their weakly connected component. The paper's mean and the constant of
    ``"shifted"`` are those of a graph of the batch.

    Nodes may be trusted in part: a weight w_i in [0, 1] multiplies s_i and the share of node i in
    the mean, so balance holds as before; trusted nodes have weight 1.

    Initial state: ``"features"`` z(0) = x; ``"shifted"`` z(0) = x - c with the constant c that
    gives :math:`\sum_i z_i(0) = \sum_{i \in I} (x_i - \hat x) / d_i`; ``"zero"``
    :math:`z_i(0) = (x_i - \hat x) / d_i` on I and 0 elsewhere.

    Args:
        kind: ``"balanced"`` or ``"paper"``. (default: ``"balanced"``)
        gain: The factor g, its initial value where it is learned. (default: ``0.2``)
        initial: One of the three above. (default: ``"features"``)
        learn_gain: Learn g. (default: ``False``)

    Raises:
        ValueError: For an unknown choice or a gain that is not finite.
    """

    def __init__(
        self,
        kind: str = "balanced",
        gain: float = DEFAULT_GAIN,
        initial: str = "features",
        learn_gain: bool = False,
    ) -> None:
        super().__init__()
        check_choice("source", kind, SOURCES)
        check_choice("initial", initial, INITIALS)
        check_number("'source_gain'", gain)
        if not abs(gain) < float("inf"):
            raise ValueError(f"expected a finite 'source_gain' (got {gain})")
        self.kind, self.initial = kind, initial
        self.initial_gain, self.learn_gain = gain, learn_gain
        if learn_gain:
            self.gain: Tensor = nn.Parameter(torch.empty(()))
        else:
            register_fixed(self, "gain", gain)
        # Not that of a subclass, whose parameters do not exist yet.
        TrustedSource.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Put the gain back to its initial value."""
        nn.init.constant_(self.gain, self.initial_gain)

    def forward(
        self,
        field: LinearDiffusion | NonlinearDiffusion,
        x: Tensor,
        index: Tensor | None,
        *,
        time: float | Tensor = math.inf,
        batch: Tensor | None = None,
        carry: Callable[[Tensor], Tensor] | None = None,
        tolerance: float | None = None,
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Add the source to a bound field and build the initial state.

        Args:
            field: Bound field without this source.
            x: Encoded features ``[N, F]``.
            index: Trusted nodes, see :func:`grandpp.fields.trust_weights`; ``None`` or empty: no
                source.
            time: Length T of the time span that is to be balanced. (default: infinity)
            batch: Graph of each node, int64 ``[N]``. (default: ``None``, one graph)
            carry: Transports a measure over ``time``, if the solver computes that anyway.
                (default: ``None``, :func:`grandpp.fields.walk_measure`)
            tolerance: That of :func:`grandpp.fields.walk_measure`. (default: ``None``, its own)

        Returns:
            The field with its source and z(0) ``[N, F]``.

        Raises:
            ValueError, IndexError: If ``index`` or ``batch`` is malformed or out of range.
            StationaryError: If ``time`` is infinite and the measure cannot be computed.

        Cost: for the balanced source about 2 tau + 8 sqrt(tau) products with one vector, none for
        the random walk on an undirected graph.
        """
        trusted = trust_weights(index, x.size(0), x)
        graphs = graphs_of(batch, x, field.reductions)
        # Everything happens at the trusted nodes, which are few; if trust is learned, at all.
        nodes = trusted_nodes(trusted, x)
        if nodes is None:
            nodes = torch.arange(x.size(0), device=x.device)
        degrees = degree(field.graph, field.prior)
        here, weight = x[nodes], trusted[nodes]
        if self.kind == "paper":
            mean = _mean(graphs.at(nodes), weight, here)
        else:
            share, classes = self._shares(field, x, degrees, time, carry, tolerance)
            mean = _mean(classes.groups.at(nodes), weight * share[nodes], here)
            if not classes.all_closed:
                closed = classes.closed.to(x.device)[nodes].unsqueeze(-1)
                others = _mean(classes.components.at(nodes), weight, here)
                mean = torch.where(closed, mean, others)
        deviation = weight.unsqueeze(-1) * (here - mean)
        per_degree = deviation / degrees[nodes].unsqueeze(-1)
        s = per_degree if self.kind == "balanced" else deviation
        s = field.alpha * self.gain.to(x.dtype) * s
        nothing = torch.zeros_like(x) if field.source is None else field.source
        source = nothing.index_add(0, nodes, s)
        start = self._initial_state(x, nodes, per_degree, graphs)
        if not isinstance(field, LinearDiffusion):
            return replace(field, source=source), start
        few = field.source is None and nodes.numel() * _MANY <= x.size(0)
        return replace(field, source=source, located=(source, nodes, s) if few else None), start

    def _shares(
        self,
        field: LinearDiffusion | NonlinearDiffusion,
        x: Tensor,
        degrees: Tensor,
        time: float | Tensor,
        carry: Callable[[Tensor], Tensor] | None,
        tolerance: float | None,
    ) -> tuple[Tensor, Classes]:
        """The factor pi / d of every node in the mean of its closed class, and the classes."""
        graph, weight = field.graph, field.operator(x)
        if math.isinf(length_of(time)):
            if not field.reductions.is_local:
                raise ValueError(
                    "expected a finite 'time' for the balanced source of a sharded graph "
                    f"(got {length_of(time)}): the stationary measure takes the whole graph"
                )
            measure, classes = measure_and_classes(graph, weight, field.prior)
        else:
            classes = graph.classes_of(field.prior)
            measure, tau = degrees * classes.closed, field.alpha * time
            # The walk on an undirected graph keeps its degrees. Where edge weights are learned,
            # the derivative to a single one still needs the series: it makes its edge directed.
            reversible = isinstance(field, LinearDiffusion) and field.reversible
            learned = torch.is_grad_enabled() and weight.requires_grad
            if (learned or not reversible) and math.isfinite(float(tau.detach())):
                if carry is None:
                    measure = walk_measure(graph.csr, weight, measure, tau, tolerance)
                else:
                    measure = carry(measure)
        # Trusted nodes that the measure all but misses still have a mean.
        return (measure / degrees).clamp(min=1e-30), classes

    def _initial_state(
        self, x: Tensor, nodes: Tensor, per_degree: Tensor, graphs: Components
    ) -> Tensor:
        if self.initial == "features":
            return x
        start = torch.zeros_like(x).index_add(0, nodes, per_degree)
        if self.initial == "zero":
            return start
        return x - graphs.sum(x - start) / graphs.sum(torch.ones_like(x[:, :1]))

    def extra_repr(self) -> str:
        """Name the choices that change the mathematics."""
        learned = ", learned" if self.learn_gain else ""
        gain = float(self.gain.detach())
        return f"{self.kind}, gain={gain:g}{learned}, initial={self.initial}"


def _mean(parts: Components, share: Tensor, x: Tensor) -> Tensor:
    """The weighted mean over each node's part, ``[N, F]``; x itself where one node counts."""
    total = parts.sum(share).clamp(min=1e-30).unsqueeze(-1)
    mean = parts.sum(share.unsqueeze(-1) * x) / total
    alone = parts.sum((share > 0).to(x.dtype)).unsqueeze(-1) <= 1
    return torch.where(alone, x, mean)  # without the rounding of a mean of one
