"""Density model of images with integer intensities, evaluated in bits per dimension."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from grandpp.image.flow.bijection import Bijection, Chain, Mapped, standard_normal_log_prob
from grandpp.image.flow.continuous import ContinuousFlow
from grandpp.image.flow.layers import Logit, Standardize
from grandpp.solvers import Solver, resolve_solver


class ImageFlow(nn.Module):
    r"""FFJORD for images: dequantisation, logit, standardisation and continuous flows.

    Source: Grathwohl et al. (2019), section 4.2; thesis section 5.4.2. With intensities
    :math:`k \in \{0, \dots, L - 1\}^D` and uniform noise u between 0 and 1,

    .. math:: \log P(k) \ge E_u \log p(k + u) = E_u \log p_v\big(\tfrac{k + u}{L}\big) - D \log L,
        \qquad \text{bits/dim} = -\frac{\log p(k + u)}{D \log 2}

    Args:
        shape: (C, H, W) of an image.
        body: Flow from standardised logits ``[B, C, H, W]`` to latents ``[B, D]``, for example
            :class:`MultiscaleFlow`.
        levels: Number L of intensities. (default: ``256``)
        alpha: ``alpha`` of :class:`Logit`. (default: ``1e-6``)

    Raises:
        ValueError: For a number out of range.

    Shape:
        Images ``[B, C, H, W]`` from 0 to 1 in steps of 1 / (L - 1); log-densities ``[B]``.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        body: Bijection,
        *,
        levels: int = 256,
        alpha: float = 1e-6,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"expected 'levels' >= 2 (got {levels})")
        self.shape, self.levels = shape, levels
        self.logit, self.standardize, self.body = Logit(alpha), Standardize(shape), body

    def fit_standardization(self, images: Tensor, generator: torch.Generator | None = None) -> None:
        """Compute mean and standard deviation of every pixel of images, dequantised once."""
        self.standardize.fit(self.logit(self.dequantize(images, generator)).value)

    def dequantize(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Add uniform noise: intensity k becomes a value between k / L and (k + 1) / L.

        Raises:
            ValueError: For images of another shape.
        """
        if images.shape[1:] != torch.Size(self.shape):
            raise ValueError(
                f"expected images [B, {', '.join(map(str, self.shape))}] (got {list(images.shape)})"
            )
        like = next(self.parameters())
        noise = torch.rand(images.shape, generator=generator).to(like)
        return ((images * (self.levels - 1)).round().to(like) + noise) / self.levels

    def encode(self, v: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Latents ``[B, D]`` of dequantised intensities, with the change of density."""
        return self._layers()(v, generator)

    def decode(self, latents: Tensor) -> Tensor:
        """Dequantised intensities of latents: the inverse of :meth:`encode`."""
        return self._layers().inverse(latents)

    def _layers(self) -> Chain:
        return Chain(self.logit, self.standardize, self.body)

    def score(self, images: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Dequantise images once and compute their log-density.

        Returns:
            Latents, log p(k + u) ``[B]`` as ``change``, and the costs of the solves.
        """
        z, change, stats = self.encode(self.dequantize(images, generator), generator)
        units = math.prod(self.shape) * math.log(self.levels)
        return Mapped(z, standard_normal_log_prob(z) + change - units, stats)

    def log_prob(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """log p(k + u) ``[B]``; its mean over u is at most log P(k)."""
        return self.score(images, generator).change

    def bits_per_dim(self, log_prob: Tensor) -> Tensor:
        """Negative log-densities in bits per entry; less is better."""
        return -log_prob / (math.prod(self.shape) * math.log(2))

    @torch.no_grad()
    def sample(
        self, count: int, generator: torch.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """Draw images ``[count, C, H, W]`` with L intensities from 0 to 1, without gradients.

        Args:
            count: Number of images.
            generator: Generator on the CPU. (default: ``None``, torch's global one)
            temperature: Standard deviation of the latents; below 1, samples vary less.
                (default: ``1.0``)
        """
        like = next(self.parameters())
        z = torch.randn(count, math.prod(self.shape), generator=generator, dtype=like.dtype)
        v = self.decode(temperature * z.to(like.device))
        return (v * self.levels).floor().clamp(0, self.levels - 1) / (self.levels - 1)

    def use_solver(self, solver: str | Solver) -> None:
        """Solve all continuous flows by another solver."""
        resolved = resolve_solver(solver)
        for module in self.modules():
            if isinstance(module, ContinuousFlow):
                module.solver = resolved
