"""Seeded clustering of diffused features: a class for every node from a few labelled nodes.

Own code, because scikit-learn's k-means has neither fixed members nor cosine distance.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch import Tensor

from grandpp.graph import check_edge_index
from grandpp.models.base import UNKNOWN
from grandpp.models.features import SparseFeatures, is_csr


class Clusters(NamedTuple):
    """A class and a confidence for every node.

    Args:
        score: Cosine of each node with the centre of each class ``[N, C]``; rows of the identity
            at labelled nodes.
        trust: How far the clusters are to be believed at all, in [0, 1]. (default: ``1.0``)
    """

    score: Tensor
    trust: float = 1.0

    @property
    def label(self) -> Tensor:
        """The class with the nearest centre, int64 ``[N]``; labelled nodes keep their label."""
        return self.score.argmax(dim=1)

    @property
    def confidence(self) -> Tensor:
        """Margin of that class over the next, clipped to [0, 1]: ``[N]``; 1 at labelled nodes."""
        best = self.score.topk(min(2, self.score.size(1)), dim=1).values
        return (best[:, 0] - best[:, -1]).clamp(0, 1)


def diffused_components(
    x: Tensor | SparseFeatures,
    edge_index: Tensor,
    edge_weight: Tensor | None = None,
    *,
    steps: int = 2,
    components: int = 16,
) -> Tensor:
    r"""Principal components of diffused features, normalised to one unit vector per node.

    .. math:: H = \big(D^{-1/2} (W + I) D^{-1/2}\big)^K X', \qquad
        U \Sigma V^\top \approx H - \tfrac1N 1 1^\top H

    where X' are the features weighted by inverse document frequency,
    :math:`\log \tfrac{1 + N}{1 + \mathrm{df}} + 1` (1 for features without zeros), with rows
    normalised to unit length; the result is U Sigma with rows of unit length. Diffusion removes
    differences between neighbours, and the restriction to leading components removes noise in the
    features.

    Args:
        x: Features ``[N, F]``.
        edge_index: int64 ``[2, E]``, used as it is, without added reverse edges; loops are
            replaced by one of weight 1 per node.
        edge_weight: Non-negative ``[E]``. (default: ``None``)
        steps: Number K of products. (default: ``2``)
        components: Size of the result, less if nodes or features are fewer. (default: ``16``)

    Returns:
        float64 ``[N, components]`` on the device of the features.

    Raises:
        ValueError: For ``steps`` or ``components`` out of range, or fewer than three nodes.

    Cost: a few dozen products with vectors (Lanczos on the CPU); H is not computed.
    """
    if steps < 0 or components < 1:
        raise ValueError(f"expected steps >= 0 and components >= 1 (got {steps} and {components})")
    features = _weighted_features(x)
    n, width = features.shape
    if min(n, width) < 3:
        raise ValueError(f"expected at least 3 nodes and 3 features (got {n} and {width})")
    check_edge_index(edge_index, n)
    step = _symmetric_operator(edge_index, edge_weight, n)
    mean = features.T @ _power(step.T, steps, np.full(n, 1 / n))
    operator = LinearOperator(
        (n, width),
        dtype=np.float64,
        matvec=lambda v: _power(step, steps, features @ v.ravel()) - mean @ v.ravel(),
        rmatvec=lambda u: features.T @ _power(step.T, steps, u.ravel()) - mean * u.sum(),
    )
    start = np.random.RandomState(0).standard_normal(
        min(n, width)
    )  # fixed, so that the result is reproducible
    u, sigma, _ = svds(operator, k=min(components, n - 1, width - 1), v0=start)
    device = x.device if isinstance(x, Tensor) else x.values.device
    return _unit_rows(torch.from_numpy(np.ascontiguousarray(u * sigma))).to(device)


def seeded_clusters(
    embedding: Tensor,
    labelled: Tensor,
    label: Tensor,
    num_classes: int,
    *,
    concentration: float = 10.0,
    iterations: int = 5,
) -> Clusters:
    r"""Spherical k-means with soft memberships, initialised and constrained by labelled nodes.

    Expectation-maximisation of a mixture of von Mises-Fisher distributions (Banerjee et al.,
    JMLR 2005) with equal weights and one fixed concentration, seeded as in Basu et al. (ICML
    2002): labelled nodes belong to their class throughout.

    .. math:: r_{ic} \propto \exp(\kappa \langle e_i, m_c \rangle), \qquad
        m_c = \sum_i r_{ic} e_i \Big/ \Big\| \sum_i r_{ic} e_i \Big\|

    Args:
        embedding: Unit rows ``[N, p]``, see :func:`diffused_components`.
        labelled: Labelled nodes, int64 ``[I]`` or bool ``[N]``.
        label: Classes ``[N]``, used at the labelled nodes only; nodes of class -1 (unknown) do not
            count as labelled.
        num_classes: Number C of classes.
        concentration: kappa. (default: ``10.0``)
        iterations: Rounds of expectation-maximisation; with many rounds the clusters follow the
            features more than the labels. (default: ``5``)

    Raises:
        ValueError: If a class has no labelled node.

    Cost: ``iterations`` products of sizes [N, p] and [p, C].

    Example:
        >>> points = torch.tensor([[3.0, 1.0], [2.0, 1.0], [1.0, 3.0], [1.0, 2.0]])
        >>> embedding = torch.nn.functional.normalize(points)
        >>> seeds, labels = torch.tensor([0, 2]), torch.tensor([0, -1, 1, -1])
        >>> found = seeded_clusters(embedding, seeds, labels, 2)
        >>> found.label.tolist()
        [0, 0, 1, 1]
    """
    nodes, rows = check_labelled(labelled, label, num_classes)
    known = rows.to(embedding)
    member = embedding.new_zeros(embedding.size(0), num_classes)
    member[nodes] = known
    similarity = member
    for _ in range(iterations):
        similarity = embedding @ _unit_rows(member.t() @ embedding).t()
        member = torch.softmax(concentration * similarity, dim=1)
        member[nodes] = known
    return Clusters(similarity.index_copy(0, nodes, known))


def check_labelled(labelled: Tensor, label: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Labelled nodes with a known class ``[I]``, and their rows of the identity ``[I, C]``.

    Raises:
        ValueError: If a class has no labelled node, or a label is out of range.
    """
    nodes = labelled.nonzero().view(-1) if labelled.dtype == torch.bool else labelled
    nodes = nodes[label[nodes] != UNKNOWN]
    counts = torch.bincount(label[nodes], minlength=num_classes)
    if counts.numel() > num_classes or not bool((counts > 0).all()):
        raise ValueError(
            f"expected a labelled node of each of the {num_classes} classes (got counts "
            f"{counts.tolist()})"
        )
    return nodes, torch.nn.functional.one_hot(label[nodes], num_classes)


