"""Choose the kernels of sparse products on the GPU: torch.sparse or Triton."""

from __future__ import annotations

import os
from functools import cache
from importlib import import_module
from types import ModuleType, TracebackType

import torch
from torch import Tensor

_TYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
_enabled = os.environ.get("GRANDPP_TRITON") == "1"


class use_triton:
    """Switch the Triton kernels on or off for all products on CUDA tensors, of every thread.

    They have been checked in Triton's interpreter and compiled, but have not run on a GPU yet, so
    torch.sparse stays the default. ``GRANDPP_TRITON=1`` in the environment switches them on from
    the start. Takes effect at once, and until the end of the block if it opens one: ``with
    use_triton(): ...``. A backward pass uses the setting of the time it runs at.

    With the kernels, nonlinear diffusion with ``"scaled_dot"`` attention that is prepared under
    the switch never holds its operator, so hooks on the attention module do not fire.

    Args:
        enabled: On or off. (default: ``True``)

    Raises:
        ImportError: If switched on without the package ``triton``.

    Note:
        With ``TRITON_INTERPRET=1`` set before Triton is imported, which importing PyG does, the
        kernels run, slowly, on the CPU, and the switch then holds for CPU tensors too.
    """

    def __init__(self, enabled: bool = True) -> None:
        global _enabled
        if enabled:
            _launchers()
        self.enabled = enabled
        self.before, _enabled = _enabled, enabled

    def __enter__(self) -> None:
        """Keep the setting for a block."""
        global _enabled
        _enabled = self.enabled

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the setting from before the block."""
        global _enabled
        _enabled = self.before


def triton_for(*tensors: Tensor) -> ModuleType | None:
    """The module of Triton products, if it is switched on and takes these tensors.

    Raises:
        ImportError: If the environment switched it on without the package ``triton``.
    """
    if not _enabled or not (tensors[0].is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        return None
    launchers, first = _launchers(), tensors[0]
    alike = all(t.dtype == first.dtype and t.device == first.device for t in tensors)
    runs = first.device.type == "cuda" or (launchers.INTERPRETED and first.device.type == "cpu")
    return launchers if alike and runs and first.dtype in _TYPES else None


@cache
def _launchers() -> ModuleType:
    try:
        return import_module("grandpp.linalg.experimental.triton_products")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "triton":
            raise
        raise ImportError(
            "expected the package 'triton', which use_triton() and GRANDPP_TRITON=1 need; "
            "it comes with torch's CUDA builds on Linux, or pip install 'grandpp[triton]'"
        ) from error
