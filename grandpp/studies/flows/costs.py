"""Cost and accuracy of several solvers on one trained flow."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from grandpp.image.flow.model import ImageFlow
from grandpp.solvers import SolveError, Solver, SolveStats

EVALUATION_SEED = 1_000_003
"""Seed of dequantisation and trace in every evaluation, so that evaluations are comparable."""


@torch.no_grad()
def bits_per_dim(
    flow: ImageFlow, images: Tensor, generator: torch.Generator, batch_size: int = 100
) -> float:
    """Mean bits/dim of images."""
    scores = [flow.log_prob(part, generator) for part in images.split(batch_size)]
    return float(flow.bits_per_dim(torch.cat(scores)).mean())


@torch.no_grad()
def reconstruction_error(flow: ImageFlow, images: Tensor) -> float:
    """Largest distance between images, dequantised, and the inverse of their latents."""
    v = flow.dequantize(images, torch.Generator().manual_seed(EVALUATION_SEED))
    return float((flow.decode(flow.encode(v).value) - v).abs().max())


def total_cost(stats: Sequence[SolveStats]) -> tuple[int, int]:
    """Evaluations forward and products backward of several solves."""
    return sum(s.nfe_forward for s in stats), sum(s.nfe_backward for s in stats)


@dataclass(frozen=True)
class SolverCost:
    """Cost and accuracy of one solver on one trained flow and one batch.

    Args:
        solver: Its name and what decides its error.
        bits_per_dim: Of the batch; ``None`` if it failed.
        change: Its distance to that of the first solver, relative to it; ``None`` if one failed.
        nfe_forward: Evaluations without a gradient, of all solves.
        nfe_training: Evaluations forward where a gradient is wanted.
        nfe_backward: Products in the backward pass.
        reconstruction: Largest error of the inverse, in intensities from 0 to 1.
        seconds_forward: Wall-clock time without a gradient.
        seconds_training: Wall-clock time forward and backward.
        status: ``"success"``, or why it failed.
    """

    solver: str
    bits_per_dim: float | None = None
    change: float | None = None
    nfe_forward: int = 0
    nfe_training: int = 0
    nfe_backward: int = 0
    reconstruction: float | None = None
    seconds_forward: float = 0.0
    seconds_training: float = 0.0
    status: str = "success"


def compare_solvers(
    flow: ImageFlow, images: Tensor, solvers: Mapping[str, Solver]
) -> list[SolverCost]:
    """Measure solvers on the same flow, batch, dequantisation and noise.

    Args:
        flow: The trained flow; its solver is changed.
        images: One batch.
        solvers: By the names to report; the first is the reference of the others.
    """
    costs = [_measure(flow, images, name, solver) for name, solver in solvers.items()]
    first = costs[0].bits_per_dim if costs else None
    return [
        replace(cost, change=abs(cost.bits_per_dim / first - 1))
        if first and cost.bits_per_dim is not None
        else cost
        for cost in costs
    ]


def _measure(flow: ImageFlow, images: Tensor, name: str, solver: Solver) -> SolverCost:
    flow.use_solver(solver)

    def score() -> tuple[Tensor, tuple[SolveStats, ...]]:
        generator = torch.Generator().manual_seed(EVALUATION_SEED)
        scored = flow.score(images, generator)
        return flow.bits_per_dim(scored.change).mean(), scored.stats

    try:
        began = time.perf_counter()
        with torch.no_grad():
            bits, plain = score()
        between = time.perf_counter()
        loss, stats = score()
        loss.backward()
        ended = time.perf_counter()
        error = reconstruction_error(flow, images)
    except SolveError as failure:
        return SolverCost(name, status=str(failure))
    finally:
        flow.zero_grad()
    training, backward = total_cost(stats)
    return SolverCost(
        name,
        float(bits),
        nfe_forward=total_cost(plain)[0],
        nfe_training=training,
        nfe_backward=backward,
        reconstruction=error,
        seconds_forward=between - began,
        seconds_training=ended - between,
    )
