"""The multi-scale architecture: each scale splits off half of its channels as latents."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from grandpp.fields.convolution import ConvStackField
from grandpp.image.flow.bijection import Bijection, Chain, Mapped
from grandpp.image.flow.continuous import ContinuousFlow
from grandpp.image.flow.layers import Squeeze
from grandpp.solvers import Solver, resolve_solver


class MultiscaleFlow(Bijection):
    r"""Continuous flows at several resolutions.

    Source: Dinh et al. (2017), section 3.6; Grathwohl et al. (2019), App. B.1. Every scale but the
    last consists of ``blocks`` continuous flows, a squeeze, and ``blocks`` more; then half of the
    channels become latents, and the other half is the input of the next scale. The last scale
    consists of ``blocks`` continuous flows.

    Args:
        shape: (C, H, W) of a sample.
        hidden: Channels of the hidden layers of each field. (default: ``(64, 64, 64, 64)``)
        scales: Number of scales; H and W are multiples of 2 to the power of ``scales - 1``.
            (default: ``3``)
        blocks: Number of consecutive continuous flows. (default: ``2``)
        time: Time span of each flow. (default: ``1.0``)
        divergence: As in :class:`ContinuousFlow`. (default: ``"rademacher"``)
        solver: Name or solver object, for all solves. (default: ``"dopri5"``)

    Raises:
        ValueError: For a size below 1, or a shape that cannot be halved that often.

    Shape:
        x ``[B, C, H, W]``; latents ``[B, C * H * W]``, those of the finest scale first.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        hidden: tuple[int, ...] = (64, 64, 64, 64),
        scales: int = 3,
        blocks: int = 2,
        time: float = 1.0,
        divergence: str = "rademacher",
        solver: str | Solver = "dopri5",
    ) -> None:
        super().__init__()
        _check(shape, scales, blocks)
        channels, height, width = shape
        self.shape = (channels, height, width)
        self.scales = nn.ModuleList()
        self.latents: list[tuple[int, int, int]] = []
        solver = resolve_solver(solver)

        def flows(*size: int) -> list[Bijection]:
            return [
                ContinuousFlow(
                    ConvStackField(size[0], hidden),
                    size,
                    time=time,
                    divergence=divergence,
                    solver=solver,
                )
                for _ in range(blocks)
            ]

        for _ in range(scales - 1):
            before = flows(channels, height, width)
            channels, height, width = 2 * channels, height // 2, width // 2
            after = flows(2 * channels, height, width)
            self.scales.append(Chain(*before, Squeeze(), *after))
            self.latents.append((channels, height, width))
        self.scales.append(Chain(*flows(channels, height, width)))
        self.latents.append((channels, height, width))

    def forward(self, x: Tensor, generator: torch.Generator | None = None) -> Mapped:
        """Map to latents ``[B, C * H * W]``."""
        change, stats = x.new_zeros(len(x)), ()
        latents = []
        for n, scale in enumerate(self.scales, start=1):
            x, more, cost = scale(x, generator)
            change, stats = change + more, stats + cost
            if n < len(self.scales):
                out, x = x.chunk(2, dim=1)
                latents.append(out.flatten(1))
        return Mapped(torch.cat([*latents, x.flatten(1)], dim=1), change, stats)

    def inverse(self, y: Tensor) -> Tensor:
        """Map latents back."""
        sizes = [c * h * w for c, h, w in self.latents]
        parts = [
            part.view(-1, *shape)
            for part, shape in zip(y.split(sizes, dim=1), self.latents, strict=True)
        ]
        x = parts.pop()
        for scale in reversed(self.scales):
            if scale is not self.scales[-1]:
                x = torch.cat([parts.pop(), x], dim=1)
            x = scale.inverse(x)  # type: ignore[operator]
        return x


def _check(shape: tuple[int, int, int], scales: int, blocks: int) -> None:
    if scales < 1 or blocks < 1:
        raise ValueError(
            f"expected positive 'scales' and 'blocks' (got scales={scales}, blocks={blocks})"
        )
    _, height, width = shape
    if height % 2 ** (scales - 1) or width % 2 ** (scales - 1):
        raise ValueError(
            f"expected sides that are multiples of {2 ** (scales - 1)} for {scales} scales "
            f"(got {height} x {width})"
        )
