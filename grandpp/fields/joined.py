r"""Several linear fields on copies of one graph as one linear field on their disjoint union.

.. math:: y_b' = \alpha_b (A_b - I) y_b + s_b
    = \bar\alpha (\bar A_b - I) y_b + s_b, \qquad
    \bar A_b = r_b A_b + (1 - r_b) I, \quad r_b = \alpha_b / \bar\alpha, \quad
    \bar\alpha = \max_b \alpha_b

so that copies of different speed share one rate: a slower copy only keeps more of itself. Every
:math:`\bar A_b` is row-stochastic, and random walks on undirected graphs stay reversible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from grandpp.fields.base import LinearDiffusion
from grandpp.linalg import CSR, block_diagonal, spmm


@dataclass(frozen=True, eq=False)
class JoinedDiffusion:
    """Fields that were bound to one graph, as one field on states ``[B * N, F]``.

    Args:
        fields: The B bound fields.
        csr: Block-diagonal pattern.
        weight: Values of all A-bar, ``[B * nnz]``; gradients to the rates of the fields pass
            through them.
        alpha: The common rate, scalar, without gradient.
        source: ``[B * N, F]``, or ``None``.
    """

    fields: tuple[LinearDiffusion, ...]
    csr: CSR
    weight: Tensor
    alpha: Tensor
    source: Tensor | None

    @classmethod
    def of(cls, fields: Sequence[LinearDiffusion]) -> JoinedDiffusion:
        """Join fields.

        Args:
            fields: Bound fields, with a source each or none at all.

        Raises:
            ValueError: If they are bound to several graphs, or some alone have a source.
        """
        first = fields[0]
        if any(f.graph is not first.graph for f in fields):
            raise ValueError("expected fields that are bound to one graph (got several graphs)")
        sources = [f.source for f in fields if f.source is not None]
        if len(sources) not in (0, len(fields)):
            raise ValueError(
                f"expected a source in every field or in none (got {len(sources)} of {len(fields)})"
            )
        rates = torch.stack([f.alpha for f in fields])
        top = rates.detach().amax()
        share = (rates / top.clamp(min=torch.finfo(top.dtype).tiny)).unsqueeze(1)
        loops = first.graph.is_loop.to(rates.dtype)
        weight = share * torch.stack([f.weight for f in fields]) + (1 - share) * loops
        csr = block_diagonal(first.csr, len(fields))
        source = torch.cat(sources) if sources else None
        return cls(tuple(fields), csr, weight.view(-1), top, source)

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        """Evaluate the derivative ``[B * N, F]``."""
        dy = self.alpha * (spmm(self.csr, self.weight, y) - y)
        return dy if self.source is None else dy + self.source

    @property
    def reversible(self) -> bool:
        """Whether every A-bar is similar to a symmetric matrix."""
        return all(f.reversible for f in self.fields)

    @property
    def source_nodes(self) -> Tensor | None:
        """The nodes outside of which the sources are 0, where that is known of every field."""
        size = self.fields[0].graph.num_nodes
        nodes = [(i * size, f.source_nodes) for i, f in enumerate(self.fields)]
        found = [first + n for first, n in nodes if n is not None]
        return torch.cat(found) if found and len(found) == len(nodes) else None
