"""Views of a graph without labels: features, diffused features, the spectrum; their weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor

from grandpp.graph import check_edge_index
from grandpp.models.features import SparseFeatures
from grandpp.models.leading_eigenvectors import leading_eigenvectors, leading_singular_vectors
from grandpp.models.seeded_clusters import _weighted_features
from grandpp.models.view_evidence import Evidence, gather_evidence

Array = NDArray[np.float64]


class GraphViews(NamedTuple):
    """Embeddings of the nodes that see different parts of the data, in unit rows.

    Args:
        features: Principal components of the features alone ``[N, p]``.
        diffused: Those of the features diffused over the graph ``[N, p]``.
        graph: Damped leading eigenvectors of the graph ``[N, q]``.
        weights: Weight of each of the three, in this order; 0 where it is not to be trusted.
        evidence: What the weights follow from.
    """

    features: Tensor
    diffused: Tensor
    graph: Tensor
    weights: tuple[float, float, float]
    evidence: Evidence

    @property
    def trust(self) -> float:
        """In [0, 1]: 0 where neither features nor graph have any structure to cluster."""
        return self.evidence.trust

    def embedding(self) -> Tensor:
        """One embedding in unit rows ``[N, 2 p + q]`` whose inner product is the weighted mean."""
        scaled = [v * w**0.5 for v, w in zip(self[:3], self.weights, strict=True)]
        return _unit_rows(torch.cat(scaled, dim=1))


def graph_views(
    x: Tensor | SparseFeatures,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    *,
    steps: int = 2,
    components: int = 32,
    eigenvectors: int = 64,
    damping: int = 20,
) -> GraphViews:
    r"""Embed the nodes by features, by diffused features and by the graph, and weigh the three.

    .. math:: P = D^{-1} (W + I), \qquad H_k = P^k X' - \tfrac1N 1 1^\top P^k X', \qquad
        U_k \Sigma_k V_k^\top \approx H_k, \qquad
        D^{-1/2} (W + I) D^{-1/2} \approx Q \Lambda Q^\top

    where X' are the features weighted by inverse document frequency in unit rows (as in
    :func:`diffused_components`). The views are the unit rows of :math:`U_0 \Sigma_0`, of
    :math:`U_K \Sigma_K` and of :math:`Q \Lambda^{20}`. P is row-stochastic: with the symmetric
    normalisation of :func:`diffused_components` the size of a row follows the degree of its node,
    and where features are dense that hides everything else.

    The weights come from the data alone, see :func:`gather_evidence`. They are 0.3, 0.7 and 0.5
    where features and graph both have structure and connected nodes are alike; features alone
    count where connected nodes are not alike (heterophily), the graph alone where features are
    noise, constant or one-hot.

    Args:
        x: Features ``[N, F]``.
        edge_index: int64 ``[2, E]``; a directed graph is read as its undirected mean, loops are
            replaced by one of weight 1 per node.
        edge_weight: Non-negative ``[E]``. (default: ``None``)
        steps: Number K of products with P. (default: ``2``)
        components: Principal components p, cut to what the features have. (default: ``32``)
        eigenvectors: Eigenvectors q, cut to N. (default: ``64``)
        damping: Power of the eigenvalues. (default: ``20``)

    Returns:
        float64 embeddings on the device of the features.

    Raises:
        ValueError: For a negative or infinite weight, NaN among the features, or a number of
            steps, components or eigenvectors out of range.
        IndexError: For an edge that points to no node.

    Cost: about 60 sparse products with blocks of 80 columns and a few dozen with 48 on the CPU;
    neither ``[N, N]`` nor diffused features ``[N, F]`` are formed.
    """
    if steps < 0 or components < 1 or eigenvectors < 1 or damping < 0:
        raise ValueError(
            "expected steps, damping >= 0 and components, eigenvectors >= 1 "
            f"(got {steps}, {damping}, {components} and {eigenvectors})"
        )
    features = _weighted_features(x)
    if not np.isfinite(features.data).all():
        raise ValueError("expected finite features (got NaN or inf)")
    adjacency = undirected(edge_index, edge_weight, features.shape[0])
    walk, symmetric = walks(adjacency)
    plain = _principal(features, walk, 0, components)
    diffused = _principal(features, walk, steps, components)
    values, vectors = leading_eigenvectors(symmetric, eigenvectors)
    spectral = _unit(vectors * np.maximum(values, 0) ** damping)
    evidence = gather_evidence(features, adjacency, plain)
    device = x.device if isinstance(x, Tensor) else x.values.device
    first, second, third = (torch.from_numpy(v).to(device) for v in (plain, diffused, spectral))
    return GraphViews(first, second, third, evidence.weights(), evidence)


def undirected(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> sp.csr_matrix:
    """The mean of a graph and its reverse without loops, ``[N, N]``."""
    check_edge_index(edge_index, num_nodes)
    source, target = edge_index.cpu().numpy()
    weight = np.ones(source.size) if edge_weight is None else edge_weight.detach().cpu().numpy()
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError("expected finite, non-negative 'edge_weight' (got NaN, inf or < 0)")
    keep = source != target
    entries = (weight[keep].astype(np.float64), (target[keep], source[keep]))
    matrix = sp.csr_matrix(entries, shape=(num_nodes, num_nodes))
    matrix = ((matrix + matrix.T) / 2).tocsr()
    matrix.eliminate_zeros()
    return matrix


def walks(adjacency: sp.csr_matrix) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """The random walk with a loop of weight 1 per node, and its symmetric form."""
    looped = adjacency + sp.eye(adjacency.shape[0])
    degree = np.asarray(looped.sum(axis=1)).ravel()
    root = sp.diags(degree**-0.5)
    return (sp.diags(1 / degree) @ looped).tocsr(), (root @ looped @ root).tocsr()


def _principal(features: sp.csr_matrix, walk: sp.csr_matrix, steps: int, components: int) -> Array:
    n, width = features.shape
    back = walk.T.tocsr()
    mean = features.T @ _power(back, steps, np.full(n, 1 / n))

    def product(v: Array) -> Array:
        made: Array = _power(walk, steps, features @ v) - mean @ v
        return made

    def transposed(u: Array) -> Array:
        made: Array = features.T @ _power(back, steps, u) - np.outer(mean, u.sum(axis=0))
        return made

    u, sigma = leading_singular_vectors(product, transposed, (n, width), components)
    # What is left of features without any difference between nodes is rounding.
    sigma = np.where(sigma > 1e-9 * np.sqrt(n), sigma, 0.0)
    return _unit(u * sigma)


def _power(matrix: sp.csr_matrix, steps: int, v: Array) -> Array:
    for _ in range(steps):
        v = matrix @ v
    return v


def _unit(x: Array) -> Array:
    norm: Array = np.linalg.norm(x, axis=1, keepdims=True)
    # Rows of rounding alone stay zero: such a node has no direction.
    made: Array = np.where(norm > 1e-12, x / np.maximum(norm, 1e-12), 0.0)
    return made


def _unit_rows(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
