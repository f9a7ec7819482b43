"""Rewiring of graph diffusion convolution: exact by PyG, or approximate for large graphs."""

from __future__ import annotations

import math
import operator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import GDC, BaseTransform
from torch_geometric.utils import add_self_loops, coalesce
from tqdm import tqdm

from grandpp.data.edges import edges_of, replace_edges
from grandpp.data.kernels import (
    HeatKernel,
    Kernel,
    PersonalizedPageRank,
    RandomWalk,
    choose,
    largest,
)

KERNELS = ("ppr", "heat")
METHODS = ("auto", "exact", "approximate")
NORMALIZATIONS = ("sym", "col", "row")
_EXACT_NODES = 3000  # with more nodes the dense heat kernel takes longer than the approximation
_NOISE = 1e-12  # bound of rounding errors in zero entries of a dense kernel
_ASYMMETRY = 1e-6
_ROWS = 256  # rows of the kernel computed at once by each thread


class DiffusionRewiring(BaseTransform):
    r"""Connect every node with the nodes of the largest entries of a diffusion kernel.

    Source: graph diffusion convolution (Gasteiger et al., 2019, https://arxiv.org/abs/1911.05485)
    as in :class:`torch_geometric.transforms.GDC`, which computes it for ``method="exact"``.

    .. math::
        S = \alpha \sum_{k \ge 0} (1 - \alpha)^k T^k \quad \text{("ppr")} \qquad
        S = e^{-t} \sum_{k \ge 0} \frac{t^k}{k!} T^k \quad \text{("heat")}

    Rows of :math:`S` and of the transition matrix :math:`T` are sources j (``edge_index[0]``),
    columns are targets i (``edge_index[1]``). The largest entries of each column become the weights
    of the edges into i, and are normalised: with "col", the default, the weights into each node sum
    to 1, which this package calls row-stochastic.

    The approximation needs an undirected graph. With weighted degrees d (self-loops included),
    its entries are at most the exact ones, and smaller by at most

    .. math:: S_{ji} - \tilde S_{ji} \le \text{tolerance} \cdot d_j^{1 - \gamma} d_i^{\gamma},
        \qquad \gamma = 0, \tfrac12, 1 \ \text{for "col", "sym", "row"},

    before the largest are selected; see :mod:`grandpp.data.kernels`.

    Args:
        kernel: "ppr" (personalised PageRank) or "heat". (default: ``"ppr"``)
        alpha: Stopping probability of "ppr", in (0, 1); GRAND's code uses 0.05. (default: ``0.15``)
        t: Time of "heat", positive; GRAND's code uses 3. (default: ``5.0``)
        top_k: Number of edges into each node, those with the largest weights; ``None``: all.
            (default: ``64``)
        threshold: Smallest entry of S that is kept. (default: ``None``, every positive one)
        self_loop_weight: Weight of the self-loops added to every node before; 0 for none.
            (default: ``1.0``)
        normalization_in: Definition of T by the weights A: "sym" :math:`D^{-1/2} A D^{-1/2}`, "col"
            :math:`A D^{-1}` or "row" :math:`D^{-1} A`. (default: ``"sym"``)
        normalization_out: The same for the new edges, or ``None``. (default: ``"col"``)
        method: "exact" (dense), "approximate" (sparse) or "auto": exact up to 3000 nodes.
            (default: ``"auto"``)
        tolerance: Accuracy of the approximation, see above; GDC's ``eps``. (default: ``1e-4``)
        progress: Show a progress bar for the approximation. (default: ``False``)

    Shapes:
        - **output:** ``edge_index`` ``[2, E']`` sorted by source, ``edge_weight`` ``[E']`` in the
          type of ``x`` and positive, with E' <= N top_k

    Raises:
        ValueError: If an argument is out of range, a weight is negative or not finite, the graph
            has fewer than two nodes, or is directed and ``method`` is "approximate".
        IndexError: If an edge names a node that does not exist.

    Note:
        Exact: O(N^3) time and O(N^2) memory. Approximate: memory for the new edges and
        for 256 rows of the kernel per thread of torch; per row 1 / (alpha tolerance) steps over
        edges at most for "ppr" and several times as many for "heat".
    """

    def __init__(
        self,
        kernel: str = "ppr",
        *,
        alpha: float = 0.15,
        t: float = 5.0,
        top_k: int | None = 64,
        threshold: float | None = None,
        self_loop_weight: float = 1.0,
        normalization_in: str = "sym",
        normalization_out: str | None = "col",
        method: str = "auto",
        tolerance: float = 1e-4,
        progress: bool = False,
    ) -> None:
        _check_choice("kernel", kernel, KERNELS)
        _check_choice("normalization_in", normalization_in, NORMALIZATIONS)
        _check_choice("normalization_out", normalization_out, (*NORMALIZATIONS, None))
        _check_choice("method", method, METHODS)
        _check_between("alpha", alpha, 0.0, 1.0)
        _check_between("t", t, 0.0, math.inf)
        _check_between("tolerance", tolerance, 0.0, 1.0)
        if threshold is not None:
            _check_between("threshold", threshold, 0.0, math.inf)
        if not 0.0 <= self_loop_weight < math.inf:
            raise ValueError(f"expected 'self_loop_weight' >= 0 (got {self_loop_weight})")
        if top_k is not None and operator.index(top_k) < 1:
            raise ValueError(f"expected 'top_k' to be at least 1 (got {top_k})")
        self.kernel, self.alpha, self.t = kernel, alpha, t
        self.top_k, self.threshold = top_k, threshold
        self.self_loop_weight = self_loop_weight
        self.normalization_in = normalization_in
        self.normalization_out = normalization_out
        self.method, self.tolerance, self.progress = method, tolerance, progress

    def forward(self, data: Data) -> Data:
        """Return a copy of the graph with the new ``edge_index`` and ``edge_weight``."""
        edge_index, weight, n = edges_of(data)
        if n < 2:
            raise ValueError(f"expected a graph of at least 2 nodes (got {n})")
        weight = torch.ones(edge_index.size(1)) if weight is None else weight.detach()
        exact = self.method == "exact" or (self.method == "auto" and n <= _EXACT_NODES)
        entries = self._exact if exact else self._approximate
        new_index, new_weight = entries(edge_index, weight.double(), n)
        normalize = GDC().transition_matrix
        new_index, new_weight = normalize(new_index, new_weight, n, self.normalization_out)
        x = data.get("x")
        floating = isinstance(x, Tensor) and x.is_floating_point()
        dtype = x.dtype if floating else torch.get_default_dtype()
        device = edge_index.device
        return replace_edges(data, new_index.to(device), new_weight.to(device, dtype))

    def _exact(self, edge_index: Tensor, weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The largest entries of the dense kernel, by PyG."""
        gdc = GDC(self.self_loop_weight)
        weight = weight.to(edge_index.device)
        if self.self_loop_weight:
            edge_index, weight = add_self_loops(edge_index, weight, self.self_loop_weight, n)
        edge_index, weight = coalesce(edge_index, weight, n)
        edge_index, weight = gdc.transition_matrix(edge_index, weight, n, self.normalization_in)
        matrix = gdc.diffusion_matrix_exact(edge_index, weight, n, **self._kernel().of_gdc())
        least = max(_NOISE, self.threshold or 0.0)
        if self.top_k is None:
            return coalesce(*gdc.sparsify_dense(matrix, "threshold", eps=least), n)
        edge_index, weight = gdc.sparsify_dense(matrix, "topk", k=self.top_k, dim=0)
        kept = weight >= least
        return coalesce(edge_index[:, kept], weight[kept], n)

    def _approximate(self, edge_index: Tensor, weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """The largest entries of the kernel, computed by blocks of columns."""
        walk = RandomWalk.on(self._adjacency(edge_index, weight, n))
        # T, and each of its powers, is the transposed walk scaled by diagonal matrices.
        gamma = {"col": 0.0, "sym": 0.5, "row": 1.0}[self.normalization_in]
        scale = np.where(walk.degree > 0, walk.degree, 1.0) ** gamma

        def block(start: int) -> sp.csr_array:
            nodes = np.arange(start, min(start + _ROWS, n))
            rows = self._kernel().rows(walk, nodes, self.tolerance)
            rows.data *= np.repeat(scale[nodes], np.diff(rows.indptr)) / scale[rows.indices]
            if self.threshold is not None:
                rows = choose(rows, rows.data >= self.threshold)
            return rows if self.top_k is None else largest(rows, self.top_k)

        starts = range(0, n, _ROWS)
        pool = ThreadPoolExecutor(torch.get_num_threads())  # scipy's products release the GIL
        try:
            blocks = list(tqdm(pool.map(block, starts), total=len(starts), desc="rewiring",
                unit="block", disable=not self.progress))  # fmt: skip
        finally:
            pool.shutdown(cancel_futures=True)
        by_source = sp.coo_array(sp.csc_array(sp.vstack(blocks)))
        target, source = (torch.from_numpy(ends).long() for ends in by_source.coords)
        return torch.stack([source, target]), torch.from_numpy(by_source.data)

    def _adjacency(self, edge_index: Tensor, weight: Tensor, n: int) -> sp.csr_array:
        ends = tuple(edge_index.cpu().numpy())
        adjacency = sp.csr_array(sp.coo_array((weight.cpu().numpy(), ends), shape=(n, n)))
        difference = abs(adjacency - adjacency.T)
        if difference.nnz and difference.max() > _ASYMMETRY * adjacency.max():
            raise ValueError(
                "expected an undirected graph for method='approximate' (got edges without an "
                "equal one back); method='exact' takes directed graphs"
            )
        loops = self.self_loop_weight * sp.eye_array(n, format="csr")
        return sp.csr_array(adjacency + loops)

    def _kernel(self) -> Kernel:
        return PersonalizedPageRank(self.alpha) if self.kernel == "ppr" else HeatKernel(self.t)

    def __repr__(self) -> str:
        parameter = f"alpha={self.alpha}" if self.kernel == "ppr" else f"t={self.t}"
        return (
            f"{type(self).__name__}({self.kernel}, {parameter}, top_k={self.top_k}, "
            f"threshold={self.threshold}, self_loop_weight={self.self_loop_weight}, "
            f"normalization={self.normalization_in}->{self.normalization_out}, "
            f"method={self.method}, tolerance={self.tolerance})"
        )


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        names = ", ".join(str(choice) for choice in choices)
        raise ValueError(f"expected {name!r} to be one of {names} (got {value!r})")


def _check_between(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise ValueError(f"expected {name!r} between {low:g} and {high:g} (got {value})")
