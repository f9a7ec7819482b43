"""Whether features and graph have structure, and whether connected nodes are alike: no labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.linalg import eigsh

Array = NDArray[np.float64]

_SAMPLE = 1000  # nodes, and twice as many features, on which noise is told from structure
_DRAWS = 3
_PRODUCTS = 40
_DENSE = 100  # up to this many rows all eigenvalues are as cheap as the largest


class Evidence(NamedTuple):
    """What the data say about the views.

    Args:
        features: Leading singular value of the features over the largest of features whose
            columns are permuted independently (Horn's parallel analysis); about 1 for noise.
        graph: Second eigenvalue of the regularised normalised adjacency over that of random
            graphs with the same degrees; about 1 for a graph without communities.
        alike: Mean cosine of connected nodes by features above that of unconnected ones, over the
            largest possible, minus two standard errors; negative under heterophily.
    """

    features: float
    graph: float
    alike: float

    @property
    def features_count(self) -> float:
        """Whether features have structure, in [0, 1]."""
        return _ramp(self.features, 1.05, 1.2)

    @property
    def graph_counts(self) -> float:
        """Whether the graph has communities, in [0, 1]."""
        return _ramp(self.graph, 1.03, 1.1)

    @property
    def agreement(self) -> float:
        """Whether connected nodes are alike, in [0, 1]."""
        return _ramp(self.alike, 0.0, 0.05)

    @property
    def trust(self) -> float:
        """Whether there is any structure, in [0, 1]; halved where the two contradict each other."""
        features, graph = self.features_count, self.graph_counts
        return max(features, graph) * (1 - 0.5 * min(features, graph) * (1 - self.agreement))

    def weights(self) -> tuple[float, float, float]:
        """Weights of features, diffused features and graph."""
        features, graph = self.features_count, self.graph_counts
        both = features * self.agreement
        return features - 0.7 * both, 0.7 * both, graph * (1 - features) + 0.5 * graph * both


def gather_evidence(features: sp.csr_matrix, adjacency: sp.csr_matrix, plain: Array) -> Evidence:
    """Compare features and graph with what chance makes of them.

    Args:
        features: ``[N, F]``, rows of norm 1.
        adjacency: Symmetric, without loops.
        plain: Principal components of the features in unit rows ``[N, p]``.

    Cost: singular values of four matrices of at most 1000 x 2000, and 160 sparse products with
    blocks of four columns.
    """
    rng = np.random.default_rng(0)
    return Evidence(
        _features_over_noise(features, rng),
        _graph_over_noise(adjacency, rng),
        _alike(adjacency, plain),
    )


def _features_over_noise(features: sp.csr_matrix, rng: np.random.Generator) -> float:
    n, width = features.shape
    if width == 0:
        return 0.0
    rows = rng.choice(n, min(n, _SAMPLE), replace=False)
    part = features[rows]
    filled = np.asarray((part != 0).sum(axis=0)).ravel()
    columns = np.argsort(-filled, kind="stable")[: 2 * _SAMPLE]
    block = part[:, columns].toarray()
    block = block - block.mean(axis=0)
    found = _largest(block)
    if found < 1e-9 * np.sqrt(n):
        return 0.0
    noise = max(_largest(rng.permuted(block, axis=0)) for _ in range(_DRAWS))
    return found / noise


def _largest(block: Array) -> float:
    gram = block @ block.T if block.shape[0] < block.shape[1] else block.T @ block
    if len(gram) > _DENSE and gram.any():
        value = eigsh(gram, 1, v0=np.linspace(1, 2, len(gram)), return_eigenvectors=False)[0]
    else:
        value = np.linalg.eigvalsh(gram)[-1]
    return float(np.sqrt(max(value, 0.0)))


def _graph_over_noise(adjacency: sp.csr_matrix, rng: np.random.Generator) -> float:
    if adjacency.nnz == 0:
        return 0.0
    found = _second_eigenvalue(adjacency, rng)
    upper = sp.triu(adjacency).tocoo()
    noise = 0.0
    for _ in range(_DRAWS):
        ends = rng.permutation(np.concatenate([upper.row, upper.col])).reshape(2, -1)
        weight = rng.permutation(upper.data)
        drawn = sp.csr_matrix((weight, (ends[0], ends[1])), shape=adjacency.shape)
        noise = max(noise, _second_eigenvalue((drawn + drawn.T).tocsr(), rng))
    # Random graphs of a handful of nodes may have no second eigenvalue above 0.
    return max(found, 0.0) / max(noise, 1e-2)


def _second_eigenvalue(adjacency: sp.csr_matrix, rng: np.random.Generator) -> float:
    """Of D^-1/2 A D^-1/2 with the mean degree added to D, which keeps small components small."""
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    root = (degree + degree.mean()) ** -0.5
    step = sp.diags(root) @ adjacency @ sp.diags(root)
    n = len(degree)
    basis = np.linalg.qr(rng.standard_normal((n, min(4, n))))[0]
    for _ in range(_PRODUCTS):
        basis = np.linalg.qr((step @ basis + basis) / 2)[0]  # the lazy walk: no negative ones
    return float(np.sort(np.linalg.eigvalsh(basis.T @ (step @ basis)))[-2:][0])


def _alike(adjacency: sp.csr_matrix, plain: Array) -> float:
    weight = float(adjacency.sum())
    if weight == 0:
        return 0.0
    degree = np.asarray(adjacency.sum(axis=1)).ravel()
    own = float(degree @ (plain**2).sum(axis=1)) / weight
    mean = float(np.linalg.norm(degree @ plain / weight) ** 2)
    connected = float((plain * (adjacency @ plain)).sum()) / weight
    # Cosines of unrelated unit vectors in p dimensions deviate by p^-1/2 or more.
    spread = np.linalg.norm(plain.T @ plain) / len(plain)
    error = 2 * spread * np.sqrt(2 / adjacency.nnz)
    if own - mean < 1e-9:
        return 0.0
    return float(np.clip((connected - mean - error) / (own - mean), -1, 1))


def _ramp(value: float, low: float, high: float) -> float:
    return float(np.clip((value - low) / (high - low), 0, 1))
