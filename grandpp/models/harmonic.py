"""Laplace and Poisson learning: labels extended to all nodes by a linear system."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, diags
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import cg
from torch import Tensor
from torch_geometric.utils import to_scipy_sparse_matrix

from grandpp.graph import check_edge_index
from grandpp.linalg.singular import ConvergenceError
from grandpp.models.features import SparseFeatures
from grandpp.models.label_models import LabelClassifier, num_nodes

Array = NDArray[np.float64]
_TOLERANCE = 1e-10


class Laplacian(NamedTuple):
    """L = D - W of an undirected graph, its degrees and its components.

    Args:
        matrix: L ``[N, N]``, float64.
        degree: ``[N]``.
        component: Component of each node, ``[N]``.
    """

    matrix: csr_matrix
    degree: Array
    component: NDArray[np.int32]

    @classmethod
    def of(cls, edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> Laplacian:
        """Build the Laplacian from edges in both directions; loops are ignored.

        Raises:
            ValueError: If the graph is directed or a weight is negative or not finite.
            IndexError: For an edge that points to no node.
        """
        check_edge_index(edge_index, num_nodes)
        weight = None if edge_weight is None else edge_weight.detach().double()
        w = to_scipy_sparse_matrix(edge_index, weight, num_nodes).tocsr().astype(np.float64)
        if not (np.isfinite(w.data).all() and (w.data >= 0).all()):
            raise ValueError("expected finite, non-negative 'edge_weight' (got NaN, inf or < 0)")
        w = (w - diags(w.diagonal())).tocsr()
        w.eliminate_zeros()
        if abs(w - w.T).max() > 1e-6 * w.max():
            raise ValueError(
                "expected an undirected graph (got an edge whose reverse edge differs)"
            )
        degree = np.asarray(w.sum(axis=1)).ravel()
        return cls((diags(degree) - w).tocsr(), degree, connected_components(w)[1])

    def component_sum(self, values: Array) -> Array:
        """Sum values ``[N, C]`` over the component of each node; same shape."""
        total = np.zeros((int(self.component.max(initial=-1)) + 1, values.shape[1]))
        np.add.at(total, self.component, values)
        return total[self.component]


class HarmonicClassifier(LabelClassifier):
    """Base class: build the linear system, solve it in float64 on the CPU, return scores."""

    def logits(
        self, x: Tensor | SparseFeatures, edge_index: Tensor, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Return the scores of the classes; features are ignored."""
        index, rows = self.known()
        laplacian = Laplacian.of(edge_index, edge_weight, num_nodes(x))
        u = self.scores(laplacian, index.cpu().numpy(), rows.double().cpu().numpy())
        return torch.from_numpy(u).to(rows)

    def scores(self, laplacian: Laplacian, index: NDArray[np.int64], rows: Array) -> Array:
        """Solve for the scores ``[N, C]`` from the labelled nodes ``[I]`` and classes ``[I, C]``.

        Raises:
            ConvergenceError: If the solve does not converge.
        """
        raise NotImplementedError


class LaplaceLearning(HarmonicClassifier):
    r"""Laplace learning: the score of a node without a label is the mean of its neighbours'.

    Source: Zhu et al. (2003), "Semi-Supervised Learning Using Gaussian Fields and Harmonic
    Functions".

    .. math:: (L u)_i = 0 \ \text{without a label}, \qquad u_i = y_i \ \text{with one}

    Components without a label get scores of zero. With few labels u is almost constant away from
    them, and one class wins nearly everywhere; Poisson learning does not have this defect.

    Args:
        out_channels: Number C of classes.

    Note:
        One solve by conjugate gradients per class. Scores are in [0, 1] and sum to 1.
    """

    def scores(self, laplacian: Laplacian, index: NDArray[np.int64], rows: Array) -> Array:
        """Solve; see :meth:`HarmonicClassifier.scores`."""
        u = np.zeros((len(laplacian.degree), rows.shape[1]))
        u[index] = rows
        reached = np.isin(laplacian.component, laplacian.component[index])
        reached[index] = False
        free = np.flatnonzero(reached)
        u[free] = _solve(laplacian.matrix[free][:, free], -(laplacian.matrix[free] @ u))
        return u


class PoissonLearning(HarmonicClassifier):
    r"""Poisson learning: labels enter as sources and sinks instead of boundary values.

    Source: Calder et al. (2020), "Poisson Learning: Graph Based Semi-Supervised Learning at Very
    Low Label Rates", (2.4).

    .. math:: L u = \sum_{j \in I} (y_j - \bar y) \delta_j, \qquad \sum_i d_i u_i = 0,

    with the mean :math:`\bar y` of the labels: the limit T -> infinity of GRAND++ with the balanced
    source. With several components, mean and sum are those of each component.

    Args:
        out_channels: Number C of classes.

    Note:
        One solve by conjugate gradients per class.
    """

    def scores(self, laplacian: Laplacian, index: NDArray[np.int64], rows: Array) -> Array:
        """Solve; see :meth:`HarmonicClassifier.scores`."""
        y = np.zeros((len(laplacian.degree), rows.shape[1]))
        labelled = np.zeros((len(y), 1))
        y[index], labelled[index] = rows, 1
        mean = laplacian.component_sum(y) / np.maximum(laplacian.component_sum(labelled), 1)
        # Preconditioned by the degrees, search directions and solution have weighted mean zero.
        return _solve(laplacian.matrix, y - labelled * mean)


def _solve(matrix: csr_matrix, right: Array) -> Array:
    """Conjugate gradients for each column, preconditioned by the diagonal."""
    if not right.any():
        return np.zeros_like(right)
    inverse = diags(1 / np.maximum(matrix.diagonal(), 1e-300))
    columns = []
    for b in right.T:
        x, info = cg(matrix, b, rtol=_TOLERANCE, atol=0.0, M=inverse)
        if info != 0:
            raise ConvergenceError("conjugate gradients for the labels did not converge")
        columns.append(x)
    return np.stack(columns, axis=1)
