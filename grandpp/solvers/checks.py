"""Validate states and evaluations of a right-hand side."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from grandpp.solvers.base import map_parts, parts_of
from grandpp.vector_field import S, State, VectorField

STATE_TYPES = (torch.float32, torch.float64, torch.complex64, torch.complex128)
"""Number types of a state: half precision would lose every step smaller than 1/256 of it."""


def check_state(y: State) -> None:
    """Check that a state is a tensor or a tuple of tensors that can be integrated.

    Raises:
        TypeError: If it is neither.
        ValueError: For another number type than float32, float64 and their complex pairs, or for
            parts on several devices.
    """
    if not isinstance(y, Tensor) and not (isinstance(y, tuple) and y):
        raise TypeError(f"expected a state to be a tensor or a tuple of tensors (got {_kind(y)})")
    for part in parts_of(y):
        if not isinstance(part, Tensor):
            raise TypeError(f"expected every part of a state to be a tensor (got {_kind(part)})")
        if part.dtype not in STATE_TYPES:
            raise ValueError(
                f"expected a state in float32 or float64, or complex (got {part.dtype}): convert "
                "it first, for example by y0.float()"
            )
    devices = {part.device for part in parts_of(y)}
    if len(devices) > 1:
        raise ValueError(
            f"expected all parts of a state on one device (got {', '.join(map(str, devices))})"
        )


def check_rate(y: State, dy: State) -> None:
    """Check that a derivative fits its state; nothing is broadcast and nothing is converted.

    Raises:
        TypeError: If it is no tensor, or no tuple of tensors for a tuple state.
        ValueError: For another number of parts, shape, number type or device.
    """
    if isinstance(y, Tensor) != isinstance(dy, Tensor) or not isinstance(dy, Tensor | tuple | list):
        raise TypeError(f"expected f(t, y) to return {_kind(y)}, as the state is (got {_kind(dy)})")
    states, rates = parts_of(y), parts_of(dy)
    if len(states) != len(rates):
        raise ValueError(
            f"expected f(t, y) to return one derivative for each of the {len(states)} parts of the "
            f"state (got {len(rates)})"
        )
    for state, rate in zip(states, rates, strict=True):
        _check_part(state, rate)


def _check_part(y: Tensor, dy: Tensor) -> None:
    if not isinstance(dy, Tensor):
        raise TypeError(f"expected f(t, y) to return tensors (got {_kind(dy)})")
    if dy.shape != y.shape:
        raise ValueError(
            f"expected f(t, y) to return a derivative of the shape of y, {list(y.shape)} "
            f"(got {list(dy.shape)}); the first argument of f is the time t, the second the state y"
        )
    if dy.dtype != y.dtype:
        raise ValueError(
            f"expected f(t, y) to return a derivative in {y.dtype}, like y (got {dy.dtype}): "
            "convert y0, the module or the result of f"
        )
    if dy.device != y.device:
        raise ValueError(
            f"expected f(t, y) to return a derivative on {y.device}, like y (got {dy.device})"
        )


def _kind(y: object) -> str:
    if isinstance(y, Tensor):
        return "a tensor"
    if isinstance(y, tuple | list):
        return f"a {type(y).__name__} of {len(y)}"
    return f"a {type(y).__name__}"


@dataclass
class Evaluation:
    """Evaluates a right-hand side and checks the result.

    The first derivative is compared with its state, see :func:`check_rate`. Every evaluation is
    compared with itself: one that wrote into its arguments, or into the derivative it returned
    before, has corrupted the solve. Comparing the version counters of tensors costs nothing; an
    inference tensor has none, so that f is given a copy of it.
    """

    checked: bool = False
    before: list[weakref.ref[Tensor]] = field(default_factory=list)

    def __call__(self, f: VectorField[S], t: Tensor, y: S) -> S:
        """Evaluate.

        Raises:
            TypeError: See :func:`check_rate`.
            ValueError: Likewise, or if f works in place.
        """
        if torch.is_inference_mode_enabled():
            t, y = t.clone(), map_parts(Tensor.clone, y)
            return self._matched(y, f(t, y))
        arguments = (t, *parts_of(y))
        earlier = [value for ref in self.before if (value := ref()) is not None]
        versions, given = _versions(arguments), _versions(earlier)
        dy = f(t, y)
        if versions != _versions(arguments):
            raise ValueError(
                "expected f(t, y) to leave its arguments as they are (got one that works in place "
                "on them): use operations that return a new tensor, such as "
                "nn.ReLU(inplace=False) or y + z for y.add_(z)"
            )
        if given != _versions(earlier):
            raise ValueError(
                "expected f(t, y) to return a new tensor every time (got one that overwrites the "
                "derivative it returned before)"
            )
        dy = self._matched(y, dy)
        self.before = [weakref.ref(part) for part in parts_of(dy)]
        return dy

    def _matched(self, y: S, dy: S) -> S:
        """The derivative in the precision of the state, which autocast may have lowered."""
        first = parts_of(y)[0]
        if torch.is_autocast_enabled(first.device.type):
            dy = _raised(y, dy)
        if not self.checked:
            check_state(y)
            check_rate(y, dy)
            self.checked = True
        return dy


def _versions(tensors: Sequence[Tensor]) -> list[int]:
    """Counters of writes; torch itself refuses writes to an inference tensor out of its mode."""
    return [0 if x.is_inference() else x._version for x in tensors]


def _raised(y: State, dy: Any) -> Any:
    states: Sequence[Tensor] = parts_of(y)
    low = (torch.float16, torch.bfloat16)
    if isinstance(dy, Tensor):
        return dy.to(states[0].dtype) if dy.dtype in low else dy
    pairs = zip(states, dy, strict=False)
    return tuple(d.to(s.dtype) if d.dtype in low else d for s, d in pairs)
