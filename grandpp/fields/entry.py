"""Run a module in a solve: outside compilers and autocast, in at least single precision."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import fields, is_dataclass, replace
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from grandpp.linalg import eager

HALF = (torch.float16, torch.bfloat16)

Method = TypeVar("Method", bound=Callable[..., Any])


def solver_entry(method: Method) -> Method:
    """Decorate a solving method ``method(x, ...)`` of a module so that it works like other layers.

    - Inside a compiled model it runs eagerly; what stands around it is compiled.
    - Under autocast it runs in the type of the module's parameters: states and arguments in half
      precision are cast up, and autocast is off, as an error control that sees rounding to 8 bits
      fails, or accepts wrong answers. The result has the parameters' type.
    - A module in half precision computes in float32, with its parameters cast up; the result has
      the type of ``x``.
    - A replica of ``torch.nn.DataParallel`` has its parameters back.

    Raises:
        TypeError: If ``x`` is no tensor.
    """
    return cast(Method, eager(_entering(method, narrow=True)))


def field_entry(method: Method) -> Method:
    """:func:`solver_entry` for methods that return a bound field, which is never cast down."""
    return cast(Method, eager(_entering(method, narrow=False)))


def _entering(method: Callable[..., Any], narrow: bool) -> Callable[..., Any]:
    @wraps(method)
    def enter(self: nn.Module, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(x, Tensor):
            raise TypeError(
                f"expected the features as one tensor (got a {type(x).__name__}): a solve carries "
                "one state, so there is no bipartite form"
            )
        _restore_parameters(self)
        mixed = _autocast_is_on(x.device.type)
        half = {f"module.{name}": t.float() for name, t in _tensors(self) if t.dtype in HALF}
        own = next((t.dtype for _, t in _tensors(self) if t.is_floating_point()), None)
        if mixed or half or own is None:
            wide = torch.float32 if own is None or own in HALF else own
            args = tuple(_widened(value, wide) for value in (x, *args))
            kwargs = {name: _widened(value, wide) for name, value in kwargs.items()}
        else:
            args = (x, *args)
        with _without_autocast(x.device.type):
            if half:
                result = functional_call(_Call(method, self), half, args, kwargs)
            else:
                result = method(self, *args, **kwargs)
        if narrow and not mixed and args[0].dtype != x.dtype:
            return _narrowed(result, args[0].dtype, x.dtype)
        return result

    return enter


class _Call(nn.Module):
    """A method as a module, which ``functional_call`` takes."""

    def __init__(self, method: Callable[..., Any], module: nn.Module) -> None:
        super().__init__()
        self.method, self.module = method, module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.method(self.module, *args, **kwargs)


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()


def _restore_parameters(module: nn.Module) -> None:
    # torch.nn.DataParallel replaces the parameters of its replicas by attributes, because they are
    # no leaves, and remembers them here. A replica lives for one forward pass.
    for part in module.modules():
        if getattr(part, "_is_replica", False):
            for name, tensor in part.__dict__.get("_former_parameters", {}).items():
                part.__dict__.pop(name, None)
                part._parameters[name] = tensor


def _autocast_is_on(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    return torch.autocast(device, enabled=False) if _autocast_is_on(device) else nullcontext()


def _widened(value: Any, dtype: torch.dtype) -> Any:
    is_half = isinstance(value, Tensor) and value.dtype in HALF
    return value.to(dtype) if is_half else value


def _narrowed(result: Any, wide: torch.dtype, dtype: torch.dtype) -> Any:
    """A result, or every field of one, in a narrower type; counts and times stay as they are."""

    def cast_down(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(dtype) if value.dtype == wide else value
        if type(value) is tuple and value and all(isinstance(v, Tensor) for v in value):
            return tuple(cast_down(v) for v in value)
        return value

    if is_dataclass(result) and not isinstance(result, type):
        found = {f.name: getattr(result, f.name) for f in fields(result)}
        return replace(result, **{name: cast_down(value) for name, value in found.items()})
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*(cast_down(value) for value in result))
    return cast_down(result)
