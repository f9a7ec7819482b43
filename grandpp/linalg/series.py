r"""Polynomials in A for the exact solution of linear diffusion, and their derivatives to tau.

.. math:: e^{\tau (x - 1)} \approx \sum_k p_k B_k(x), \qquad
          \int_0^1 e^{u \tau (x - 1)} du \approx \sum_k c_k B_k(x)

in powers B_k = x^k (Poisson probabilities, about tau + 6 sqrt(tau) terms) or in Chebyshev
polynomials B_k = T_k (scaled Bessel functions, about sqrt(2 tau log(1/tol)) terms).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.fft import dct
from scipy.special import gammaln, ive


@dataclass(frozen=True)
class Series:
    """Coefficients p_k and c_k and their derivatives to tau, float64 ``[K + 1]`` each.

    Args:
        p, c: Coefficients of both functions; each sums to 1, so constants are kept exactly.
        dp, dc: Their derivatives.
        chebyshev: Whether they multiply Chebyshev polynomials or powers.
    """

    p: np.ndarray
    c: np.ndarray
    dp: np.ndarray
    dc: np.ndarray
    chebyshev: bool

    @property
    def products(self) -> int:
        """Number K of products with A."""
        return len(self.p) - 1

    @classmethod
    def powers(cls, tau: float, tol: float, integral_tol: float | None = None) -> Series:
        """Cut the Poisson series where both remainders are below their tolerance.

        Args:
            tau: The exponent, >= 0.
            tol: Bound on the remainder of the exponential.
            integral_tol: Bound on that of the integral. (default: ``None``, ``tol``)
        """
        # Far enough for every double: the tail beyond tau + 12 sqrt(tau) + 40 is below 1e-20.
        k = np.arange(int(tau + 12 * math.sqrt(tau) + 40))
        log_tau = math.log(tau) if tau > 0 else -math.inf
        with np.errstate(invalid="ignore"):
            log_p = np.where(k == 0, 0.0, k * log_tau) - tau - gammaln(k + 1)
        p = np.exp(log_p)
        dp = np.concatenate([[0.0], p[:-1]]) - p
        c, dc = (_tail_sums(series / (k + 1)) for series in (p, dp))
        return cls._cut(p, c, dp, dc, (tol, integral_tol or tol), chebyshev=False)

    @classmethod
    def chebyshev_polynomials(
        cls, tau: float, tol: float, integral_tol: float | None = None
    ) -> Series:
        """Cut the Chebyshev series; arguments as in :meth:`powers`, for tau > 0."""
        # |p_k| falls like exp(-k^2 / 2 tau): beyond 12 sqrt(tau) + 40 nothing is left of a double.
        k = np.arange(int(12 * math.sqrt(tau) + 40))
        twice = np.where(k == 0, 1.0, 2.0)
        p = twice * ive(k, tau)
        dp = twice * ((ive(np.abs(k - 1), tau) + ive(k + 1, tau)) / 2 - ive(k, tau))
        n = 2 * len(k)
        # 1 - cos without the cancellation that a large tau would enlarge.
        z = 2 * tau * np.sin((np.arange(n) + 0.5) * np.pi / (2 * n)) ** 2
        h = -np.expm1(-z) / z
        c, dc = (dct(v, type=2)[: len(k)] * twice / (2 * n) for v in (h, (np.exp(-z) - h) / tau))
        return cls._cut(p, c, dp, dc, (tol, integral_tol or tol), chebyshev=True)

    @classmethod
    def _cut(
        cls,
        p: np.ndarray,
        c: np.ndarray,
        dp: np.ndarray,
        dc: np.ndarray,
        tols: tuple[float, float],
        chebyshev: bool,
    ) -> Series:
        remainder = np.maximum(
            *(
                (_tail_sums(np.abs(v)) - np.abs(v)) / tol
                for v, tol in zip((p, c), tols, strict=True)
            )
        )
        # Scaling the cut sums back to 1 at most doubles the error. Two terms at least: with one
        # the derivatives to tau would vanish.
        terms = max(2, int(np.argmax(remainder <= 0.5)) + 1)
        p, dp = _normalized(p[:terms], dp[:terms])
        c, dc = _normalized(c[:terms], dc[:terms])
        return cls(p, c, dp, dc, chebyshev)


def _tail_sums(series: np.ndarray) -> np.ndarray:
    return np.cumsum(series[::-1])[::-1]


def _normalized(series: np.ndarray, derivative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scale a series to the sum 1, and its derivative with it."""
    total = series.sum()
    scaled = series / total
    return scaled, (derivative - scaled * derivative.sum()) / total
