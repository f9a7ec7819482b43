"""The convolution of LanczosNet at short and long scales, and filters of the long ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grandpp.graph import Graph
from grandpp.linalg import spmm
from grandpp.models.features import SparseFeatures

_FILTER_CHANNELS = 128


class Scales(NamedTuple):
    """The operators of a layer.

    Args:
        graph: The graph.
        weight: Values of S ``[nnz]``, for the short scales.
        basis: Basis Q ``[N, k]``, for the long scales.
        powers: Powers for each long scale, of the eigenvalues ``[L, k]``, or, if the basis does not
            consist of eigenvectors, of the operator on the basis ``[L, k, k]``.
    """

    graph: Graph
    weight: Tensor
    basis: Tensor
    powers: Tensor


class RitzFilter(nn.Module):
    """Learned functions of the powers of a Ritz value, one for each long scale.

    Args:
        scales: Number L of long scales.
    """

    def __init__(self, scales: int) -> None:
        super().__init__()
        self.net = _perceptron(scales, scales)

    def forward(self, powers: Tensor, z: Tensor) -> Tensor:
        """Filter ``z`` ``[L, k, F]`` by functions of ``powers`` ``[L, k]``, and sum: ``[k, F]``."""
        return (self.net(powers.t()).t().unsqueeze(-1) * z).sum(0)


class MatrixFilter(nn.Module):
    """Learned symmetric functions of the powers of T, one for each long scale.

    Args:
        scales: Number L of long scales.
        steps: Size of T; smaller ones are padded with zeros.
    """

    def __init__(self, scales: int, steps: int) -> None:
        super().__init__()
        self.nets = nn.ModuleList(_perceptron(steps**2, steps**2) for _ in range(scales))

    def forward(self, powers: Tensor, z: Tensor) -> Tensor:
        """Filter ``z`` ``[L, k, F]`` by functions of ``powers`` ``[L, K, K]``: ``[k, F]``."""
        k, steps = z.size(1), powers.size(1)
        rows = [net(p.reshape(-1)) for net, p in zip(self.nets, powers, strict=True)]
        f = torch.stack(rows).view(-1, steps, steps)
        f = (f + f.transpose(1, 2))[:, :k, :k] / 2
        return (f @ z).sum(0)


class LanczosLayer(nn.Module):
    r"""One convolution at short and long scales.

    .. math:: y = \sum_{p \in \text{short}} S^p x W_p
        + \sum_{l \in \text{long}} Q f_l(T^{1}, T^{2}, \dots) Q^\top x W_l + b

    The maps W are applied before the products with S, which the short scales share by Horner's
    rule: a layer costs as many products as its largest short scale, with ``out_channels`` columns.

    Args:
        encoder: Map from features to ``[N, (len(short) + len(long)) * out_channels]``.
        filter: :class:`RitzFilter` or :class:`MatrixFilter`.
        short: Powers of S, ascending.
        out_channels: Size of the output.
    """

    def __init__(
        self, encoder: nn.Module, filter: nn.Module, short: Sequence[int], out_channels: int
    ) -> None:
        super().__init__()
        self.encoder, self.filter, self.short = encoder, filter, tuple(short)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor | SparseFeatures, scales: Scales) -> Tensor:
        """Convolve features: ``[N, out_channels]``."""
        parts = self.encoder(x).unflatten(1, (-1, self.bias.numel())).unbind(1)
        near, far = parts[: len(self.short)], torch.stack(parts[len(self.short) :])
        y = torch.zeros_like(far[0])
        for i in reversed(range(len(near))):
            y = y + near[i]
            for _ in range(self.short[i] - (self.short[i - 1] if i > 0 else 0)):
                y = spmm(scales.graph.csr, scales.weight, y)
        z = self.filter(scales.powers, scales.basis.t() @ far)
        return y + scales.basis @ z + self.bias


def _perceptron(inputs: int, outputs: int) -> nn.Sequential:
    # Without biases the filter of a vanished power is zero: components that long diffusion damps
    # stay damped, and the fast part of the spectrum cannot be used to memorise training nodes.
    return nn.Sequential(
        nn.Linear(inputs, _FILTER_CHANNELS, bias=False),
        nn.ReLU(),
        nn.Linear(_FILTER_CHANNELS, outputs, bias=False),
    )
