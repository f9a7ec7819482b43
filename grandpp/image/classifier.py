"""Image classifiers: a convolutional neural ODE and a linear layer."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from grandpp.fields import Augmented, ConvField, Dynamics
from grandpp.fields.precision import LowPrecision
from grandpp.fields.time_plane import as_channels_last
from grandpp.layers.neural_ode import KINDS, NeuralODE, make_dynamics
from grandpp.solvers import Solution, Solver, Tsit5
from grandpp.solvers.explicit.torchdiffeq import TorchDiffEq

_SLOPE = 0.3
"""Negative slope of LeakyReLU in the initial velocity network (HBNODE paper App. E)."""


class ODEClassifier(nn.Module):
    r"""Augment an image, solve a convolutional neural ODE from 0 to 1, and classify the result.

    Source: HBNODE paper §5.2 and App. E.3, after Dupont et al. (2019); AdamNODE paper §4.

    .. math::
        h(0) = [x, 0] \text{ or } [x, g(x)], \qquad m(0) = g(x), \qquad
        \text{logits} = W h(1) + b

    where h has n channels. First-order equations pad the image with channels of zeros (``"node"``
    with none). Second-order equations have a network g of three convolutions (kernels 1, 3, 1) with
    LeakyReLU, which computes the other channels of h and all of m. The field has the same kernels,
    ReLU, and the time as an additional input channel of every convolution.

    Args:
        kind: ``"node"``, ``"anode"``, ``"sonode"``, ``"hbnode"``, ``"ghbnode"`` or ``"adamnode"``.
        image_shape: Channels c, height and width of an image.
        channels: Channels n of the position.
        hidden: Channels of the hidden layers.
        num_classes: Number of classes. (default: ``10``)
        tolerance: rtol and atol of an adaptive method. (default: ``1e-5``, as in the papers)
        solver: Name, or a solver object with its own tolerances and gradient.
            (default: ``"dopri5"``)
        step_size: Step of a fixed-step method. (default: ``None``, the solver's own)
        max_nfe: Evaluation budget of one solve. (default: ``None``, the solver's own)
        gradient: See :class:`grandpp.layers.NeuralODE`. (default: ``"adjoint"``)
        amp: Evaluate the field in bfloat16, see :class:`grandpp.fields.LowPrecision`.
            (default: ``False``)

    Raises:
        ValueError: For an unknown choice, a number out of range, channels below those of the
            image, or other channels than the image's for ``"node"``.

    Shape:
        Images ``[B, c, H, W]``; logits ``[B, num_classes]``.

    Note:
        An evaluation costs about 18 H W hidden² operations per image, mostly in the middle layer.

    Example:
        >>> model = ODEClassifier("anode", (1, 8, 8), channels=3, hidden=8, tolerance=1e-3)
        >>> model(torch.randn(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        kind: str,
        image_shape: tuple[int, int, int],
        channels: int,
        hidden: int,
        num_classes: int = 10,
        *,
        tolerance: float | None = 1e-5,
        solver: str | Solver = "dopri5",
        step_size: float | None = None,
        max_nfe: int | None = None,
        gradient: str | None = "adjoint",
        amp: bool = False,
    ) -> None:
        super().__init__()
        own, height, width = image_shape
        _check(kind, own, channels, num_classes)
        dynamics = _dynamics(kind, channels - own)
        wide = 2 * channels if kind == "sonode" else channels
        field: nn.Module = ConvField(channels, hidden, in_channels=wide)
        self.flow = NeuralODE(
            LowPrecision(field) if amp else field,
            dynamics,
            initial=None if dynamics.parts == 1 else _velocity(own, channels, hidden),
            solver=solver,
            rtol=tolerance,
            atol=tolerance,
            step_size=step_size,
            max_nfe=max_nfe,
            gradient=gradient,
        )
        self.output = nn.Linear(channels * height * width, num_classes)

    def solve(self, x: Tensor, save_at: list[float] | None = None) -> Solution[Tensor]:
        """Solve for images; the statistics include the adjoint after ``backward()``.

        Raises:
            SolveError: If the solve fails.
        """
        return self.flow.solve(x, save_at=save_at)

    def logits(self, solution: Solution[Tensor]) -> Tensor:
        """Logits ``[B, num_classes]`` from the end state of a solution."""
        position = self.flow.dynamics.position(solution.y)
        out: Tensor = self.output(position.flatten(1))
        return out

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images."""
        return self.logits(self.solve(x))

    def set_tolerance(self, tolerance: float) -> None:
        """Solve with another tolerance from now on.

        Raises:
            TypeError: If the solver is no explicit method with error control.
        """
        solver = self.flow.solver
        fixed = isinstance(solver, TorchDiffEq) and solver.is_fixed_step
        if fixed or not isinstance(solver, TorchDiffEq | Tsit5):
            raise TypeError(
                f"expected an explicit adaptive method, like 'dopri5' (got '{solver.method}')"
            )
        self.flow.solver = replace(solver, rtol=tolerance, atol=tolerance)


def _check(kind: str, own: int, channels: int, num_classes: int) -> None:
    if kind not in KINDS:
        raise ValueError(f"expected 'kind' to be one of {', '.join(KINDS)} (got '{kind}')")
    if channels < own or (kind == "node" and channels != own):
        least = "the image's" if kind == "node" else "at least the image's"
        raise ValueError(f"expected {least} {own} channels for {kind} (got {channels})")
    if num_classes < 2:
        raise ValueError(f"expected 'num_classes' >= 2 (got {num_classes})")


def _dynamics(kind: str, extra: int) -> Dynamics:
    return Augmented(extra) if kind == "anode" else make_dynamics(kind)


class _ConvStack(nn.Sequential):
    """Layers on images whose channels are side by side."""

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = super().forward(as_channels_last(x))
        return out.contiguous()


def _velocity(own: int, channels: int, hidden: int) -> nn.Module:
    return _ConvStack(
        nn.Conv2d(own, hidden, 1),
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(hidden, hidden, 3, padding=1),
        nn.LeakyReLU(_SLOPE),
        nn.Conv2d(hidden, 2 * channels - own, 1),
    )
