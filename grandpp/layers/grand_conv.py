"""GRAND as a PyG layer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from grandpp.fields.base import LinearDiffusion, NonlinearDiffusion
from grandpp.fields.entry import field_entry, solver_entry
from grandpp.graph import Graph
from grandpp.layers.base import DiffusionConv, node_indices
from grandpp.solvers import Solution, Solver


class GRANDConv(DiffusionConv):
    r"""Graph neural diffusion, from `"GRAND: Graph Neural Diffusion"
    <https://arxiv.org/abs/2106.10934>`_ (thesis (4.5)-(4.7)).

    .. math:: x'(t) = \alpha (A - I) x(t) + \beta x(0), \qquad x(0) = x, \quad \text{output } x(T)

    where A is row-stochastic attention averaged over heads (at x(0) in linear mode, GRAND-l; at
    x(t) in nonlinear mode, GRAND-nl) or the random walk without attention.

    Args:
        channels: Size F of the node features, unchanged by the layer.
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
        solver: Name or solver object. (default: ``"auto"``: exact in linear mode, commutator_free
            or dopri5 in nonlinear mode, see :class:`grandpp.solvers.Auto`)
        rtol, atol: Tolerances of solvers that take them.
            (default: ``None``, the solver's own: 1e-4 and 1e-5; 1e-6 for ``"exact"``)
        step_size: Step of fixed-step solvers. (default: ``None``, the solver's own: 1)
        max_nfe: Evaluation budget of one forward solve. (default: ``None``: 100,000)
        gradient: ``"direct"``, ``"checkpoint"`` or ``"adjoint"`` (for short T), see
            :class:`grandpp.solvers.TorchDiffEq`; ``"implicit"`` for proximal solvers.
            (default: ``None``, the solver's own; ``"auto"`` and ``"exact"`` have only one)

    Shapes:
        - **input:** node features ``[N, F]``, edge indices ``[2, E]``, edge weights ``[E]``
          *(optional, non-negative)*
        - **output:** node features ``[N, F]``

    Raises:
        ValueError: For an unknown choice, a number out of range, or NaN features.
        TypeError: For an option that the solver does not take, or features or edges that are not a
            tensor.
        IndexError: For an edge with a node index out of range.
        SolveError: If the solver fails.

    Note:
        One evaluation is one sparse product (linear mode) or one attention and one product.
        Memory of gradients: the exact solver stores at most 20 MiB or 8 states; ``"direct"`` stores
        every stage, and is the only one that can be differentiated twice; ``"checkpoint"`` stores
        one state per step, ``"adjoint"`` the end state only.
        Constant features are a fixed point; with symmetric weights, without attention and with
        beta = 0 the degree-weighted mean is conserved. Inside a ``torch.compile``\ d model the
        solve runs eagerly; under autocast and in half precision it computes in float32, see
        :func:`grandpp.fields.entry.solver_entry`.
        Explainers, message-passing hooks and a subclass's ``message()``, ``aggregate()``,
        ``update()`` or ``propagate()`` work with every solver but ``"exact"``, ``"steady"`` and
        ``"commutator_free"``; messages are those of :math:`\alpha (A - I)`, with self-loops.

    Example:
        >>> edge_index = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])  # the path 0 - 1 - 2
        >>> conv = GRANDConv(4, time=3.0)
        >>> conv(torch.ones(3, 4), edge_index)  # constant features are a fixed point
        tensor([[1., 1., 1., 1.],
                [1., 1., 1., 1.],
                [1., 1., 1., 1.]], grad_fn=...)
    """

    takes_graphs = True

    def __init__(
        self,
        channels: int,
        *,
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

    def forward(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the features at time T."""
        return self.solve(x, edge_index, edge_weight).y

    @solver_entry
    def solve(
        self,
        x: Tensor,
        edge_index: Tensor | Graph,
        edge_weight: Tensor | None = None,
        *,
        save_at: Sequence[float] | Tensor | None = None,
        throw: bool = True,
        nodes: Tensor | None = None,
    ) -> Solution[Tensor]:
        """Return the whole solution: states ``[S, N, F]`` at ``save_at``, cost and status.

        Args:
            x, edge_index, edge_weight: As in :meth:`forward`; ``edge_index`` may be a
                :class:`grandpp.graph.Graph`, also a sharded one, whose nodes here have rows of
                ``x``.
            save_at: Times in [0, T] to save. (default: ``None``, only T)
            throw: Raise on failure instead of returning its status. (default: ``True``)
            nodes: The nodes whose states are wanted, indices ``[R]`` or a mask, bool ``[N]``; the
                states are then ``[S, R, F]``. The exact solver needs only products with R columns
                if R is smaller than the number of channels. (default: ``None``, all)
        """
        field, y0 = self.bind(x, edge_index, edge_weight)
        wanted = node_indices(nodes, y0)
        if wanted is None:
            return self._integrate(field, y0, save_at, throw)
        plan = self._plan(field, y0, wanted, save_at, field.source is not None)
        return self._integrate(field, y0, save_at, throw, nodes=wanted, plan=plan)

    @field_entry
    def bind(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None = None
    ) -> tuple[LinearDiffusion | NonlinearDiffusion, Tensor]:
        """Return the bound field and the initial state; arguments as in :meth:`forward`."""
        return self.prepare(x, edge_index, edge_weight), x
