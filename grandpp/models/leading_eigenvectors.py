"""Leading eigenvectors and singular vectors of large sparse operators, by blocks of products."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Beyond it products are bound by memory: single precision takes half the time and space, and
# eigenvectors that are damped need no more.
_SINGLE_BEYOND = 200_000


def leading_singular_vectors(
    product: Callable[[Array], Array],
    transposed: Callable[[Array], Array],
    shape: tuple[int, int],
    number: int,
    *,
    rounds: int = 4,
) -> tuple[Array, Array]:
    """Leading left singular vectors and singular values, by randomised subspace iteration.

    Source: Halko, Martinsson, Tropp (2011), "Finding Structure with Randomness", algorithm 4.4.

    Args:
        product: The operator A applied to blocks ``[F, b]``.
        transposed: Its transpose applied to blocks ``[N, b]``.
        shape: N and F.
        number: How many; cut to the smaller of N and F.
        rounds: Rounds of subspace iteration. (default: ``4``)

    Returns:
        ``[N, k]`` and ``[k]`` in descending order; the same in every call.

    Cost: 2 + 2 ``rounds`` products with blocks of ``number`` + 16 columns.
    """
    number = min(number, *shape)
    block = min(number + 16, *shape)
    basis = _orthonormal(product(_random(shape[1], block)))
    for _ in range(rounds):
        basis = _orthonormal(product(_orthonormal(transposed(basis))))
    u, sigma, _ = np.linalg.svd(transposed(basis).T, full_matrices=False)
    return (basis @ u)[:, :number], sigma[:number]


def leading_eigenvectors(
    matrix: sp.csr_matrix, number: int, *, degree: int = 12, rounds: int = 4
) -> tuple[Array, Array]:
    """Largest eigenvalues of a symmetric matrix with spectrum in [-1, 1], and their eigenvectors.

    Source: Zhou, Saad et al. (2006), "Self-consistent-field calculations using Chebyshev-filtered
    subspace iteration". Eigenvectors of eigenvalues near the smallest wanted one are approximate,
    which does not matter where they are damped.

    Args:
        matrix: ``[N, N]``.
        number: How many; cut to N.
        degree: Degree of the filter. (default: ``12``)
        rounds: Rounds of filter and Rayleigh-Ritz projection. (default: ``4``)

    Returns:
        Values ``[k]`` in descending order and vectors ``[N, k]``; the same in every call.

    Cost: ``rounds`` (``degree`` + 1) sparse products with blocks of ``number`` + 16 columns, in
    single precision beyond 200,000 nodes; memory of about five such blocks.
    """
    n = matrix.shape[0]
    number = min(number, n)
    block = min(number + 16, n)
    kind = np.float32 if n > _SINGLE_BEYOND else np.float64
    matrix = matrix.astype(kind, copy=False)
    basis = _orthonormal(_random(n, block).astype(kind, copy=False))
    values = np.zeros(block)
    bound = 0.0  # the filter damps what is in [-1, bound]
    for _ in range(rounds):
        basis = _orthonormal(_chebyshev(matrix, basis, degree, bound))
        values, turn = np.linalg.eigh(basis.T @ (matrix @ basis))
        values, basis = values[::-1], basis @ turn[:, ::-1]
        bound = float(np.clip(values[-1], -0.5, 0.999))
    return values[:number].astype(np.float64), basis[:, :number].astype(np.float64)


def _chebyshev(matrix: sp.csr_matrix, basis: Array, degree: int, bound: float) -> Array:
    """The Chebyshev polynomial of [-1, bound], 1 at eigenvalue 1, so that nothing overflows."""
    centre, half = (bound - 1) / 2, (bound + 1) / 2
    sigma = half / (1 - centre)
    first = sigma
    before, now = basis.copy(), (matrix @ basis - centre * basis) * (first / half)
    for _ in range(degree - 1):
        following = 1 / (2 / first - sigma)
        # In place, as a block of a large graph is gigabytes.
        made = matrix @ now
        made -= centre * now
        made *= 2 * following / half
        before *= sigma * following
        made -= before
        before, now = now, made
        sigma = following
    return now


def _random(rows: int, columns: int) -> Array:
    return np.random.default_rng(0).standard_normal((rows, columns))


def _orthonormal(block: Array) -> Array:
    # NumPy's takes ten times as long for a million rows: it copies columns, and transposes.
    made: Array = torch.linalg.qr(torch.from_numpy(np.ascontiguousarray(block)))[0].numpy()
    return made
