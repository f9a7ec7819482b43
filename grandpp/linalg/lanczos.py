"""The Lanczos algorithm: a small tridiagonal matrix that acts like a large symmetric one.

Own code, because scipy's ``eigsh`` has neither gradients nor tensors on a device.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from grandpp.linalg import CSR, spmm


class Krylov(NamedTuple):
    r"""An orthonormal basis Q of a Krylov space and the operator on it, :math:`T = Q^\top S Q`.

    Args:
        basis: Q ``[N, k]``.
        matrix: T ``[k, k]``, tridiagonal.
    """

    basis: Tensor
    matrix: Tensor

    def ritz(self) -> tuple[Tensor, Tensor]:
        """Ritz vectors ``[N, k]`` and values ``[k]``: nearly eigenpairs of S, extreme ones first.

        No gradient passes: that of eigenvectors of nearby eigenvalues is unbounded.
        """
        values, vectors = torch.linalg.eigh(self.matrix.detach())
        return self.basis.detach() @ vectors, values

    def padded(self, steps: int) -> Tensor:
        """T ``[steps, steps]``, with zeros where the space was exhausted earlier."""
        missing = steps - self.matrix.size(0)
        return torch.nn.functional.pad(self.matrix, (0, missing, 0, missing))


def lanczos(csr: CSR, weight: Tensor, start: Tensor, steps: int) -> Krylov:
    """Run the Lanczos algorithm, differentiable by the weights.

    Source: Lanczos (1950), with full reorthogonalisation done twice, without which rounding fills
    the basis with copies (Golub and Van Loan, section 10.3).

    Args:
        csr: Pattern of the symmetric S ``[N, N]``.
        weight: Its values ``[nnz]``.
        start: Any vector ``[N]`` that is not zero.
        steps: Largest size of the basis; it ends earlier where the space is exhausted.

    Cost: k sparse products with one vector and 4 N k^2 multiply-adds.
    """
    tiny = 100 * torch.finfo(weight.dtype).eps
    q = start / start.norm()
    basis, diagonal, off = [q], [], []
    while True:
        z = spmm(csr, weight, q.unsqueeze(1)).squeeze(1)
        diagonal.append(q @ z)
        if len(basis) == min(steps, csr.num_rows):
            break
        span = torch.stack(basis, dim=1)
        for _ in range(2):
            z = z - span @ (span.t() @ z)
        norm = z.norm()
        # |S| is 1 for a normalised adjacency: nothing but rounding is left.
        if float(norm.detach()) <= tiny:
            break
        off.append(norm)
        q = z / norm
        basis.append(q)
    matrix = torch.diag(torch.stack(diagonal))
    if off:
        side = torch.diag(torch.stack(off), 1)
        matrix = matrix + side + side.t()
    return Krylov(torch.stack(basis, dim=1), matrix)


def random_start(num_nodes: int, like: Tensor) -> Tensor:
    """A normal vector ``[N]``, the same in every call, so that a graph has one basis."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_nodes, generator=generator, dtype=torch.float64).to(like)
