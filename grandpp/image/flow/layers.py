"""Layers of a flow on images that solve nothing: squeeze, logit and standardisation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from grandpp.image.flow.bijection import Bijection, Mapped


class Squeeze(Bijection):
    """Trade blocks of 2 x 2 pixels for channels (Dinh et al. 2017); volumes stay.

    Shape:
        ``[B, C, H, W]`` to ``[B, 4C, H/2, W/2]``, for even H and W.
    """

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Squeeze."""
        if x.dim() != 4 or x.size(2) % 2 or x.size(3) % 2:
            raise ValueError(f"expected [B, C, H, W] with even H and W (got {list(x.shape)})")
        return Mapped(F.pixel_unshuffle(x, 2), x.new_zeros(len(x)))

    def inverse(self, y: Tensor) -> Tensor:
        """Undo."""
        return F.pixel_shuffle(y, 2)


class Logit(Bijection):
    r"""Spread intensities between 0 and 1 over the real line (Dinh et al. 2017, section 4.1).

    .. math:: y = \log \frac{s}{1 - s}, \quad s = \alpha + (1 - 2\alpha) x, \qquad
        \log\left|\frac{dy}{dx}\right| = \log(1 - 2\alpha) - \log s - \log(1 - s)

    Args:
        alpha: Keeps s away from 0 and 1, between 0 and 1/2. (default: ``1e-6``)

    Raises:
        ValueError: For an alpha out of range.
    """

    def __init__(self, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"expected 'alpha' between 0 and 1/2 (got {alpha})")
        self.alpha = alpha

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Spread."""
        s = self.alpha + (1 - 2 * self.alpha) * x
        # 1 - s written so that rounding cannot make it 0 at x = 1.
        rest = self.alpha + (1 - 2 * self.alpha) * (1 - x)
        slopes = math.log1p(-2 * self.alpha) - s.log() - rest.log()
        return Mapped(s.log() - rest.log(), slopes.flatten(1).sum(1))

    def inverse(self, y: Tensor) -> Tensor:
        """Undo."""
        return (y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)

    def extra_repr(self) -> str:
        """Alpha."""
        return f"alpha={self.alpha:g}"


class Standardize(Bijection):
    r"""Subtract the mean of the training data and divide by their deviation, entry by entry.

    .. math:: y = (x - \mu) / \sigma, \qquad \log\left|\det dy/dx\right| = -\sum \log \sigma

    Until :meth:`fit` the identity. Not part of FFJORD, which leaves it to the first epochs.

    Args:
        shape: Of one sample.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Take mean and deviation from samples ``[N, *shape]``.

        Raises:
            ValueError: If an entry does not vary.
        """
        deviation = x.std(0)
        if not bool((deviation > 0).all()):
            raise ValueError("expected samples that vary in every entry")
        self.mean.copy_(x.mean(0))
        self.deviation.copy_(deviation)

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Standardise."""
        change = -self.deviation.log().sum()
        return Mapped((x - self.mean) / self.deviation, change.expand(len(x)))

    def inverse(self, y: Tensor) -> Tensor:
        """Undo."""
        return self.mean + self.deviation * y
