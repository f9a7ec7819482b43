r"""The stationary measure of a row-stochastic operator, differentiable in its entries.

.. math:: \pi^\top A = \pi^\top, \qquad \sum_{i \in C} \pi_i = \sum_{i \in C} d_i
          \ \text{in every closed class } C, \qquad \pi_i = 0 \ \text{elsewhere}

(thesis Prop. 6 for the random walk, where pi = d.) In every closed class the weighted sum
:math:`\sum_{i \in C} \pi_i x_i` is what diffusion :math:`x' = (A - I) x` conserves, so it decides
which sources have a limit T -> infinity.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.graph import Graph, degree
from grandpp.linalg.components import Classes
from grandpp.linalg.once_differentiable import once_differentiable
from grandpp.linalg.singular import ConvergenceError, SingularSystem


class StationaryError(ConvergenceError):
    """The stationary measure could not be computed."""


def stationary_measure(graph: Graph, weight: Tensor, prior: Tensor) -> Tensor:
    """Return the stationary measure with the mass of the degrees in every closed class.

    Args:
        graph: Prepared graph.
        weight: Row-stochastic values ``[nnz]``; values below 1e-12 count as 0.
        prior: Prior edge weights ``[nnz]``, whose row sums are the degrees; for the random walk
            with symmetric weights these are the measure, which then costs one product.

    Returns:
        ``[N]``, differentiable in ``weight`` by the implicit function theorem; ``prior`` enters
        through the mass of classes alone and is not differentiated.

    Raises:
        StationaryError: If the measure cannot be computed.
        ConvergenceError: If its gradient cannot.

    Cost: one sparse factorisation (up to 50,000 nodes) or one Krylov solve forward and one
    backward, on the CPU in float64.
    """
    return measure_and_classes(graph, weight, prior)[0]


def measure_and_classes(graph: Graph, weight: Tensor, prior: Tensor) -> tuple[Tensor, Classes]:
    """Return :func:`stationary_measure` and the closed classes of the values that count."""
    system = SingularSystem(graph.csr, weight)
    return _Stationary.apply(graph, system, weight, degree(graph, prior.detach())), system.classes


@once_differentiable
class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, graph: Graph, system: SingularSystem, weight: Tensor, start: Tensor
    ) -> Tensor:
        measure = system.null_vector(start)
        if measure is None:
            raise StationaryError(
                "the stationary measure, which the balanced source needs at time=inf, could not "
                "be computed; use a finite time"
            )
        ctx.graph, ctx.system = graph, system
        measure = measure.to(weight.device)
        ctx.save_for_backward(measure)  # in float64: the backward solve is singular too
        return measure.to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None, Tensor, None]:
        csr, system = ctx.graph.csr, ctx.system
        groups = system.classes.groups
        (pi,) = ctx.saved_tensors
        g = grad.double() * system.classes.closed.to(grad.device)
        # Solvable only without the part along pi, class by class.
        mass = groups.sum(pi).clamp(min=torch.finfo(pi.dtype).tiny)
        u = system.solve(g - groups.sum(pi * g) / mass)
        u = u - groups.sum(pi * u) / mass
        values = pi[csr.row] * u[csr.col_long]
        return None, None, values.to(grad.dtype), None
