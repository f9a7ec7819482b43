"""Describe a model by values that can be written as JSON."""

from __future__ import annotations

from typing import Any

from torch import nn


def describe_module(net: nn.Module) -> dict[str, Any]:
    """Return the number of trainable parameters and the layers of a module.

    Args:
        net: The module.

    Returns:
        A dictionary with the number of ``parameters``, and ``layers``: name, ``repr`` and number
        of parameters of every module that has own parameters or no children.
    """
    layers = []
    for name, module in net.named_modules():
        own = sum(p.numel() for p in module.parameters(recurse=False))
        if own or not any(module.children()):
            layers.append({"name": name, "layer": repr(module), "parameters": own})
    total = sum(p.numel() for p in net.parameters() if p.requires_grad)
    return {"parameters": total, "layers": layers}
