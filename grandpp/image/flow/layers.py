"""Layers of an image flow in closed form: squeeze, logit and standardisation."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from grandpp.image.flow.bijection import Bijection, Mapped


class Squeeze(Bijection):
    """Turn blocks of 2 x 2 pixels into channels (Dinh et al. 2017); preserves volume.

    Shape:
        ``[B, C, H, W]`` to ``[B, 4C, H/2, W/2]``, for even H and W.
    """

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Turn blocks of pixels into channels."""
        if x.dim() != 4 or x.size(2) % 2 or x.size(3) % 2:
            raise ValueError(f"expected [B, C, H, W] with even H and W (got {list(x.shape)})")
        return Mapped(F.pixel_unshuffle(x, 2), x.new_zeros(len(x)))

    def inverse(self, y: Tensor) -> Tensor:
        """Invert :meth:`forward`."""
        return F.pixel_shuffle(y, 2)


class Logit(Bijection):
    r"""Map intensities in [0, 1] to the real line by the logit (Dinh et al. 2017, section 4.1).

    .. math:: y = \log \frac{s}{1 - s}, \quad s = \alpha + (1 - 2\alpha) x, \qquad
        \log\left|\frac{dy}{dx}\right| = \log(1 - 2\alpha) - \log s - \log(1 - s)

    Args:
        alpha: Distance of s from 0 and 1, between 0 and 1/2. (default: ``1e-6``)

    Raises:
        ValueError: For an alpha out of range.
    """

    def __init__(self, alpha: float = 1e-6) -> None:
        super().__init__()
        if not 0 < alpha < 0.5:
            raise ValueError(f"expected 'alpha' between 0 and 1/2 (got {alpha})")
        self.alpha = alpha

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Apply the logit."""
        s = self.alpha + (1 - 2 * self.alpha) * x
        # 1 - s in a form that rounding does not turn into 0 at x = 1.
        rest = self.alpha + (1 - 2 * self.alpha) * (1 - x)
        slopes = math.log1p(-2 * self.alpha) - s.log() - rest.log()
        return Mapped(s.log() - rest.log(), slopes.flatten(1).sum(1))

    def inverse(self, y: Tensor) -> Tensor:
        """Invert :meth:`forward`."""
        return (y.sigmoid() - self.alpha) / (1 - 2 * self.alpha)

    def extra_repr(self) -> str:
        """Alpha."""
        return f"alpha={self.alpha:g}"


class Standardize(Bijection):
    r"""Subtract the mean of the training data and divide by their standard deviation, entrywise.

    .. math:: y = (x - \mu) / \sigma, \qquad \log\left|\det dy/dx\right| = -\sum \log \sigma

    The identity before :meth:`fit`. FFJORD has no such layer and learns the scale instead.

    Args:
        shape: Shape of a sample.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("deviation", torch.ones(shape))

    @torch.no_grad()
    def fit(self, x: Tensor) -> None:
        """Compute mean and standard deviation of samples ``[N, *shape]``.

        Raises:
            ValueError: If an entry is constant.
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
        """Invert :meth:`forward`."""
        return self.mean + self.deviation * y
