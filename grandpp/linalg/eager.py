"""Functions that torch.compile does not trace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])


def eager(function: Function) -> Function:
    """``torch.compiler.disable`` that keeps the function's type.

    An adaptive solve decides on data in every step, and a sparsity pattern keeps what it computed
    once: no compiler can trace either.
    """
    return cast(Function, torch.compiler.disable(function))
