"""Base class of the diffusion layers: a right-hand side, a time span and a solver."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from grandpp.fields.base import LinearDiffusion, csr_product
from grandpp.fields.diffusion import GraphDiffusion
from grandpp.fields.duration import length_of
from grandpp.solvers import (
    Auto,
    CommutatorFree,
    Exact,
    Solution,
    Solver,
    Steady,
    resolve_solver,
    solve,
)
from grandpp.solvers.linear.at_nodes import ExactAtNodes


def describe_time(time: float | Tensor) -> str:
    """Format the time span for a ``repr``."""
    return f"time={length_of(time):g}{' (learned)' if isinstance(time, nn.Parameter) else ''}"


class DiffusionConv(GraphDiffusion):
    """Solve a graph diffusion equation from time 0 to ``time``.

    Args:
        channels: Size F of the node features.
        time: Length T of the time span, the depth of the layer. ``float("inf")`` computes the limit
            T -> infinity with ``solver="steady"``, whatever solver is named. A scalar
            ``nn.Parameter`` is learned. (default: ``1.0``)
        solver: A name or a solver object of :mod:`grandpp.solvers`. (default: ``"auto"``)
        rtol: Relative tolerance, for solvers that take one.
            (default: ``None``, the solver's own)
        atol: Absolute tolerance, likewise. (default: ``None``, the solver's own)
        step_size: Step of fixed-step methods. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of a forward solve. (default: ``None``, the solver's own)
        gradient: ``"direct"``, ``"checkpoint"`` or ``"adjoint"`` for ``"tsit5"`` and methods of
            torchdiffeq, see :class:`grandpp.solvers.TorchDiffEq`; ``"implicit"`` for proximal ones.
            (default: ``None``, the solver's own)
        mode, attention, heads, attention_channels, normalization, self_loop_weight, learn_alpha,
            learn_beta: See :class:`grandpp.fields.GraphDiffusion`.

    Raises:
        ValueError: For an unknown choice or a number out of range.
        TypeError: For an option that the solver does not take, or a ``time`` that is no number.
    """

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
            mode=mode,
            attention=attention,
            heads=heads,
            attention_channels=attention_channels,
            normalization=normalization,
            self_loop_weight=self_loop_weight,
            learn_alpha=learn_alpha,
            learn_beta=learn_beta,
        )
        self.time = time
        options = {
            "rtol": rtol,
            "atol": atol,
            "step_size": step_size,
            "max_nfe": max_nfe,
            "gradient": gradient,
        }
        self.solver: Solver = _solver_for(time, mode, solver, options)

    def _integrate(
        self,
        field: Any,
        y0: Tensor,
        save_at: Sequence[float] | Tensor | None,
        throw: bool,
        product: Any = None,
        nodes: Tensor | None = None,
        plan: ExactAtNodes | None = None,
    ) -> Solution[Tensor]:
        """Solve from 0 to the time of the layer.

        Args:
            field, y0: What is solved.
            save_at, throw: As in the layer's ``solve``.
            product: What multiplies the state. (default: ``None``, that of the field)
            nodes: The nodes wanted, int64 ``[R]``. (default: ``None``, all)
            plan: From :meth:`_plan`. (default: ``None``)
        """
        self._check_time()
        if plan is not None:
            return solve(field, y0, (0.0, self.time), solver=plan, throw=throw)
        f = field
        if (product or field.product) is not csr_product:
            if isinstance(self.solver, Exact | Steady | CommutatorFree):
                raise ValueError(
                    "expected a solver that computes every product by message passing, for "
                    "explainers, message-passing hooks and overridden methods like message() (got "
                    f"solver='{self.solver.method}'): use another solver, like 'auto'"
                )
            if isinstance(self.solver, Auto):
                f = field.__call__  # hides that the field is linear, which invites "exact"
        span = (0.0, self.time)
        solution = solve(f, y0, span, solver=self.solver, save_at=save_at, throw=throw)
        if nodes is None:
            return solution
        return solution.with_states(solution.ys.index_select(1, nodes))

    def _exact(self) -> Exact | None:
        """The exact solver that linear fields are given to, if they are."""
        solver: object = self.solver
        if type(solver) is Auto:
            return Exact(rtol=min(solver.rtol, solver.atol), max_nfe=solver.max_nfe)
        return solver if type(solver) is Exact else None

    def _plan(
        self,
        field: Any,
        x: Tensor,
        nodes: Tensor,
        save_at: object,
        sourced: bool,
        places: Tensor | None = None,
    ) -> ExactAtNodes | None:
        """How to solve for some nodes alone, where that is cheaper than for all."""
        exact = self._exact()
        simple = isinstance(field, LinearDiffusion) and field.product is csr_product
        simple = simple and field.reductions.is_local
        if exact is None or not simple or save_at is not None:
            return None
        time = torch.as_tensor(self.time, dtype=torch.float64)
        if not 0 < float(time.detach()) < math.inf:
            return None
        plan = ExactAtNodes.plan(exact, field, x, time, nodes, sourced, places)
        if plan is not None and isinstance(self.solver, Auto):
            plan.stats.methods.append((0.0, Exact.method))
        return plan

    def _check_time(self) -> None:
        length = length_of(self.time)
        if not length >= 0:
            raise ValueError(
                f"expected 'time' to be 0 or positive (got {length:g}): a learned time has "
                "to be kept in its range, for example as torch.nn.functional.softplus of a "
                "parameter, or by a lower learning rate"
            )

    def position(self, state: Tensor) -> Tensor:
        """The node features of a state: the state itself for first-order diffusion."""
        return state

    def __repr__(self) -> str:
        return f"{self.__class__.__name__}({', '.join(self._describe())})"

    def _describe(self) -> list[str]:
        words = [str(self.channels), describe_time(self.time), f"mode={self.mode}"]
        a = self.attention
        if a is None:
            words.append("attention=None")
        else:
            words += [
                f"attention={a.score}",
                f"heads={a.heads}",
                f"attention_channels={a.attention_channels}",
                f"normalization={a.normalization}",
            ]
        words.append(f"self_loop_weight={self.self_loop_weight:g}")
        words.append(f"learn_alpha={self.alpha_logit is not None}")
        words.append(f"learn_beta={self.beta is not None}")
        words.append(f"solver={self.solver}")
        return words


def node_indices(nodes: Tensor | None, x: Tensor) -> Tensor | None:
    """Turn nodes, given as indices or as a mask, into indices int64 ``[R]``.

    Args:
        nodes: Indices, an integer tensor ``[R]``; a mask, bool ``[N]``; or ``None``.
        x: Features ``[N, F]``.

    Raises:
        TypeError: For anything but a tensor.
        ValueError: For a wrong dtype or shape.
        IndexError: For an index outside [0, N).
    """
    if nodes is None:
        return None
    if not isinstance(nodes, Tensor):
        raise TypeError(f"expected 'nodes' to be a tensor (got {type(nodes).__name__})")
    count = x.size(0)
    fits = nodes.shape == (count,) if nodes.dtype == torch.bool else nodes.dim() == 1
    if not fits or nodes.is_floating_point() or nodes.is_complex():
        raise ValueError(
            f"expected 'nodes' to hold indices [R] or a mask [{count}] "
            f"(got {nodes.dtype} {list(nodes.shape)})"
        )
    nodes = nodes.to(x.device)
    if nodes.dtype == torch.bool:
        return nodes.nonzero().view(-1)
    low, high = nodes.aminmax() if nodes.numel() else (nodes, nodes)
    if nodes.numel() and (int(low) < 0 or int(high) >= count):
        raise IndexError(
            f"expected every index in 'nodes' in [0, {count}) (got {int(low)} to {int(high)})"
        )
    return nodes.long()


def _solver_for(time: float, mode: str, solver: str | Solver, options: dict[str, Any]) -> Solver:
    length = length_of(time)
    if not length >= 0:
        raise ValueError(f"expected 'time' to be 0, positive or infinity (got {length})")
    given = {name: value for name, value in options.items() if value is not None}
    # No time-stepping method reaches infinity: the steady solver computes the limit directly.
    endless = math.isinf(length) and isinstance(solver, str)
    resolved = resolve_solver("steady" if endless else solver, **given)
    if math.isinf(length) != isinstance(resolved, Steady):
        raise ValueError(
            f"expected solver='steady' for time=inf alone (got time={length}, "
            f"solver='{resolved.method}')"
        )
    if isinstance(resolved, Exact | Steady) and mode == "nonlinear":
        raise ValueError(
            f"expected mode='linear' for solver='{resolved.method}' "
            "(got mode='nonlinear'): only linear diffusion has such a solution"
        )
    return resolved
