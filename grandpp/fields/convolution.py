"""A stack of convolutions of one kernel as right-hand side on images."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

from grandpp.fields.dense import ACTIVATIONS, check_sizes
from grandpp.fields.time_plane import as_channels_last, convolve_with_time


class ConvStackField(nn.Module):
    r"""Convolutions of stride 1, each with a plane of the time, and a smooth activation between.

    Source: Grathwohl et al. (2019), App. B.1; thesis section 5.4.2: 64-64-64-64, softplus.

    .. math:: f(t, h) = K_L * [a(\dots a(K_1 * [h, t] + b_1) \dots), t] + b_L

    Args:
        channels: Channels of the state and of its derivative.
        hidden: Channels of the hidden layers. (default: ``(64, 64, 64, 64)``)
        kernel: Odd size of all kernels. (default: ``3``)
        activation: As in :class:`~grandpp.fields.MLPField`. (default: ``"softplus"``)

    Raises:
        ValueError: For an unknown activation, a size below 1 or an even kernel.

    Shape:
        ``[B, channels, H, W]`` to the same; t a scalar or ``[B, 1, 1, 1]``.
    """

    def __init__(
        self,
        channels: int,
        hidden: tuple[int, ...] = (64, 64, 64, 64),
        *,
        kernel: int = 3,
        activation: str = "softplus",
    ) -> None:
        super().__init__()
        sizes = [channels, *hidden, channels]
        check_sizes([*sizes, kernel], activation)
        if kernel % 2 == 0:
            raise ValueError(f"expected an odd 'kernel', which keeps the size (got {kernel})")
        self.layers: Sequence[nn.Conv2d] = nn.ModuleList(  # type: ignore[assignment]
            nn.Conv2d(size + 1, following, kernel, padding=kernel // 2)
            for size, following in pairwise(sizes)
        )
        self.activation = ACTIVATIONS[activation]()

    def forward(self, t: Tensor, h: Tensor) -> Tensor:
        """Evaluate the derivative."""
        h = as_channels_last(h)
        for n, layer in enumerate(self.layers):
            h = convolve_with_time(layer, t, h if n == 0 else self.activation(h))
        return h.contiguous()
