"""Models of the HBNODE paper, §5.3 and §5.4, in the sizes of its tables."""

from __future__ import annotations

from typing import Any

from torch import nn

from grandpp.fields.dense import MLPField
from grandpp.fields.dynamics import Augmented, Dynamics
from grandpp.fields.momentum import GeneralizedHeavyBall
from grandpp.layers.neural_ode import KINDS
from grandpp.sequence.cells import MLPCell, WindowInitial
from grandpp.sequence.ode_rnn import ODERNN

PLANE_VIBRATION_CHANNELS: dict[str, int] = {
    "node": 21,
    "anode": 27,
    "sonode": 19,
    "hbnode": 20,
    "ghbnode": 20,
    "adamnode": 20,
}
"""Channels n of the HBNODE paper, Tab. 4; AdamNODE, which is not in it, has those of HBNODE."""

WALKER2D_CHANNELS: dict[str, int] = {
    "node": 24,
    "anode": 24,
    "sonode": 23,
    "hbnode": 24,
    "ghbnode": 24,
    "adamnode": 24,
}
"""Channels n of the Walker2D models."""

WEAK_SPRING = -3.0
"""Initial chi of GHBNODE; the papers do not state theirs."""

_PADDED = 5
"""Values of ANODE's initial state before it is padded with zeros, as in the authors' code."""


def plane_vibration_model(kind: str, *, window: int = 64, **options: Any) -> ODERNN:
    """Build a model for plane vibration (HBNODE paper App. E.4).

    The initial state is a linear map of the whole window; the field has two hidden layers with
    ReLU, of 3n and 4n channels for equations of first order, 2n and n for SONODE, n and n for the
    others. (Tab. 4 prints n and n for SONODE too, and 83 instead of 3n = 81 for ANODE, which does
    not agree with its numbers of parameters.) The spring constant of GHBNODE is initialised small,
    see :data:`WEAK_SPRING`. NODE, ANODE, SONODE, HBNODE and GHBNODE have 15,986, 16,730, 16,649,
    16,126 and 16,127 parameters; the paper's 16,127 for HBNODE include a spring constant fixed at
    zero.

    Args:
        kind: One of :data:`grandpp.layers.KINDS`.
        window: Number of observations that the initial state depends on. (default: ``64``)
        **options: Those of :class:`ODERNN`: solver, rtol, atol, gradient, batch_first, ...

    Raises:
        ValueError: For an unknown kind.
        TypeError: For an unknown option.
    """
    n = _channels(PLANE_VIBRATION_CHANNELS, kind)
    equation = _equation(kind)
    if kind == "anode":
        equation, size = Augmented(n - _PADDED), _PADDED
    else:
        size = n * min(equation.parts, 2)
    return ODERNN(equation, 5, n, 5, initial=WindowInitial(5, size, window), **options)


def walker2d_model(kind: str, **options: Any) -> ODERNN:
    """Build a model for Walker2D (HBNODE paper App. E.5).

    The field is one linear layer, the cell a perceptron with tanh, residual for equations of
    second order. The initial state is zero; for ANODE it is a linear map of the first observation
    to five values, padded with zeros. NODE, ANODE, HBNODE and GHBNODE have 8,729, 8,814, 8,898 and
    8,899 parameters; the paper prints 8,815 for ANODE, and its code builds 8,819.

    Args:
        kind: One of :data:`grandpp.layers.KINDS`.
        **options: Those of :class:`ODERNN`: solver, rtol, atol, gradient, batch_first, ...

    Raises:
        ValueError: For an unknown kind.
        TypeError: For an unknown option.
    """
    n = _channels(WALKER2D_CHANNELS, kind)
    equation = Augmented(n - _PADDED) if kind == "anode" else KINDS[kind]()
    first_order = equation.parts == 1
    initial: nn.Module | None = None
    if kind == "anode":
        initial = WindowInitial(17, _PADDED, bias=False)
    cell = MLPCell(
        17,
        n if first_order else 2 * n,
        (3 * n, 2 * n) if first_order else (2 * n, 2 * n),
        residual=not first_order,
    )
    field = MLPField(n, in_channels=2 * n if kind == "sonode" else n)
    return ODERNN(equation, 17, n, 17, field=field, cell=cell, initial=initial, **options)


def _equation(kind: str) -> Dynamics:
    """With the default spring constant ln 2, states oscillate ten times in a window of 64 units
    of time, and training makes no progress: GHBNODE starts with a weak spring instead."""
    return GeneralizedHeavyBall(chi=WEAK_SPRING) if kind == "ghbnode" else KINDS[kind]()


def _channels(table: dict[str, int], kind: str) -> int:
    if kind not in table:
        raise ValueError(f"expected 'kind' to be one of {', '.join(table)} (got '{kind}')")
    return table[kind]
