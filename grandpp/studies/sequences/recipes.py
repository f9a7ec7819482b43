"""Model, objective, batch size and learning rate for each data set."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from grandpp.sequence.cells import WindowInitial
from grandpp.sequence.ode_rnn import ODERNN
from grandpp.sequence.presets import plane_vibration_model, walker2d_model
from grandpp.solvers import Exact
from grandpp.studies.sequences.forecasting import Objective

_OSCILLATOR_CHANNELS = 8


def oscillator_model(kind: str, *, window: int = 12, **options: Any) -> ODERNN:
    """The model of plane vibration made small: 8 channels, two inputs, a shorter window.

    Args:
        kind: One of :data:`grandpp.layers.KINDS`.
        window: Observations that the initial state is made from. (default: ``12``)
        **options: Those of :class:`ODERNN`.

    Raises:
        ValueError: For an unknown kind.
        TypeError: For an unknown option.
    """
    n = _OSCILLATOR_CHANNELS
    size = {"node": n, "anode": 2}.get(kind, 2 * n)
    return ODERNN(kind, 2, n, 2, initial=WindowInitial(2, size, window), **options)


@dataclass(frozen=True)
class Recipe:
    """Choices of a training besides the model's kind and the seed.

    Args:
        model: Builds the ODE-RNN of a kind.
        objective: See :class:`Forecasting`.
        batch_size: Windows in a batch.
        lr: Learning rate of Adam.
        tolerance: rtol and atol of the solver.
        epochs: Passes over the training windows.
        channel: The channel that is drawn.
    """

    model: Callable[..., ODERNN]
    objective: Objective
    batch_size: int
    lr: float
    tolerance: float
    epochs: int
    channel: int = -1

    def build(self, kind: str, seed: int = 0, **options: Any) -> ODERNN:
        """The model in float64, as small tolerances need, with parameters drawn by a seed.

        Args:
            kind: One of :data:`grandpp.layers.KINDS`.
            seed: Of the parameters. (default: ``0``)
            **options: Those of :class:`ODERNN`.

        Raises:
            ValueError: For an unknown kind.
            TypeError: For an unknown option, and with ``solver="exact"`` for an equation that is
                not linear: here, rather than in the first batch.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = self.model(kind, batch_first=True, **options).double()
            if isinstance(net.solver, Exact):
                try:
                    _check_linear(net)
                except TypeError as error:
                    raise TypeError(f"{kind}: {error}") from None
        return net


def _check_linear(net: ODERNN) -> None:
    """Run a copy with random parameters: a layer that starts at zero would hide what follows."""
    trial = copy.deepcopy(net)
    for parameter in trial.parameters():
        torch.nn.init.uniform_(parameter, -0.5, 0.5)
    two = torch.arange(2.0, dtype=torch.float64).view(1, 2)
    trial(two.new_zeros(1, 2, net.input_size), two)


RECIPES: dict[str, Recipe] = {
    "plane-vibration": Recipe(plane_vibration_model, "forecast", 64, 3e-3, 1e-7, 20),
    "walker2d": Recipe(walker2d_model, "next", 256, 1e-2, 1e-7, 10, channel=2),
    "oscillator": Recipe(oscillator_model, "forecast", 64, 1e-2, 1e-5, 15),
}
"""Recipes by the names of :data:`grandpp.data.SEQUENCES`.

Batch sizes, tolerance and objectives are those of the HBNODE paper; its rates (Tab. 1) are 1e-4 for
plane vibration and 3e-3 for Walker2D: ours are larger, for trainings of a few hundred steps.
"""
