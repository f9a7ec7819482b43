"""Errors for numbers of a wrong type among the arguments of layers, fields and solvers."""

from __future__ import annotations

from numbers import Integral, Real

from torch import Tensor


def check_number(name: str, value: object) -> None:
    """Check that an argument is a real number or a scalar tensor.

    Args:
        name: As it stands in the message.
        value: The argument.

    Raises:
        TypeError: If it is neither.
    """
    scalar = isinstance(value, Tensor) and value.numel() == 1 and not value.is_complex()
    if not scalar and not isinstance(value, Real):
        raise TypeError(f"expected {name} to be a number (got {type(value).__name__})")


def check_integer(name: str, value: object) -> None:
    """Check that an argument is an integer, which True and False are not.

    Args:
        name: As it stands in the message.
        value: The argument.

    Raises:
        TypeError: If it is none.
    """
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"expected {name} to be an integer (got {type(value).__name__})")