def _weighted_features(x: Tensor | SparseFeatures) -> sp.csr_matrix:
    """Weight by inverse document frequency and normalise rows."""
    if isinstance(x, Tensor) and is_csr(x):
        x = SparseFeatures.from_csr(x)
    if isinstance(x, Tensor):
        matrix = sp.csr_matrix(x.detach().cpu().double().numpy())
    else:
        entries = (x.values.detach().cpu().double().numpy(), x.csr.col_long.cpu().numpy())
        shape = (x.csr.num_rows, x.csr.num_cols)
        matrix = sp.csr_matrix((*entries, x.csr.rowptr.cpu().numpy()), shape=shape)
        matrix.eliminate_zeros()  # only in the copy
    frequency = np.asarray((matrix != 0).sum(axis=0)).ravel()
    matrix = matrix @ sp.diags(np.log((1 + matrix.shape[0]) / (1 + frequency)) + 1)
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sp.diags(1 / np.maximum(norm, 1e-12)) @ matrix


def _symmetric_operator(
    edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int
) -> sp.csr_matrix:
    source, target = edge_index.cpu().numpy()
    weight = np.ones(source.size) if edge_weight is None else edge_weight.detach().cpu().numpy()
    keep = source != target
    entries = (weight[keep].astype(np.float64), (target[keep], source[keep]))
    matrix = sp.csr_matrix(entries, shape=(num_nodes, num_nodes)) + sp.eye(num_nodes)
    row, col = (np.asarray(matrix.sum(axis=axis)).ravel() for axis in (1, 0))
    return (sp.diags(row**-0.5) @ matrix @ sp.diags(col**-0.5)).tocsr()


def _power(matrix: sp.csr_matrix, steps: int, v: NDArray[np.float64]) -> NDArray[np.float64]:
    for _ in range(steps):
        v = matrix @ v
    return v


def _unit_rows(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp(min=1e-12)
