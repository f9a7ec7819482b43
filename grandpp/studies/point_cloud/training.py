"""Train one point-cloud classifier and record the cost of every epoch."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from grandpp.image.point_cloud import PointCloudClassifier, point_cloud
from grandpp.solvers import SolveError

SNAPSHOTS: tuple[float, ...] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""Times at which a finished run keeps the positions of the points."""


@dataclass
class PointCloudRun:
    """One run.

    Args:
        model: Name of the model.
        seed: Of the points, the parameters and the batches.
        epochs: Number of epochs asked for.
        solver: Its name.
        start: Where scores start: ``"mean"``, around the mean target.
        loss: Mean squared error of every epoch, averaged while the parameters change.
        nfe_forward: Evaluations of one forward solve, the mean over the batches of every epoch.
        nfe_backward: Likewise of one adjoint solve.
        final_loss: Mean squared error of all points after the last epoch; ``None`` if it failed.
        accuracy: Share of points with the right sign after the last epoch; ``None`` if it failed.
        seconds: Wall-clock time.
        status: ``"success"``, or why the run ended early.
        snapshots: First two coordinates of all points at the times :data:`SNAPSHOTS`.
    """

    model: str
    seed: int
    epochs: int
    solver: str
    start: str = "mean"
    loss: list[float] = field(default_factory=list)
    nfe_forward: list[float] = field(default_factory=list)
    nfe_backward: list[float] = field(default_factory=list)
    final_loss: float | None = None
    accuracy: float | None = None
    seconds: float = 0.0
    status: str = "success"
    snapshots: list[list[list[float]]] = field(default_factory=list)


def train_point_cloud(
    model: str,
    seed: int,
    epochs: int = 300,
    *,
    batch_size: int = 50,
    lr: float = 0.01,
    tolerance: float = 1e-7,
    gradient: str = "adjoint",
    solver: str = "tsit5",
    on_epoch: Callable[[float], None] | None = None,
) -> PointCloudRun:
    """Train a model on a point cloud of its own (HBNODE paper §5.1, Tab. 1).

    The output's bias starts where scores lie around the mean target.

    Args:
        model: One of :data:`grandpp.image.POINT_CLOUD_MODELS`.
        seed: Of the points, the parameters and the batches.
        epochs: Passes over the points. (default: ``300``, as Fig. 5)
        batch_size: Points in a batch; the last one of an epoch has the rest. (default: ``50``)
        lr: Learning rate of Adam. (default: ``0.01``)
        tolerance: Of the solver. (default: ``1e-7``)
        gradient: How gradients are computed. (default: ``"adjoint"``)
        solver: One of :data:`grandpp.image.POINT_CLOUD_SOLVERS`. (default: ``"tsit5"``)
        on_epoch: Called with the loss of every epoch. (default: ``None``)

    Returns:
        The run; a solve that fails ends it and is its status, not an exception.
    """
    began = time.perf_counter()
    run = PointCloudRun(model, seed, epochs, solver)
    x, target = point_cloud(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = PointCloudClassifier(model, tolerance, gradient, solver)
    _start_at_the_mean(net, target)
    order = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    try:
        for _ in range(epochs):
            batches = torch.randperm(len(x), generator=order).split(batch_size)
            _epoch(net, optimizer, x, target, list(batches), run)
            if on_epoch is not None:
                on_epoch(run.loss[-1])
        _finish(net, x, target, run)
    except SolveError as error:
        run.status = str(error)
    run.seconds = time.perf_counter() - began
    return run


@torch.no_grad()
def _start_at_the_mean(net: PointCloudClassifier, target: Tensor) -> None:
    """Let scores start around the mean target.

    From elsewhere, the first epochs move all points in the same direction. GHBNODE with seed 1
    failed
    so: its momenta grew to 7, where tanh passes no gradient, and its loss stayed at 0.88.
    """
    bias: Tensor = net.output[0].bias  # type: ignore[assignment]
    bias.copy_(target.mean().atanh().expand(1))


def _epoch(
    net: PointCloudClassifier,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    target: Tensor,
    batches: list[Tensor],
    run: PointCloudRun,
) -> None:
    total, forward, backward = 0.0, 0, 0
    for batch in batches:
        optimizer.zero_grad()
        solution = net.solve(x[batch])
        loss = (net.score(solution) - target[batch]).square().mean()
        loss.backward()
        optimizer.step()
        total += float(loss.detach()) * len(batch)
        forward += solution.stats.nfe_forward
        backward += solution.stats.nfe_backward
    run.loss.append(total / len(x))
    run.nfe_forward.append(forward / len(batches))
    run.nfe_backward.append(backward / len(batches))


@torch.no_grad()
def _finish(net: PointCloudClassifier, x: Tensor, target: Tensor, run: PointCloudRun) -> None:
    solution = net.solve(x, save_at=list(SNAPSHOTS))
    score = net.score(solution)
    run.final_loss = float((score - target).square().mean())
    run.accuracy = float((score.sign() == target).double().mean())
    positions = net.flow.dynamics.positions(solution.ys)[..., :2]
    run.snapshots = [[[round(v, 4) for v in p] for p in at] for at in positions.tolist()]
