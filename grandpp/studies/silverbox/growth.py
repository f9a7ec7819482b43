"""How fast |h(t)| grows before any training: the Silverbox initialisation test of both papers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from grandpp.fields.adam import Adam
from grandpp.fields.dense import DrivenField
from grandpp.fields.dynamics import Augmented, Dynamics
from grandpp.fields.momentum import GeneralizedHeavyBall, HeavyBall, SecondOrder
from grandpp.layers.neural_ode import NeuralODE

GROWTH_MODELS: tuple[str, ...] = ("node", "anode", "sonode", "hbnode", "ghbnode", "adamnode")
"""Models of Fig. 3 of the HBNODE and the AdamNODE paper."""

END = 64.0


@dataclass(frozen=True)
class Growth:
    """One random model integrated along the signal.

    Args:
        model: Name of the model.
        draw: Seed of its parameters.
        norms: |h(t)| at the times 0, 1, ..., 64; NaN after a failure.
        nfe: Evaluations of the right-hand side.
        status: ``"success"``, or how the solve failed.
    """

    model: str
    draw: int
    norms: list[float]
    nfe: int
    status: str


class _DrawnMomentum(nn.Module):
    """An initial momentum independent of x: a dense layer on ones, as in the authors' code."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(torch.ones_like(x))
        return out


def driven_model(model: str, signal: Tensor, tolerance: float = 1e-7) -> NeuralODE:
    """A model of the HBNODE paper, App. E.1: one dense layer of the state and the input voltage.

    gamma = sigmoid(-3), xi = ln 2, and hardtanh between -5 and 5 for GHBNODE; alpha and beta of
    AdamNODE, which its paper does not print, start at 0.953.

    Args:
        model: One of :data:`GROWTH_MODELS`.
        signal: V1 at the times 0, 1, 2, ...
        tolerance: rtol and atol of dopri5. (default: ``1e-7``)

    Raises:
        ValueError: For an unknown model.
    """
    kinds: dict[str, Dynamics] = {
        "node": Dynamics(),
        "anode": Augmented(1),
        "sonode": SecondOrder(),
        "hbnode": HeavyBall(),
        "ghbnode": GeneralizedHeavyBall(activation="hardtanh"),
        "adamnode": Adam(),
    }
    if model not in kinds:
        raise ValueError(f"expected 'model' to be one of {', '.join(kinds)} (got '{model}')")
    kind = kinds[model]
    n = 2 if model == "anode" else 1
    field = DrivenField(n, signal, in_channels=2 if model == "sonode" else n)
    initial = None if kind.parts == 1 else _DrawnMomentum(n)
    return NeuralODE(
        field, kind, initial=initial, time=END, rtol=tolerance, atol=tolerance, max_nfe=20_000
    ).double()


@torch.no_grad()
def growth(model: str, draw: int, v1: Tensor, v2: Tensor, tolerance: float = 1e-7) -> Growth:
    """Draw a model and integrate it from h(0) = V2(0) along V1 to t = 64.

    Args:
        model: One of :data:`GROWTH_MODELS`.
        draw: Seed of its parameters.
        v1: Input voltage ``[T]`` with T > 64.
        v2: Output voltage ``[T]``.
        tolerance: rtol and atol of dopri5. (default: ``1e-7``)

    Raises:
        ValueError: For an unknown model or too short a signal.
    """
    if len(v1) <= END:
        raise ValueError(f"expected more than {END:g} samples of the signal (got {len(v1)})")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(draw)
        net = driven_model(model, v1, tolerance)
    times = torch.arange(END + 1, dtype=torch.float64)
    solution = net.solve(v2[:1].double().view(1, 1), save_at=times, throw=False)
    h = net.dynamics.positions(solution.ys)
    status = "success" if solution.successful else solution.status.value
    return Growth(
        model, draw, h.flatten(1).norm(dim=1).tolist(), solution.stats.nfe_forward, status
    )
