"""What stands before the first layer: dropout and linear maps that skip the zeros of features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.models.base import SparseFeatures
from grandpp.ops import spmm


class FeatureEncoder(nn.Module):
    """Dropout and a linear map, for dense or sparse features.

    Dropping an entry that is zero changes nothing, so sparse features draw one random number per
    entry that is not, and the product skips the zeros: the same distribution at a fraction of the
    cost (1.3 % of Cora's entries are not zero).

    Args:
        in_channels: Size of the features.
        out_channels: Size of the encoded features.
        dropout: Probability of dropping an entry. (default: ``0.0``)
        bias: Whether the map has a bias. (default: ``True``)

    Shapes:
        - **input:** ``[N, in_channels]``, dense or :class:`SparseFeatures`
        - **output:** ``[N, out_channels]``
    """

    def __init__(
        self, in_channels: int, out_channels: int, dropout: float = 0.0, bias: bool = True
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear = nn.Linear(in_channels, out_channels, bias)

    def reset_parameters(self) -> None:
        """Initialise the linear map anew."""
        self.linear.reset_parameters()

    def forward(self, x: Tensor | SparseFeatures) -> Tensor:
        """Encode the features."""
        if isinstance(x, Tensor):
            return self.linear(F.dropout(x, self.dropout, self.training))
        values = F.dropout(x.values, self.dropout, self.training)
        y = spmm(x.csr, values, self.linear.weight.t())
        return y if self.linear.bias is None else y + self.linear.bias


def drop_features(x: Tensor | SparseFeatures, dropout: float, training: bool) -> Tensor:
    """Return features after dropout as PyG's layers take them, sparse ones as ``torch.sparse_csr``.

    Args:
        x: Features ``[N, F]``.
        dropout: Probability of dropping an entry.
        training: Whether to drop any.
    """
    if isinstance(x, Tensor):
        return F.dropout(x, dropout, training)
    return x.csr.matrix(F.dropout(x.values, dropout, training))
