"""The GRAND++ source term and its initial states, addable to any diffusion field."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from grandpp.fields.attention import check_choice
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.stationary import stationary_measure
from grandpp.graph import degree

DEFAULT_GAIN = 0.2
"""Chosen on validation nodes, see the README."""

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
    several components) balance means :math:`\sum_{i \in C} \pi_i s_i = 0` in every component C
    for the stationary measure pi of A (reached from the degrees, where a directed component has
    several closed classes and so several measures), so there

    .. math:: \hat x_C = \frac{\sum_{i \in I \cap C} (\pi_i / d_i) x_i}
                              {\sum_{i \in I \cap C} \pi_i / d_i} ,

    the plain mean over I for the random walk on a connected undirected graph. A component with a
    single trusted node has no source then. In nonlinear mode pi is that of A(x(0)).

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
        if not abs(gain) < float("inf"):
            raise ValueError(f"expected a finite 'source_gain' (got {gain})")
        self.kind, self.initial = kind, initial
        self.initial_gain, self.learn_gain = gain, learn_gain
        self.gain = nn.Parameter(torch.empty(()), requires_grad=learn_gain)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Put the gain back to its initial value."""
        nn.init.constant_(self.gain, self.initial_gain)

    def forward(
        self, field: LinearDiffusion | NonlinearDiffusion, x: Tensor, index: Tensor | None
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Add the source to a bound field and build the initial state.

        Args:
            field: Bound field without this source.
            x: Encoded features ``[N, F]``.
            index: Trusted nodes, int64 ``[I]`` or bool ``[N]``, or how far each node is trusted,
                floating ``[N]`` in [0, 1]; ``None`` or empty: no source.

        Returns:
            The field with its source and z(0) ``[N, F]``.

        Raises:
            ValueError, IndexError: If ``index`` is malformed or out of range.
        """
        trusted = trust_weights(index, x.size(0), x)
        degrees = degree(field.graph, field.prior).unsqueeze(-1)
        deviation = trusted.unsqueeze(-1) * (x - self._mean(field, x, trusted, degrees))
        s = deviation / degrees if self.kind == "balanced" else deviation
        source = field.alpha * self.gain.to(x.dtype) * s
        if field.source is not None:
            source = source + field.source
        return replace(field, source=source), self._initial_state(x, deviation / degrees)

    def _mean(
        self,
        field: LinearDiffusion | NonlinearDiffusion,
        x: Tensor,
        trusted: Tensor,
        degrees: Tensor,
    ) -> Tensor:
        """The mean x-hat that each node is compared with, ``[N, F]`` or ``[1, F]``."""
        if self.kind == "paper":
            total = trusted.sum().clamp(min=1e-30)
            return (trusted.unsqueeze(-1) * x).sum(0, keepdim=True) / total
        start = degrees.squeeze(-1)
        parts = field.graph.components_of(field.prior)
        measure = stationary_measure(field.graph, field.operator(x), field.prior)
        share = (trusted * measure / start).clamp(min=0)
        # Trusted nodes that the stationary measure does not reach cannot make the state drift.
        share = share + trusted * 1e-12
        weighted = parts.sum(share.unsqueeze(-1) * x)
        total = parts.sum(share).clamp(min=1e-30)
        return weighted / total.unsqueeze(-1)

    def _initial_state(self, x: Tensor, start: Tensor) -> Tensor:
        if self.initial == "features":
            return x
        if self.initial == "zero":
            return start
        return x - (x.sum(0, keepdim=True) - start.sum(0, keepdim=True)) / max(x.size(0), 1)

    def extra_repr(self) -> str:
        """Name the choices that change the mathematics."""
        learned = ", learned" if self.learn_gain else ""
        return f"{self.kind}, gain={self.initial_gain}{learned}, initial={self.initial}"


def trust_weights(index: Tensor | None, num_nodes: int, like: Tensor) -> Tensor:
    """Turn trusted nodes, given as indices, as a mask or as weights, into weights ``[N]``.

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For a wrong dtype or shape, or weights outside [0, 1].
        IndexError: For an index outside [0, N).
    """
    if index is None:
        return like.new_zeros(num_nodes)
    if not isinstance(index, Tensor):
        raise TypeError(f"expected 'source_index' to be a tensor (got {type(index).__name__})")
    if index.is_complex():
        raise ValueError(f"expected a real 'source_index' (got {index.dtype})")
    index = index.to(like.device)
    if index.dtype == torch.bool or index.is_floating_point():
        kind = "boolean" if index.dtype == torch.bool else "floating"
        if index.shape != (num_nodes,):
            raise ValueError(
                f"expected a {kind} 'source_index' of shape [{num_nodes}] (got {list(index.shape)})"
            )
        if kind == "floating" and not bool(((index >= 0) & (index <= 1)).all()):
            raise ValueError("expected the weights in 'source_index' to lie in [0, 1]")
        return index.to(like.dtype)
    if index.dim() != 1:
        raise ValueError(
            f"expected 'source_index' to hold indices [I], a mask or weights [{num_nodes}] "
            f"(got {index.dtype} {list(index.shape)})"
        )
    low, high = index.aminmax() if index.numel() else (index, index)
    if index.numel() and (int(low) < 0 or int(high) >= num_nodes):
        raise IndexError(
            f"expected every 'source_index' in [0, {num_nodes}) (got {int(low)} to {int(high)})"
        )
    return like.new_zeros(num_nodes).index_fill(0, index.long(), 1.0)
