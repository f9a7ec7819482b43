r"""The stationary measure of a row-stochastic operator, differentiable in its entries.

.. math:: \pi^\top A = \pi^\top, \qquad \sum_{i \in C} \pi_i = \sum_{i \in C} d_i
          \ \text{in every component } C

(thesis Prop. 6 for the random walk, where pi = d.) The weighted sum :math:`\sum_i \pi_i x_i` is
what diffusion :math:`x' = (A - I) x` conserves, so it decides which sources let the state drift.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from grandpp.graph import Graph, degree, row_normalize
from grandpp.ops.once import once_differentiable
from grandpp.singular import ConvergenceError, SingularSystem

# Attention can saturate until nodes are all but cut off from one another. Then a little of the
# random walk is mixed in, step by step, until the measure is well defined.
_MIXTURES = (0.0, 1e-10, 1e-7, 1e-4)


class StationaryError(ConvergenceError):
    """The stationary measure could not be computed."""


def stationary_measure(graph: Graph, weight: Tensor, prior: Tensor) -> Tensor:
    """Return the stationary measure with the mass of the degrees in every component.

    Args:
        graph: Prepared graph.
        weight: Row-stochastic values ``[nnz]``.
        prior: Prior edge weights ``[nnz]``, whose row sums are the degrees; for the random walk
            with symmetric weights these are the measure, which then costs one product.

    Returns:
        ``[N]``, differentiable in ``weight`` by the implicit function theorem; ``prior`` enters
        through the mass of components alone and is not differentiated.

    Raises:
        StationaryError: If the measure cannot be computed.
        ConvergenceError: If its gradient cannot.

    Cost: one sparse factorisation (up to 50,000 nodes) or one Krylov solve forward and one
    backward, on the CPU in float64.
    """
    return _Stationary.apply(graph, weight, prior.detach())


@once_differentiable
class _Stationary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, graph: Graph, weight: Tensor, prior: Tensor) -> Tensor:
        parts = graph.components_of(prior)
        start = degree(graph, prior)
        for mixture in _MIXTURES:
            # Rows that sum to 1 only in float32 would make the systems inconsistent.
            values = row_normalize(graph, weight.detach().double())
            if mixture > 0:
                walk = row_normalize(graph, prior.double())
                values = (1 - mixture) * values + mixture * walk
            system = SingularSystem(graph.csr, values, parts)
            measure = system.null_vector(start)
            if measure is not None:
                break
        else:
            raise StationaryError(
                "the stationary measure of the attention could not be computed; use "
                "source='paper', attention=None or a smaller learning rate"
            )
        ctx.graph, ctx.system, ctx.keep = graph, system, 1 - mixture
        measure = measure.to(weight.device)
        ctx.save_for_backward(measure)  # in float64: the backward solve is singular too
        return measure.to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        csr, parts = ctx.graph.csr, ctx.system.parts
        (pi,) = ctx.saved_tensors
        g = grad.double()
        # Solvable only without the part along pi, component by component.
        mass = parts.sum(pi)
        right = g - parts.sum(pi * g) / mass
        u = ctx.system.solve(right)
        u = u - parts.sum(pi * u) / mass
        values = ctx.keep * pi[csr.row] * u[csr.col_long]
        return None, values.to(grad.dtype), None
