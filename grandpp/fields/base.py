"""Linear and nonlinear diffusion bound to a graph: deterministic functions of t and y."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor

from grandpp.graph import Graph
from grandpp.linalg import CSR, Reductions, spmm


@dataclass(frozen=True, eq=False)
class LinearDiffusion:
    r"""The bound linear field.

    .. math:: y' = M y + s, \qquad M = \alpha (A - I)

    M has the pattern of A because every node has a self-loop, so one evaluation is one sparse
    product and one sum.

    Args:
        graph: The prepared graph.
        prior: Prior edge weights before normalisation, ``[nnz]``.
        weight: Row-stochastic A, ``[nnz]``.
        generator: M, ``[nnz]``.
        alpha: Depth scale, scalar.
        source: s ``[N, F]``, or ``None``.
        product: Computes M y; ``spmm`` unless PyG's message passing was asked for.
        is_walk: Whether A is the random walk of the prior weights, without attention.
        located: A source, the few nodes outside which it is 0, and its rows there; used only while
            ``source`` is that tensor. (default: ``None``)
    """

    graph: Graph
    prior: Tensor
    weight: Tensor
    generator: Tensor
    alpha: Tensor
    source: Tensor | None
    product: Callable[[Graph, Tensor, Tensor], Tensor]
    is_walk: bool
    located: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative ``[N, F]``."""
        dy = self.product(self.graph, self.generator, y)
        return dy if self.source is None else dy + self.source

    @property
    def reversible(self) -> bool:
        """Whether A is similar to a symmetric matrix: the walk on an undirected graph."""
        return self.is_walk and self.graph.is_symmetric(self.prior.detach())

    @property
    def source_nodes(self) -> Tensor | None:
        """Nodes outside which the source is 0, int64 ``[R]``; ``None`` if not known."""
        return None if self._known is None else self._known[1]

    @property
    def source_rows(self) -> Tensor | None:
        """The source at these nodes ``[R, F]``, whose gradient takes no pass over all nodes."""
        return None if self._known is None else self._known[2]

    @property
    def _known(self) -> tuple[Tensor, Tensor, Tensor] | None:
        known = self.located is not None and self.located[0] is self.source
        return self.located if known else None

    @property
    def csr(self) -> CSR:
        """Pattern of the operator."""
        return self.graph.csr

    @property
    def reductions(self) -> Reductions:
        """Reductions over the nodes of the graph."""
        return self.graph.csr.reductions

    def operator(self, y: Tensor) -> Tensor:
        """The operator A, ``[nnz]``, the same for every state."""
        return self.weight

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """The generator and, where there is one, the source."""
        return (self.generator,) if self.source is None else (self.generator, self.source)

    def bind(self, captured: Sequence[Tensor]) -> LinearDiffusion:
        """Swap the captured tensors."""
        return replace(
            self, generator=captured[0], source=captured[1] if len(captured) > 1 else None
        )


@dataclass(frozen=True, eq=False)
class NonlinearDiffusion:
    r"""The bound nonlinear field, whose operator follows the state.

    .. math:: y' = \alpha (A(y) - I) y + s

    Args:
        graph: The prepared graph.
        attend: ``(parameters, y, prior) -> A(y)`` with values ``[nnz]``.
        parameters: The parameters of the attention.
        prior: Prior edge weights ``[nnz]``.
        alpha: Depth scale, scalar.
        source: s ``[N, F]``, or ``None``.
        product: Computes M y.
        aggregate: ``(parameters, y, prior) -> A(y) y`` where kernels compute that without the
            values of A(y). (default: ``None``)
    """

    graph: Graph
    attend: Callable[[Sequence[Tensor], Tensor, Tensor], Tensor]
    parameters: tuple[Tensor, ...]
    prior: Tensor
    alpha: Tensor
    source: Tensor | None
    product: Callable[[Graph, Tensor, Tensor], Tensor]
    aggregate: Callable[[Sequence[Tensor], Tensor, Tensor], Tensor] | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative ``[N, F]``."""
        if self.aggregate is not None:
            dy = self.alpha * (self.aggregate(self.parameters, y, self.prior) - y)
        else:
            weight = self.operator(y)
            dy = self.product(self.graph, generator(self.graph, weight, self.alpha), y)
        return dy if self.source is None else dy + self.source

    @property
    def csr(self) -> CSR:
        """Pattern of the operator."""
        return self.graph.csr

    @property
    def reductions(self) -> Reductions:
        """Reductions over the nodes of the graph."""
        return self.graph.csr.reductions

    def operator(self, y: Tensor) -> Tensor:
        """The operator A(y), ``[nnz]``."""
        return self.attend(self.parameters, y, self.prior)

    @property
    def captured(self) -> tuple[Tensor, ...]:
        """Prior, alpha, the source where there is one, and the attention's parameters."""
        source = () if self.source is None else (self.source,)
        return (self.prior, self.alpha, *source, *self.parameters)

    def bind(self, captured: Sequence[Tensor]) -> NonlinearDiffusion:
        """Swap the captured tensors."""
        prior, alpha, *rest = captured
        source = None if self.source is None else rest.pop(0)
        return replace(self, prior=prior, alpha=alpha, source=source, parameters=tuple(rest))


def generator(graph: Graph, weight: Tensor, alpha: Tensor) -> Tensor:
    """Values ``[nnz]`` of alpha (A - I) from those of A."""
    return alpha * (weight - graph.is_loop.to(weight.dtype))


def csr_product(graph: Graph, weight: Tensor, y: Tensor) -> Tensor:
    """Multiply with the prepared matrix: the fast path, equal to message passing."""
    return spmm(graph.csr, weight, y)
