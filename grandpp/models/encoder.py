"""Encoders of node features: dropout and linear maps that skip the zeros of sparse features."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import Linear

from grandpp.linalg import LOCAL, Reductions
from grandpp.models.features import SparseFeatures, is_csr, map_features, mean_features
from grandpp.models.node_dropout import NodeDropout
from grandpp.models.node_dropout import dropout as drop


class FeatureEncoder(nn.Module):
    """Dropout and a linear map, for dense or sparse features.

    For sparse features, random numbers are drawn and products computed only for non-zero entries,
    because dropping a zero changes nothing: the same distribution at a fraction of the cost (1.3 %
    of Cora's entries are non-zero).

    Args:
        in_channels: Size of the features.
        out_channels: Size of the encoded features.
        dropout: Probability of dropping an entry. (default: ``0.0``)
        bias: Whether the map has a bias. (default: ``True``)
        centred: Map the difference from the mean of the features that :meth:`fit` was given. Where
            many entries are alike at all nodes, what they have in common hides what tells nodes
            apart, and training takes long to find it. Sparse features stay sparse: the image of the
            mean is subtracted. (default: ``False``)

    Shapes:
        - **input:** ``[N, in_channels]``, dense, ``torch.sparse_csr`` or :class:`SparseFeatures`
        - **output:** ``[N, out_channels]``
    """

    centre: Tensor | None
    node_dropout: NodeDropout | None = None
    """Where dropout is drawn by node, see :func:`grandpp.models.drop_by_node`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        dropout: float = 0.0,
        bias: bool = True,
        *,
        centred: bool = False,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear = nn.Linear(in_channels, out_channels, bias)
        # Saved with the model: on another graph the same mean is subtracted.
        self.register_buffer("centre", torch.zeros(in_channels) if centred else None)

    @torch.no_grad()
    def fit(self, x: Tensor | SparseFeatures, reductions: Reductions = LOCAL) -> None:
        """Take the mean of the features as the centre, if the encoder has one.

        Args:
            x: Features ``[N, F]``.
            reductions: Sums over all processes, where each has the features of its nodes.
                (default: those of one process)
        """
        if self.centre is None:
            return
        mean = mean_features(x)
        if not reductions.is_local:
            nodes = mean.new_tensor(float(len(x) if isinstance(x, Tensor) else x.csr.num_rows))
            mean = reductions.sum(mean * nodes) / reductions.sum(nodes)
        self.centre = mean.to(self.centre)

    def reset_parameters(self) -> None:
        """Initialise the linear map anew."""
        self.linear.reset_parameters()

    def forward(self, x: Tensor | SparseFeatures) -> Tensor:
        """Encode the features."""
        dropped = drop_entries(x, self.dropout, self.training, self.node_dropout)
        encoded = map_features(dropped, self.linear.weight, self.linear.bias)
        return encoded if self.centre is None else encoded - self.linear.weight @ self.centre


class FirstLinear(Linear):
    """PyG's ``Linear`` that also takes sparse features."""

    @classmethod
    def of(cls, linear: Linear) -> FirstLinear:
        """Make a ``Linear`` of PyG accept sparse features, in place: parameters stay the same."""
        linear.__class__ = cls  # a new object would draw new initial weights
        return cast(FirstLinear, linear)

    def forward(self, x: Tensor) -> Tensor:
        """Map features ``[N, F]``, dense or ``torch.sparse_csr``."""
        return map_features(x, self.weight, self.bias)


def drop_entries(
    x: Tensor | SparseFeatures,
    dropout: float,
    training: bool,
    by_node: NodeDropout | None = None,
) -> Tensor | SparseFeatures:
    """Return features after dropout, sparse ones as :class:`SparseFeatures`.

    Sparse features draw one random number per non-zero entry: the result has the same distribution
    as for dense features, but other random numbers.

    Args:
        x: Features ``[N, F]``: dense, ``torch.sparse_csr`` or :class:`SparseFeatures`.
        dropout: Probability of dropping an entry.
        training: Whether to apply dropout.
        by_node: Draws that belong to nodes, the same for dense and sparse features.
            (default: ``None``, those of torch's generator)
    """
    if isinstance(x, Tensor) and not is_csr(x):
        return drop(x, dropout, training, by_node)
    sparse = x if isinstance(x, SparseFeatures) else SparseFeatures.from_csr(x)
    if not training or dropout == 0:
        return sparse
    if by_node is not None:
        csr = sparse.csr
        return sparse.with_values(by_node.entries(sparse.values, csr.row, csr.col_long, dropout))
    return sparse.with_values(F.dropout(sparse.values, dropout, training))


def drop_features(
    x: Tensor | SparseFeatures,
    dropout: float,
    training: bool,
    by_node: NodeDropout | None = None,
) -> Tensor:
    """:func:`drop_entries` as a tensor for PyG's layers; ``torch.sparse_csr`` if sparse."""
    dropped = drop_entries(x, dropout, training, by_node)
    if isinstance(dropped, Tensor):
        return dropped
    return dropped.matrix() if dropped.filled is None else dropped.filled.dense
