"""The networks inside an ODE-RNN: field, recurrent update (as ``nn.RNNCell``), initial state."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from grandpp.fields.dense import MLPField
from grandpp.fields.dynamics import Augmented, Dynamics
from grandpp.fields.momentum import SecondOrder


def default_field(dynamics: Dynamics, n: int) -> MLPField:
    """Right-hand side of the plane vibration models: a perceptron (HBNODE paper App. E.4, Tab. 4).

    The last layer is initialised at zero, so that the field is zero at first: with a random last
    layer the states of HBNODE grow by a factor of 1e10 over 64 units of time.

    Args:
        dynamics: The equation of motion that the field drives.
        n: Channels of the position.
    """
    if dynamics.parts == 1:
        field = MLPField(n, (3 * n, 4 * n), activation="relu")
    else:
        in_channels = 2 * n if isinstance(dynamics, SecondOrder) else n
        field = MLPField(n, (in_channels, n), in_channels=in_channels, activation="relu")
    for parameter in field.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return field


# Divides the initial weights of the input of a LinearCell.
_SHARE = 8.0

MISSING: tuple[str, ...] = ("zero", "prediction")
"""What may replace the unknown components of an observation."""


class LinearCell(nn.Module):
    r"""Residual linear update of a state by an observation (HBNODE paper App. E.4).

    .. math:: h^+ = h + W_x x + b_x + \sum_i (W_i h_i + b_i)

    where the h_i are the parts of the state: the position, and for equations of second order the
    momentum. The W_i are initialised at zero: with the initialisation of ``nn.Linear`` the largest
    eigenvalue of I + W is about 1.6, and 64 consecutive observations multiply a state by 10^12. W_x
    is initialised at an eighth of ``nn.Linear``'s weights, because the contributions of 64
    observations add up.

    Args:
        input_size: Values of an observation.
        hidden_size: Channels n of one part.
        parts: Number d of parts. (default: ``1``)

    Shape:
        x ``[B, input_size]``, h ``[B, d n]``; output ``[B, d n]``.
    """

    def __init__(self, input_size: int, hidden_size: int, parts: int = 1) -> None:
        super().__init__()
        self.input = nn.Linear(input_size, parts * hidden_size)
        self.hidden = nn.ModuleList(
            nn.Linear(hidden_size, parts * hidden_size) for _ in range(parts)
        )
        # Not that of a subclass, whose parameters do not exist yet.
        LinearCell.reset_parameters(self)

    def reset_parameters(self) -> None:
        """Draw W_x and b_x at random and set the other weights and biases to zero."""
        self.input.reset_parameters()
        with torch.no_grad():
            for parameter in self.input.parameters():
                parameter.div_(_SHARE)
        for parameter in self.hidden.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The state after the observation."""
        update: Tensor = h + self.input(x)
        for linear, part in zip(self.hidden, h.chunk(len(self.hidden), dim=-1), strict=True):
            update = update + linear(part)
        return update


class MLPCell(nn.Module):
    r"""Perceptron of state and observation with tanh (HBNODE paper App. E.5).

    .. math:: h^+ = [h] + W_3 \tanh(W_2 \tanh(W_1 [h, x]))

    Args:
        input_size: Values of an observation.
        state_size: Values d n of a state.
        hidden: Sizes of the two hidden layers.
        residual: Whether to add the old state, as for the heavy ball. (default: ``True``)

    Shape:
        x ``[B, input_size]``, h ``[B, d n]``; output ``[B, d n]``.
    """

    def __init__(
        self, input_size: int, state_size: int, hidden: tuple[int, int], *, residual: bool = True
    ) -> None:
        super().__init__()
        first, second = hidden
        self.residual = residual
        self.layers = nn.Sequential(
            nn.Linear(state_size + input_size, first),
            nn.Tanh(),
            nn.Linear(first, second),
            nn.Tanh(),
            nn.Linear(second, state_size),
        )

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        """The state after the observation."""
        out: Tensor = self.layers(torch.cat([h, x], dim=-1))
        return h + out if self.residual else out

    def extra_repr(self) -> str:
        """Whether the old state is added."""
        return f"residual={self.residual}"


class WindowInitial(nn.Module):
    """Initial state as a linear map of the first observations of a sequence (plane vibration).

    With a window of the whole sequence, the initial state depends on every observation, so that
    only forecasts beyond the sequence are predictions of unseen values.

    Args:
        input_size: Values of an observation.
        size: Values of the initial state.
        window: Number W of observations. (default: ``1``)
        bias: Whether to add a bias. (default: ``True``)

    Shape:
        x ``[L, B, input_size]``, zero at padding; the first W rows are used, padded with zeros
        where L < W. Output ``[B, size]``.
    """

    def __init__(self, input_size: int, size: int, window: int = 1, *, bias: bool = True) -> None:
        super().__init__()
        self.window = window
        self.linear = nn.Linear(window * input_size, size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """The initial state."""
        flat = x[: self.window].transpose(0, 1).flatten(1)
        missing = self.linear.in_features - flat.size(1)
        out: Tensor = self.linear(F.pad(flat, (0, missing)) if missing else flat)
        return out

    def extra_repr(self) -> str:
        """The number of observations used."""
        return f"window={self.window}"


def first_state(dynamics: Dynamics, values: Tensor, n: int) -> Tensor:
    """Turn the output of a network for the initial state into a state.

    Args:
        dynamics: The equation of motion.
        values: Positions ``[B, n]``, or positions and momenta ``[B, 2 n]``; for
            :class:`~grandpp.fields.Augmented` at most n values, which are padded with zeros.
        n: Channels of the position.

    Raises:
        ValueError: For another number of values.
    """
    width = values.size(-1)
    if isinstance(dynamics, Augmented) and width <= n:
        return nn.functional.pad(values, (0, n - width))
    if width == n:
        return dynamics.start(values)
    if dynamics.parts > 1 and width == 2 * n:
        return dynamics.start(*values.chunk(2, dim=-1))
    raise ValueError(
        f"expected 'initial' to give {n} values{f' or {2 * n}' if dynamics.parts > 1 else ''} "
        f"(got {width})"
    )


def check_missing(missing: str, input_size: int, output_size: int) -> None:
    """Check ``missing`` and, for ``"prediction"``, that output and input sizes agree."""
    if missing not in MISSING:
        raise ValueError(f"expected 'missing' to be one of {', '.join(MISSING)} (got '{missing}')")
    if missing == "prediction" and input_size != output_size:
        raise ValueError(
            f"expected output_size = input_size = {input_size} for missing='prediction' "
            f"(got {output_size})"
        )
