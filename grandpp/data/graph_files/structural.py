"""Features of nodes from the edges alone: log degree and a spectral embedding."""

from __future__ import annotations

import warnings

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh, lobpcg

_EXACT_NODES = 20_000  # Lanczos up to here, fixed numbers of block iterations beyond
_DENSE_NODES = 200
_ITERATIONS = 12
_LARGE_NODES, _DIMENSIONS, _LARGE_DIMENSIONS = 100_000, 32, 16


def structural_features(
    edge_index: NDArray[np.int64],
    weight: NDArray[np.float64] | None,
    num_nodes: int,
    dimensions: int | None = None,
    *,
    directed: bool = False,
    seed: int = 0,
) -> NDArray[np.float32]:
    r"""Log degree and the leading eigenvectors of the regularized normalized adjacency matrix.

    Source: `Amini et al. (2013) <https://arxiv.org/abs/1207.2340>`_ and `Zhang and Rohe (2018)
    <https://arxiv.org/abs/1806.01468>`_: with :math:`A_\tau = A + \frac{\tau}{N} 1 1^\top`, its
    degrees :math:`D_\tau = D + \tau I` and :math:`\tau` the mean degree, the eigenvectors of

    .. math:: D_\tau^{-1/2} A_\tau D_\tau^{-1/2}

    with the largest eigenvalues, but the first, which tells degrees. Regularization keeps small
    components and dangling trees from taking all the leading eigenvectors.

    Args:
        edge_index: Edges ``[2, E]``, both directions of an undirected one.
        weight: Non-negative weights ``[E]``, or ``None``.
        num_nodes: Number of nodes N.
        dimensions: Number of eigenvectors; fewer where the graph is too small. (default: ``None``,
            32, or 16 beyond 100,000 nodes)
        directed: Whether there are edges in one direction alone; the larger weight of both
            directions then counts for both. (default: ``False``)
        seed: Seed of the start vectors. (default: ``0``)

    Returns:
        ``[N, 1 + dimensions]``: log(1 + degree), and eigenvectors of length :math:`\sqrt N`. The
        largest entry of each is positive; the numbers are the same in every run on a machine.

    Cost: up to 20,000 nodes Lanczos iterations to a tolerance of 1e-6; beyond that 12 products of
    the matrix with a block of ``dimensions + 1`` vectors (LOBPCG), which need not converge. Memory
    about 10 such blocks.
    """
    if dimensions is None:
        dimensions = _DIMENSIONS if num_nodes <= _LARGE_NODES else _LARGE_DIMENSIONS
    values = np.ones(edge_index.shape[1]) if weight is None else weight
    matrix = sp.csr_matrix((values, tuple(edge_index)), shape=(num_nodes, num_nodes))
    if directed:
        matrix = matrix.maximum(matrix.T)
    degree = np.asarray(matrix.sum(axis=1)).ravel()
    found = np.zeros((num_nodes, 1 + min(dimensions, max(num_nodes - 2, 0))), dtype=np.float32)
    found[:, 0] = np.log1p(degree)
    if degree.any() and found.shape[1] > 1:
        vectors = _leading_vectors(matrix, degree, found.shape[1] - 1, seed)
        sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
        found[:, 1 : 1 + vectors.shape[1]] = vectors * (sign * np.sqrt(num_nodes))
    return found


def _leading_vectors(
    matrix: sp.csr_matrix, degree: NDArray[np.float64], count: int, seed: int
) -> NDArray[np.float64]:
    """Orthonormal eigenvectors of the largest eigenvalues but the first, by falling eigenvalue."""
    n, tau = degree.size, float(degree.mean())
    scale = 1 / np.sqrt(degree + tau)
    normalized = sp.csr_matrix(sp.diags(scale) @ matrix @ sp.diags(scale))

    def product(x: NDArray[np.float64]) -> NDArray[np.float64]:
        shared = scale @ x * (tau / n)
        return normalized @ x + (np.multiply.outer(scale, shared) if x.ndim > 1 else scale * shared)

    operator = LinearOperator((n, n), matvec=product, matmat=product, dtype=np.float64)
    start = np.random.default_rng(seed).standard_normal((n, count + 1))
    start[:, 0] = 1 / scale  # the first eigenvector
    if n <= max(_DENSE_NODES, 3 * (count + 1)):
        values, vectors = np.linalg.eigh(product(np.eye(n)))
    elif n <= _EXACT_NODES:
        try:
            values, vectors = eigsh(
                operator, k=count + 1, which="LA", v0=start.sum(axis=1), tol=1e-6, maxiter=20 * n
            )
        except ArpackNoConvergence as error:
            values, vectors = error.eigenvalues, error.eigenvectors
        except ArpackError:
            return np.zeros((n, 0))
    else:
        with warnings.catch_warnings():  # that it has not converged
            warnings.simplefilter("ignore")
            values, vectors = lobpcg(operator, start, largest=True, tol=1e-4, maxiter=_ITERATIONS)
    order = np.argsort(-values)[1 : count + 1]
    return np.asarray(vectors[:, order])
