"""Constants of modules that are given at construction and are no part of a checkpoint."""

from __future__ import annotations

import warnings
from functools import partial
from typing import Any

import torch
from torch import nn


def register_fixed(module: nn.Module, name: str, value: float) -> None:
    """Give a module a float64 constant that is not in its ``state_dict``.

    In the ``state_dict`` it would be replaced by the value in a checkpoint, and a checkpoint
    without it would not load. Older checkpoints that hold the constant are loaded without it; a
    different value in them gives a warning.

    Args:
        module: The module.
        name: Name of the attribute, a float64 scalar on the CPU, which promotes no float32 state
            and works with states on other devices. It is no buffer: a module turned to half
            precision and back would come out with another constant.
        value: The constant.
    """
    # On the CPU also inside `with torch.device(...)`, where a module may be made without memory.
    setattr(module, name, torch.tensor(value, dtype=torch.float64, device="cpu"))
    module.register_load_state_dict_pre_hook(partial(_leave_out, name))


def _leave_out(
    name: str, module: nn.Module, state_dict: dict[str, Any], prefix: str, *_: Any
) -> None:
    found = state_dict.pop(prefix + name, None)
    own: torch.Tensor = getattr(module, name)
    if found is None or torch.allclose(found.to(own), own, rtol=1e-6, atol=0.0):
        return
    warnings.warn(
        f"the checkpoint's {prefix}{name} = {float(found):g} is left out: it is fixed at "
        f"{float(own):g} by the constructor",
        stacklevel=2,
    )
