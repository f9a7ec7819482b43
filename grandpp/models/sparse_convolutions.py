"""Convolutions of PyG by products of sparse matrices: the same parameters, the same outputs.

PyG gathers the features of every edge and scatters their sums; a product does without an array of
edges x channels. Where single messages are watched, by an explainer, PyG's own way is taken.
Repeated edges count separately; repeated self-loops add up.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch_geometric.nn import GATConv, GCNConv, GMMConv, MessagePassing, SAGEConv

from grandpp.graph import Graph, prepare_graph, symmetric_normalize
from grandpp.linalg import CSR, edge_softmax, normalize_rows, spmm
from grandpp.models.features import SparseFeatures, map_features


class SparseGCNConv(GCNConv):
    """GCN, also on a prepared graph, also a sharded one."""

    def forward(
        self, x: Tensor, edge_index: Tensor | Graph, edge_weight: Tensor | None = None
    ) -> Tensor:
        """Map features, then average them with the weights of D^(-1/2) W D^(-1/2)."""
        if not isinstance(edge_index, Graph) and _is_explained(self):
            return super().forward(x, edge_index, edge_weight)
        if isinstance(edge_index, Graph):
            graph = edge_index
        else:
            graph = prepare_graph(edge_index, x.size(0))
        mapped = self.lin(x)
        weight = symmetric_normalize(graph, graph.prior(edge_weight, 1.0, like=_single(mapped)))
        return _product(graph.csr, weight, mapped) + self.bias


class SparseGATConv(GATConv):
    """GAT with self-loops and without edge features."""

    def forward(self, x: Tensor | SparseFeatures, edge_index: Tensor, **options: Any) -> Any:
        """Weigh mapped neighbours by the attention of each head."""
        if _is_explained(self) or any(value is not None for value in options.values()):
            return super().forward(x, edge_index, **options)
        mapped = self.lin(x).view(-1, self.heads, self.out_channels)
        csr = prepare_graph(edge_index, mapped.size(0)).csr
        source, target = (mapped * self.att_src).sum(-1), (mapped * self.att_dst).sum(-1)
        scores = F.leaky_relu(source[csr.col_long] + target[csr.row], self.negative_slope)
        weight = F.dropout(edge_softmax(csr, scores), self.dropout, self.training)
        out = _product(csr, weight, mapped)
        return (out.flatten(1) if self.concat else out.mean(1)) + self.bias


class SparseSAGEConv(SAGEConv):
    """GraphSAGE with the linear map before the mean over neighbours; the two commute.

    PyG averages the features themselves: dense, with 1433 numbers per edge on Cora.
    """

    def forward(self, x: Tensor | SparseFeatures, edge_index: Tensor) -> Tensor:
        """Add the mean of the mapped neighbours, 0 without any, to the mapped node."""
        mapped = map_features(x, self.lin_l.weight)
        own = self.lin_l.bias + map_features(x, self.lin_r.weight)
        if _is_explained(self):
            return own + self.propagate(edge_index, x=(mapped, mapped), size=None)
        graph = prepare_graph(edge_index, mapped.size(0))
        weight = normalize_rows(graph.csr, _counts(graph, _single(mapped)))
        return own + _product(graph.csr, weight, mapped)


class GaussianConv(GMMConv):
    """MoNet's layer without a root weight and with one set of Gaussians.

    Args:
        in_channels, out_channels: Sizes.
        kernels: Number of Gaussians.
        normalize: Divide the Gaussians of the edges to a node by their sum.
    """

    def __init__(self, in_channels: int, out_channels: int, kernels: int, normalize: bool) -> None:
        options = {"dim": 2, "kernel_size": kernels, "aggr": "add", "root_weight": False}
        super().__init__(in_channels, out_channels, **options)
        self.normalize = normalize

    def forward(self, x: Tensor | SparseFeatures, graph: Graph, places: Tensor) -> Tensor:
        """Sum mapped neighbours, weighed by the Gaussians of every edge's pseudo-coordinates.

        Args:
            x: Features ``[N, F]``.
            graph: The prepared graph.
            places: Pseudo-coordinates in the order of its ``csr``, ``[nnz, 2]``.
        """
        mapped = map_features(x, self.g.t()).view(-1, self.kernel_size, self.out_channels)
        distance = (places.unsqueeze(1) - self.mu).square() / (_LEAST + self.sigma.square())
        exponent = -0.5 * distance.sum(-1)
        # The softmax is the Gaussians over their sum, also where all of them underflow.
        weight = edge_softmax(graph.csr, exponent) if self.normalize else exponent.exp()
        return _product(graph.csr, weight, mapped).sum(1) + self.bias


_LEAST = 1e-15  # added to squared widths, as in PyG's layer


def _single(x: Tensor) -> Tensor:
    """An empty tensor of the type that degrees are counted in: half precision ends at 256."""
    return x.new_empty(0, dtype=torch.promote_types(x.dtype, torch.float32))


def _product(csr: CSR, weight: Tensor, x: Tensor) -> Tensor:
    """The product in the wider type of weights and features, which autocast makes differ."""
    dtype = torch.promote_types(weight.dtype, x.dtype)
    return spmm(csr, weight.to(dtype), x.to(dtype))


def _is_explained(conv: MessagePassing) -> bool:
    """Whether an explainer watches the messages, which then pass through PyG's method.

    PyG compiles the method for every class, and takes what a class inherits for the original:
    where an object of the parent class was made before, messages would pass unseen.
    """
    if not conv.explain:
        return False
    conv.propagate = MethodType(MessagePassing.propagate, conv)
    return True


def _counts(graph: Graph, like: Tensor) -> Tensor:
    """How often each entry is an edge of the user's: 1, and 0 or more for self-loops."""
    loops = torch.bincount(graph.loop_nodes, minlength=graph.num_nodes)
    ones = torch.ones(graph.is_loop.shape, dtype=like.dtype, device=like.device)
    own = loops.to(like.dtype)[graph.csr.row]
    return torch.where(graph.is_loop, own, ones)
