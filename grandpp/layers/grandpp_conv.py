"""GRAND++ as a PyG layer."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from grandpp.fields import StationaryError
from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.entry import field_entry, solver_entry
from grandpp.fields.source import DEFAULT_GAIN, TrustedSource
from grandpp.fields.trust import trusted_nodes
from grandpp.graph import Graph
from grandpp.layers.base import DiffusionConv, node_indices
from grandpp.solvers import Solution, SolveError, Solver, SolveStats, Status
from grandpp.solvers.linear.at_nodes import ExactAtNodes


class GRANDPPConv(DiffusionConv):
    r"""Graph neural diffusion with a source term at trusted nodes, from `"GRAND++: Graph Neural
    Diffusion with A Source Term" <https://openreview.net/forum?id=EMxu-dzvJk>`_
    (thesis (4.11)-(4.12)).

    .. math:: z'(t) = \alpha \big( (A - I) z(t) + g\, s \big) + \beta x

    with the source s and the initial state z(0) of :class:`grandpp.fields.TrustedSource`. With the
    paper's source the state grows without bound in T, with the balanced one it has a limit. With
    g = 0 and ``initial="features"`` the layer equals :class:`GRANDConv`.

    Args:
        channels: Size F of the node features, unchanged by the layer.
        source: ``"balanced"`` or ``"paper"``. (default: ``"balanced"``)
        source_gain: The factor g of the source, see "The source's gain" in ``docs/results.md``.
            (default: ``0.2``)
        learn_gain: Learn g, starting from ``source_gain``. (default: ``False``)
        initial: ``"features"``, ``"shifted"`` or ``"zero"``. (default: ``"features"``)
        time: Integration time T; ``float("inf")`` computes the limit (linear mode only).
            (default: ``1.0``)
        mode: ``"linear"`` or ``"nonlinear"``. (default: ``"linear"``)
        attention: ``"scaled_dot"``, ``"gat"``, ``"cosine"``, ``"pearson"``, ``"exp_kernel"``, or
            ``None`` for the random walk. (default: ``"scaled_dot"``)
        heads: Number of attention heads. (default: ``4``)
        attention_channels: Size of all heads together.
            (default: ``None``, ``channels`` rounded up to a multiple of ``heads``)
        normalization: ``"softmax"`` or ``"squareplus"``. (default: ``"softmax"``)
        self_loop_weight: Weight of a node's self-loop before normalisation. (default: ``1.0``)
        learn_alpha: Learn alpha = sigmoid of a parameter, 0.5 at the start; otherwise alpha = 1.
            (default: ``True``)
        learn_beta: Learn beta, 0 at the start; otherwise no such term. (default: ``False``)
        solver: Name or solver object. (default: ``"auto"``, see :class:`GRANDConv`)
        rtol, atol: Tolerances of solvers that take them. (default: ``None``, the solver's own)
        step_size: Step of fixed-step solvers. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one forward solve. (default: ``None``, the solver's own)
        gradient: How gradients are computed, see :class:`GRANDConv`.
            (default: ``None``, the solver's own)

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
        The balanced source costs about tau + 5 sqrt(tau) products with one vector, tau = alpha T,
        as many backward, and none for the random walk on an undirected graph; at
        ``time=float("inf")`` one factorisation or Krylov solve. In linear mode with beta = 0 it
        conserves, at time T, the degree-weighted mean over a component of an undirected graph or a
        closed class of a directed graph (for the random walk on an undirected graph at every
        time), so the state has a limit. In single precision the exact solver conserves it to its
        own tolerance.

        The balanced source subtracts a mean per closed class; transient nodes of directed graphs
        subtract that of their component. The mean of ``source="paper"`` and the constant of
        ``initial="shifted"`` are taken per graph of ``batch``, or over all nodes without one.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # the path 0 - 1 - 2
        >>> conv = GRANDPPConv(4, time=float("inf"))
        >>> trusted = torch.tensor([True, False, True])
        >>> conv(torch.eye(3, 4), edge_index, source_index=trusted).shape
        torch.Size([3, 4])
    """

    takes_graphs = True

    source_time: float | None = None
    """Time span over which the source is balanced; ``None``: the layer's."""

    def __init__(
        self,
        channels: int,
        *,
        source: str = "balanced",
        source_gain: float = DEFAULT_GAIN,
        learn_gain: bool = False,
        initial: str = "features",
        time: float = 1.0,
        mode: str = "linear",
        attention: str | None = "scaled_dot",
        heads: int = 4,
        attention_channels: int | None = None,
        normalization: str = "softmax",
        self_loop_weight: float = 1.0,
        learn_alpha: bool = True,
        learn_beta: bool = False,
        solver: str | Solver = "auto",
        rtol: float | None = None,
        atol: float | None = None,
        step_size: float | None = None,
        max_nfe: int | None = None,
        gradient: str | None = None,
    ) -> None:
        super().__init__(
            channels,
            time=time,
            mode=mode,
            attention=attention,
            heads=heads,
            attention_channels=attention_channels,
            normalization=normalization,
            self_loop_weight=self_loop_weight,
            learn_alpha=learn_alpha,
            learn_beta=learn_beta,
            solver=solver,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            max_nfe=max_nfe,
            gradient=gradient,
        )
        self.source = TrustedSource(source, source_gain, initial, learn_gain)

    def reset_parameters(self) -> None:
        """Initialise all parameters anew."""
        super().reset_parameters()
        self.source.reset_parameters()

    def forward(
        self,
        x: Tensor,
        edge_index: Tensor | Graph,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> Tensor:
        """Return the features at time T; without trusted nodes there is no source."""
        return self.solve(x, edge_index, edge_weight, source_index, batch).y

    @solver_entry
    def solve(
        self,
        x: Tensor,
        edge_index: Tensor | Graph,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
        nodes: Tensor | None = None,
    ) -> Solution[Tensor]:
        """Return the whole solution; arguments as in :meth:`forward` and :meth:`GRANDConv.solve`.

        For few ``nodes`` the balanced source adds one column to the products, at the tolerance of
        the solver.
        """
        wanted = node_indices(nodes, x)
        if wanted is None:
            bound = self.bind(x, edge_index, edge_weight, source_index, batch)
            return self._integrate(*bound, save_at, throw)
        self._check_time()
        field = self.prepare(x, edge_index, edge_weight)
        places = trusted_nodes(source_index, x) if field.source is None else None
        plan = self._plan(field, x, wanted, save_at, sourced=True, places=places)
        field, y0 = self._add_source(field, x, source_index, batch, plan)
        return self._integrate(field, y0, save_at, throw, nodes=wanted, plan=plan)

    @field_entry
    def bind(
        self,
        x: Tensor,
        edge_index: Tensor | Graph,
        edge_weight: Tensor | None = None,
        source_index: Tensor | None = None,
        batch: Tensor | None = None,
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Return the bound field and z(0); arguments as in :meth:`forward`."""
        self._check_time()
        field = self.prepare(x, edge_index, edge_weight)
        return self._add_source(field, x, source_index, batch)

    def _add_source(
        self,
        field: LinearDiffusion | NonlinearDiffusion,
        x: Tensor,
        source_index: Tensor | None,
        batch: Tensor | None,
        plan: ExactAtNodes | None = None,
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        time = self.time if self.source_time is None else self.source_time
        # A plan carries a measure for the time of the layer.
        carry = plan.carry if plan is not None and self.source_time is None else None
        try:
            # Under autocast the source would have another dtype than the state.
            with torch.autocast(x.device.type, enabled=False):
                return self.source(
                    field,
                    x,
                    source_index,
                    time=time,
                    batch=batch,
                    carry=carry,
                    tolerance=self._measure_tolerance(field),
                )
        except StationaryError as error:
            end = torch.tensor([math.inf], dtype=torch.float64)
            nothing = torch.full_like(x, math.nan).unsqueeze(0)
            failed = Solution(end, nothing, SolveStats(), Status.LINEAR_SOLVE_FAILED, 0.0)
            raise SolveError(failed, "the balanced source of solver='steady'") from error

    def _measure_tolerance(self, field: LinearDiffusion | NonlinearDiffusion) -> float | None:
        """The measure is not wanted better than the exact solution that it balances.

        In double precision it costs little more to be exact.
        """
        if not isinstance(field, LinearDiffusion) or field.weight.dtype != torch.float32:
            return None
        exact = self._exact()
        return None if exact is None else exact.rtol

    def _describe(self) -> list[str]:
        words = super()._describe()
        return [words[0], f"source=({self.source.extra_repr()})", *words[1:]]
