"""Autograd functions that raise an error when differentiated twice."""

from __future__ import annotations

from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor

Function = TypeVar("Function", bound=type[torch.autograd.Function])


def once_differentiable(function: Function) -> Function:
    """Decorate an autograd function whose gradients are constants to autograd.

    With ``create_graph=True`` its gradients can be used in any way but one: differentiating
    through them raises. The decorator of that name in torch does so only where the incoming
    gradient wants a gradient itself, and where the second backward pass is not restricted to some
    inputs; elsewhere the terms through the function would be lost in silence.

    Args:
        function: A subclass of ``torch.autograd.Function``.

    Raises:
        NotImplementedError: In the second backward pass, from ``apply``'s gradients.
    """
    forward, backward = function.forward, function.backward

    @wraps(forward)
    def linked(ctx: Any, *args: Any) -> Any:
        found = forward(ctx, *args)
        wanted = [x for x in args if isinstance(x, Tensor) and x.requires_grad]
        with torch.enable_grad():
            ctx.link = _Refusal.apply(*wanted) if wanted else None
        return found

    @wraps(backward)
    def once(ctx: Any, *grads: Any) -> Any:
        with torch.no_grad():
            found = backward(ctx, *grads)
        if not torch.is_grad_enabled():
            return found
        links = (ctx.link, *(g for g in grads if g is not None and g.requires_grad))
        parts = found if isinstance(found, tuple) else (found,)
        return tuple(None if g is None else _Refusal.apply(*links, g.detach()) for g in parts)

    function.forward, function.backward = staticmethod(linked), staticmethod(once)  # type: ignore
    return function


class _Refusal(torch.autograd.Function):
    """Its last argument as a function of all, whose derivative is refused."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        last = tensors[-1]
        # A link between graphs holds no numbers.
        return last.new_empty(0) if last.requires_grad else last.view_as(last)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> None:
        raise NotImplementedError(
            "expected one differentiation of a solve, or of a balanced source, whose gradient is "
            "computed by a method of its own (got a second one): use a solver with "
            "gradient='direct', such as 'dopri5' or 'tsit5', and source='paper' or attention=None, "
            "for second derivatives"
        )
