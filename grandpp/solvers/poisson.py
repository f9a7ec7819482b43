"""Coefficients of the uniformisation series and their derivatives."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import gammaln


@dataclass(frozen=True)
class PoissonSeries:
    """The coefficients p_k and c_k and their derivatives to tau, float64 ``[K + 1]`` each."""

    p: np.ndarray
    c: np.ndarray
    dp: np.ndarray
    dc: np.ndarray

    @classmethod
    def cut(cls, tau: float, tol: float) -> PoissonSeries:
        """Compute as many terms as ``tol`` needs, for both sums."""
        # Far enough for every double: the tail beyond tau + 12 sqrt(tau) + 40 is below 1e-20.
        k = np.arange(int(tau + 12 * math.sqrt(tau) + 40))
        log_tau = math.log(tau) if tau > 0 else -math.inf
        with np.errstate(invalid="ignore"):
            log_p = np.where(k == 0, 0.0, k * log_tau) - tau - gammaln(k + 1)
        p = np.exp(log_p)
        dp = np.concatenate([[0.0], p[:-1]]) - p
        c, dc = (_tail_sums(series / (k + 1)) for series in (p, dp))
        remainder = np.maximum(_tail_sums(p) - p, _tail_sums(c) - c)
        # Two terms at least: with one the derivatives to tau would vanish.
        terms = max(2, int(np.argmax(remainder <= tol / 2)) + 1)
        p, dp = _normalized(p[:terms], dp[:terms])
        c, dc = _normalized(c[:terms], dc[:terms])
        return cls(p, c, dp, dc)

    @property
    def products(self) -> int:
        """Number K of products with A."""
        return len(self.p) - 1


def _tail_sums(series: np.ndarray) -> np.ndarray:
    return np.cumsum(series[::-1])[::-1]


def _normalized(series: np.ndarray, derivative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale a series to the sum 1, and its derivative with it."""
    total = series.sum()
    scaled = series / total
    return scaled, (derivative - scaled * derivative.sum()) / total
