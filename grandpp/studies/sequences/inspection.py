"""Forecast curves and gradient norms of a trained ODE-RNN."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import torch

from grandpp.sequence.ode_rnn import ODERNN
from grandpp.solvers import Solver
from grandpp.studies.sequences.window_set import WindowSet


class Curve(NamedTuple):
    """A window of one channel: T observations and H forecasts, in the order of time."""

    times: list[float]
    truth: list[float]
    predicted: list[float]


class AdjointProbe(NamedTuple):
    """How much of the gradient of the forecast error reaches every observation, and at what cost.

    Args:
        norms: Norm of dL/d(state) right after each of the T jumps, where L is the error of one
            window; the mean over windows.
        nfe_forward: Evaluations of all intervals of the batch.
        nfe_backward: Likewise of its adjoint solves.
    """

    norms: list[float]
    nfe_forward: int
    nfe_backward: int


@torch.no_grad()
def forecast_curve(model: ODERNN, windows: WindowSet, window: int = 0, channel: int = -1) -> Curve:
    """Predictions next to the truth for one window (HBNODE paper Fig. 8).

    The value at an observation is what was predicted from the observations before it; the first
    one has none, and stands for itself. A model with a :class:`WindowInitial` of the whole window
    has seen them all in its initial state: for it the H forecasts alone are predictions.

    Args:
        model: An ODE-RNN with ``batch_first``.
        windows: Windows.
        window: Number of the window. (default: ``0``)
        channel: Number of the channel. (default: ``-1``)

    Raises:
        SolveError: If a solve fails.
    """
    batch = windows[slice(window, window + 1)]
    out = model(batch.x, batch.times, horizon=batch.horizon)
    # The last output is about the first horizon, which the forecast has too.
    predicted = torch.cat([batch.x[:, :1], out.outputs[:, :-1], out.forecast], 1)
    truth = torch.cat([batch.x, batch.targets], 1)
    times = torch.cat([batch.times, batch.horizon], 1)
    return Curve(
        times[0].tolist(), truth[0, :, channel].tolist(), predicted[0, :, channel].tolist()
    )


def probe_adjoint(model: ODERNN, windows: WindowSet, solver: Solver | None = None) -> AdjointProbe:
    """Solve the adjoint equation once, as the parameters are now (HBNODE paper Fig. 4).

    Whatever gradient the model has, this one is ``"adjoint"``, so that its backward evaluations are
    those that the paper counts.

    Args:
        model: An ODE-RNN with ``batch_first``; its solver must have a choice of gradients.
        windows: The windows of the batch.
        solver: Whose evaluations are counted. (default: ``None``, the model's own)

    Raises:
        SolveError: If a solve fails.
        TypeError: If the solver has no gradient to choose.
    """
    own = model.solver
    counted: Any = own if solver is None else solver
    model.solver = replace(counted, gradient="adjoint")
    try:
        with model.adjoint_norms() as adjoints:
            out = model(windows.x, windows.times, horizon=windows.horizon)
        (out.forecast - windows.targets).square().mean().backward()
    finally:
        model.solver = own
        model.zero_grad()
    # The loss is a mean over windows; the sum of its gradients is the mean of those of each one.
    norms = [float(norm) for norm in adjoints.norms.sum(0)]
    return AdjointProbe(norms, out.stats.nfe_forward, out.stats.nfe_backward)
