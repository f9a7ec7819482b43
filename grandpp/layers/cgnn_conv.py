"""The continuous GNN as a PyG layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from grandpp.fields.damped import DampedDiffusion, with_restart
from grandpp.fields.entry import solver_entry
from grandpp.graph import degree
from grandpp.layers.base import DiffusionConv
from grandpp.linalg.arguments import check_number
from grandpp.solvers import Solution, Solver, Steady


class CGNNConv(DiffusionConv):
    r"""Diffusion with restart from `"Continuous Graph Neural Networks"
    <https://arxiv.org/abs/1912.00967>`_ (Xhonneux et al. 2020, (7); without weights).

    .. math:: H'(t) = (A - I) H(t) + E, \qquad A = \tfrac{\alpha}{2}
        \big( I + D^{-1/2} W D^{-1/2} \big), \quad H(0) = E = x, \quad \text{output } H(T)

    Called "GCNN" in thesis Tables 4.6-4.8. The layer solves for :math:`y = D^{-1/2} H`, whose
    operator is the random walk. The official code differs: it omits the decay
    :math:`1 - \alpha`, learns a rate per node, and x gets no gradient through the source.

    Args:
        channels: Size F of the node features, unchanged by the layer.
        alpha: In [0, 1]; below 1 the limit T -> infinity is :math:`(I - A)^{-1} E`.
            (default: ``0.918``, the authors' value for Cora)
        time: Integration time T, finite. (default: ``1.0``)
        solver: Name or solver object. (default: ``"auto"``, see :class:`GRANDConv`)
        rtol, atol: Tolerances of solvers that take them. (default: ``None``, the solver's own)
        step_size: Step of fixed-step solvers. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one forward solve. (default: ``None``, the solver's own)
        gradient: How gradients are computed, see :class:`GRANDConv`.
            (default: ``None``, the solver's own)

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge weights ``[E]``
          *(optional, non-negative)*
        - **output:** node features ``[N, F]``

    Raises:
        ValueError, TypeError, IndexError, SolveError: As :class:`GRANDConv`, and for an ``alpha``
            out of range.

    Note:
        The equation is linear with a source: ``solver="auto"`` and ``"exact"`` cost about
        :math:`\tau + 6 \sqrt\tau` products, :math:`\tau = \alpha T / 2`, and a few times
        the square root of that for undirected graphs. A node without edges gets a self-loop.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
        >>> CGNNConv(4, time=10.0)(torch.eye(3, 4), edge_index).shape
        torch.Size([3, 4])
    """

    def __init__(
        self,
        channels: int,
        *,
        alpha: float = 0.918,
        time: float = 1.0,
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
            attention=None,
            heads=1,
            self_loop_weight=0.0,
            learn_alpha=False,
            solver=solver,
            rtol=rtol,
            atol=atol,
            step_size=step_size,
            max_nfe=max_nfe,
            gradient=gradient,
        )
        check_number("'alpha'", alpha)
        if not 0 <= alpha <= 1:
            raise ValueError(f"expected 'alpha' in [0, 1] (got {alpha})")
        if isinstance(self.solver, Steady):
            raise ValueError(f"expected a finite 'time' of a continuous GNN (got {time})")
        self.alpha = alpha

    def forward(self, x: Tensor, edge_index: Tensor, edge_weight: Tensor | None = None) -> Tensor:
        """Return the features at time T."""
        return self.position(self.solve(x, edge_index, edge_weight).y)

    @solver_entry
    def solve(
        self,
        x: Tensor,
        edge_index: Tensor,
        edge_weight: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
    ) -> Solution[Tensor]:
        """Return the whole solution, with states ``[S, N, F]``.

        Args:
            x, edge_index, edge_weight: As in :meth:`forward`.
            save_at: Times in [0, T] to save. (default: ``None``, only T)
            throw: Raise on failure instead of returning its status. (default: ``True``)
        """
        walk = self._bind_linear(x, edge_index, edge_weight)
        root = degree(walk.graph, walk.prior).sqrt().unsqueeze(-1)
        start = x / root
        field: DampedDiffusion = with_restart(walk, self.alpha, start)
        solution = self._integrate(field, start.unsqueeze(0), save_at, throw, product=walk.product)
        return solution.with_states(root * solution.ys.squeeze(1))

    def _describe(self) -> list[str]:
        channels, time, *_ = super()._describe()
        return [channels, f"alpha={self.alpha:g}", time, f"solver={self.solver}"]
