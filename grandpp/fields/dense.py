"""Fields on vectors and images, for equations of motion without a graph."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from grandpp.fields.time_plane import as_channels_last, convolve_with_time

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "elu": nn.ELU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}
"""Activations of a field; all but ReLU are smooth, which adaptive solvers reward."""


class MLPField(nn.Module):
    r"""A perceptron as right-hand side on vectors.

    Source: HBNODE paper App. E.2 (three layers, ELU, no time) and E.4 (ReLU).

    .. math:: f(t, h) = W_L \, a(\dots a(W_1 [h, t] + b_1) \dots) + b_L

    Args:
        channels: Size n of the derivative.
        hidden: Sizes of the hidden layers; empty for one linear layer.
        in_channels: Size of the input, 2n for SONODE. (default: ``None``, ``channels``)
        activation: One of ``"elu"``, ``"relu"``, ``"tanh"``, ``"softplus"``. (default: ``"elu"``)
        time: Whether the first layer gets the time as one more input. (default: ``False``)

    Raises:
        ValueError: For an unknown activation or a size below 1.

    Shape:
        ``[..., in_channels]`` to ``[..., channels]``; t a scalar or ``[B, 1, ...]``.
    """

    def __init__(
        self,
        channels: int,
        hidden: tuple[int, ...] = (),
        *,
        in_channels: int | None = None,
        activation: str = "elu",
        time: bool = False,
    ) -> None:
        super().__init__()
        sizes = [channels if in_channels is None else in_channels, *hidden, channels]
        check_sizes(sizes, activation)
        self.time = time
        sizes[0] += time
        layers: list[nn.Module] = []
        for size, following in pairwise(sizes):
            layers += [nn.Linear(size, following), ACTIVATIONS[activation]()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        if self.time:
            h = torch.cat([h, t.to(h.dtype).expand(*h.shape[:-1], 1)], dim=-1)
        out: Tensor = self.layers(h)
        return out


class ConvField(nn.Module):
    r"""Three convolutions as right-hand side on images, each with a plane of the time.

    Source: HBNODE paper App. E.3: kernels 1, 3, 1, ReLU, "tpad" before every convolution.

    Args:
        channels: Channels n of the derivative.
        hidden: Channels of the two hidden layers.
        in_channels: Channels of the input, 2n for SONODE. (default: ``None``, ``channels``)
        activation: As in :class:`MLPField`. (default: ``"relu"``)

    Raises:
        ValueError: For an unknown activation or a size below 1.

    Shape:
        ``[B, in_channels, H, W]`` to ``[B, channels, H, W]``; t a scalar or ``[B, 1, 1, 1]``.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        in_channels: int | None = None,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        first = channels if in_channels is None else in_channels
        check_sizes([first, hidden, channels], activation)
        self.inner = nn.Conv2d(first + 1, hidden, 1)
        self.middle = nn.Conv2d(hidden + 1, hidden, 3, padding=1)
        self.outer = nn.Conv2d(hidden + 1, channels, 1)
        self.activation = ACTIVATIONS[activation]()

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        h = self.activation(convolve_with_time(self.inner, t, as_channels_last(h)))
        h = self.activation(convolve_with_time(self.middle, t, h))
        return convolve_with_time(self.outer, t, h).contiguous()


class DrivenField(nn.Module):
    r"""One linear layer of the state and an input signal.

    Source: HBNODE paper App. E.1, the Silverbox test: :math:`f(t, h) = W [h, u(t)] + b`.

    Args:
        channels: Size n of the derivative.
        signal: Input u at the times 0, 1, 2, ..., at least two; linear in between, constant
            outside.
        in_channels: Size of the state, 2n for SONODE. (default: ``None``, ``channels``)

    Raises:
        ValueError: For a size below 1, or a signal of another shape.

    Shape:
        ``[..., in_channels]`` to ``[..., channels]``; t a scalar or ``[B, 1, ...]``.
    """

    signal: Tensor

    def __init__(self, channels: int, signal: Tensor, *, in_channels: int | None = None) -> None:
        super().__init__()
        first = channels if in_channels is None else in_channels
        check_sizes([first, channels], "elu")
        if signal.dim() != 1 or len(signal) < 2:
            raise ValueError(f"expected a signal [T] with T >= 2 (got {list(signal.shape)})")
        self.register_buffer("signal", signal)
        self.linear = nn.Linear(first + 1, channels)

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        u = self.input(t).to(h.dtype).expand(*h.shape[:-1], 1)
        out: Tensor = self.linear(torch.cat([h, u], dim=-1))
        return out

    def input(self, t: Tensor) -> Tensor:
        """The signal at a time."""
        last = len(self.signal) - 1
        t = t.clamp(0, last)
        # The last sample is the end of a piece, not the start of one.
        left = t.detach().floor().clamp(max=last - 1).long()
        return torch.lerp(self.signal[left], self.signal[left + 1], (t - left).to(self.signal))


def check_sizes(sizes: list[int], activation: str) -> None:
    """Raise ``ValueError`` for a size below 1 or an unknown activation."""
    if min(sizes) < 1:
        raise ValueError(f"expected positive sizes of layers (got {sizes})")
    if activation not in ACTIVATIONS:
        raise ValueError(
            f"expected 'activation' to be one of {', '.join(ACTIVATIONS)} (got '{activation}')"
        )
