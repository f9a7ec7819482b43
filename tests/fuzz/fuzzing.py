"""The decorator of a property, and how results are compared."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import given, seed, settings
from profiles import DEFAULT_SEED, SHARES
from torch import Tensor


@dataclass
class Run:
    """The profile and the seed of this test run."""

    profile: str = "ci"
    seed: int = DEFAULT_SEED

    def cases(self, nightly: int) -> int:
        """The number of cases of a property that takes ``nightly`` of them in a nightly run."""
        return max(1, math.ceil(nightly * SHARES[self.profile]))


RUN = Run()
COUNTS: Counter[str] = Counter()
"""Cases that ran, by property."""


def fuzz(cases: int, **strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test on random cases.

    Args:
        cases: Their number in a nightly run; the ``ci`` profile takes a tenth.
        **strategies: One strategy for each argument of the test.
    """

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def counted(**drawn: Any) -> None:
            COUNTS[f"{test.__module__}::{test.__name__}"] += 1
            test(**drawn)

        return seed(RUN.seed)(settings(max_examples=RUN.cases(cases))(given(**strategies)(counted)))

    return decorate


def assert_near(got: Tensor, expected: Tensor, tolerance: float, what: str = "values") -> None:
    """Compare within ``tolerance`` times the size of the expected tensor, 1 at least."""
    got, expected = got.detach().double(), expected.detach().double()
    assert got.shape == expected.shape, f"{what}: shape {list(got.shape)}, {list(expected.shape)}"
    if expected.numel() == 0:
        return
    size = max(1.0, float(expected.abs().max()))
    error = float((got - expected).abs().max()) / size
    assert error <= tolerance, (
        f"{what}: error {error:.2e} > {tolerance:.0e}\ngot {got.tolist()}\n"
        f"expected {expected.tolist()}"
    )


def gradients(loss: Tensor, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Gradients by name, zeros where a tensor is not used."""
    if not loss.requires_grad:
        return {name: torch.zeros_like(v) for name, v in tensors.items()}
    found = torch.autograd.grad(loss, list(tensors.values()), allow_unused=True)
    return {
        name: torch.zeros_like(v) if g is None else g
        for (name, v), g in zip(tensors.items(), found, strict=True)
    }
