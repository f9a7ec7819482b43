"""Constants of modules that are given at construction and are no part of a checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn


class FixedConstants(nn.Module):
    """A module whose constants of :func:`register_fixed` keep their value in every precision.

    In half or single precision they are rounded, and back in double they have all digits again.
    A constant that was written to keeps what was written.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        values = self.__dict__.get("_fixed", {})
        as_given = [name for name, v in values.items() if _holds(self.get_buffer(name), v)]
        super()._apply(fn, recurse)
        with torch.no_grad():
            for name in as_given:
                self.get_buffer(name).fill_(values[name])
        return self


def constants_in_single(module: nn.Module) -> dict[str, Tensor]:
    """The constants of a module and its parts in float32, by name, as far as they are as given."""
    found = {}
    for prefix, part in module.named_modules():
        for name, value in part.__dict__.get("_fixed", {}).items():
            buffer = part.get_buffer(name)
            if _holds(buffer, value):
                known = torch.full((), value, dtype=torch.float32, device=buffer.device)
                found[f"{prefix}.{name}" if prefix else name] = known
    return found


def _holds(buffer: Tensor, value: float) -> bool:
    """Whether a buffer holds a value as far as its type can; one without memory will hold it."""
    return buffer.is_meta or bool(buffer == buffer.new_tensor(value))


def register_fixed(module: FixedConstants, name: str, value: float) -> None:
    """Give a module a constant that moves with it and stays out of its ``state_dict``.

    What the constructor says would otherwise be replaced by what a checkpoint says, and a
    checkpoint of a module without the constant would not load. Checkpoints of before that hold the
    constant are loaded without it; a warning tells where theirs was another one.

    Args:
        module: The module.
        name: Name of the buffer, a float64 scalar: it has all digits in a module turned to
            double, and promotes no float32 state.
        value: The constant.
    """
    buffer = torch.tensor(value, dtype=torch.float64)
    module.register_buffer(name, buffer, persistent=False)
    module.__dict__.setdefault("_fixed", {})[name] = value
    module.register_load_state_dict_pre_hook(partial(_leave_out, name))


def _leave_out(
    name: str, module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    found = state_dict.pop(prefix + name, None)
    own = module.get_buffer(name)
    if found is None or torch.allclose(found.to(own), own, rtol=1e-6, atol=0.0):
        return
    warnings.warn(
        f"the checkpoint's {prefix}{name} = {float(found):g} is left out: it is fixed at "
        f"{float(own):g} by the constructor",
        stacklevel=2,
    )
