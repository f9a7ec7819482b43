"""GRAND++ as a PyG layer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from grandpp.fields import StationaryError
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.source import DEFAULT_GAIN, TrustedSource
from grandpp.layers.base import DiffusionConv
from grandpp.solvers import Solution, SolveError, SolveStats, Status


class GRANDPPConv(DiffusionConv):
    r"""Graph neural diffusion with a source term at trusted nodes, from `"GRAND++: Graph Neural
    Diffusion with A Source Term" <https://openreview.net/forum?id=EMxu-dzvJk>`_
    (thesis (4.11)-(4.12)).

    .. math:: z'(t) = \alpha \big( (A - I) z(t) + g\, s \big) + \beta x

    with the source s and the initial state z(0) of :class:`grandpp.fields.TrustedSource`, which
    says why the paper's source drifts and the balanced one does not. With g = 0 and
    ``initial="features"`` the layer equals :class:`GRANDConv`.

    Args:
        channels: Size F of the node features, unchanged by the layer.
        source: ``"balanced"`` or ``"paper"``. (default: ``"balanced"``)
        source_gain: The factor g; its size decides everything, see the README.
            (default: ``0.2``)
        learn_gain: Learn g, starting from ``source_gain``. (default: ``False``)
        initial: ``"features"``, ``"shifted"`` or ``"zero"``. (default: ``"features"``)
        **kwargs: All further arguments of :class:`GRANDConv`.

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge weights ``[E]``
          *(optional)*, trusted nodes ``[I]`` or bool ``[N]``, or weights of trust ``[N]`` in
          [0, 1] *(optional)*, graph of each node ``[N]`` (PyG's ``batch``) *(optional)*
        - **output:** node features ``[N, F]``

    Raises:
        ValueError, IndexError: As :class:`GRANDConv`, and for malformed trusted nodes or a
            malformed batch.
        SolveError: If the solver fails, at ``time=float("inf")`` also if the source has no limit
            or a linear system cannot be solved.

    Note:
        The balanced source costs about 2 tau + 8 sqrt(tau) products with one vector, tau = alpha T,
        as many backward, and none for the random walk on an undirected graph; at
        ``time=float("inf")`` one factorisation or Krylov solve. In linear mode it adds exactly
        nothing to the mean of z(T) over every component of an undirected and every closed class of
        a directed graph, weighted by :math:`e^{\tau (A^\top - I)} d`, the degrees carried along by
        diffusion (the degrees for that walk); so with beta = 0 the state has a limit.

        Per closed class: the mean that the balanced source subtracts; transient nodes of directed
        graphs subtract that of their component. Per graph of ``batch``, or over all nodes without
        one: the mean of ``source="paper"``, and the constant of ``initial="shifted"``.
    """

    source_time: float | None = None
    """Length of the time span that the source balances; ``None``: that of the layer."""

    def __init__(
        self,
        channels: int,
        *,
        source: str = "balanced",
        source_gain: float = DEFAULT_GAIN,
        learn_gain: bool = False,
        initial: str = "features",
        **kwargs: Any,
    ) -> None:
        super().__init__(channels, **kwargs)
        self.source = TrustedSource(source, source_gain, initial, learn_gain)

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        super().reset_parameters()
        if hasattr(self, "source"):  # the base class resets before the source exists
            self.source.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Return the features at time T; without trusted nodes there is no source."""
        y = self.solve(x, edge_index, edge_weight, source_index, batch).y
        assert isinstance(y, Tensor)  # noqa: S101 (narrows the type)
        return y

    def solve(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
    ) -> Solution:
        """Return the whole solution; arguments as in :meth:`forward` and :class:`GRANDConv`."""
        bound = self.bind(x, edge_index, edge_weight, source_index, batch)
        return self._integrate(*bound, save_at, throw)

    def bind(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Return what is solved: the bound field and z(0); arguments as in :meth:`forward`."""
        field = self.prepare(x, edge_index, edge_weight)
        time = self.time if self.source_time is None else self.source_time
        try:
            # Mixed precision would give the source another type than the state has.
            with torch.autocast(x.device.type, enabled=False):
                return self.source(field, x, source_index, time=time, batch=batch)
        except StationaryError as error:
            end = torch.tensor([math.inf], dtype=torch.float64)
            nothing = torch.full_like(x, math.nan).unsqueeze(0)
            failed = Solution(end, nothing, SolveStats(), Status.LINEAR_SOLVE_FAILED, 0.0)
            raise SolveError(failed, "the balanced source of solver='steady'") from error

    def _describe(self) -> list[str]:
        words = super()._describe()
        return [words[0], f"source=({self.source.extra_repr()})", *words[1:]]
