r"""Linear systems on a graph, solved exactly: several parts of a state coupled by constants.

.. math:: x_i' = \sum_j \big( C_{ij} + K_{ij} A \big) x_j + s_i

A heavy ball on a graph is one, with the parts position and momentum. Its solution is a function of
A alone: with :math:`G(\lambda) = C + \lambda K`, part i of the state is
:math:`\sum_j f_{ij}(A)\, x_j(0)` where :math:`f(\lambda) = e^{T G(\lambda)}`, a small matrix. Each
f_ij is expanded in powers (any row-stochastic A, whose powers enlarge no maximum) or in Chebyshev
polynomials (A with real spectrum) by sampling it on the unit circle or on [-1, 1].
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from grandpp.linalg import CSR
from grandpp.solvers.base import SolveStats, Status
from grandpp.solvers.linear.polynomial import apply_polynomials, rounding, widen
from grandpp.vector_field import VectorField

_FIRST_SAMPLES = 64
# Terms this much larger than their sum cancel, and amplify rounding; then the span is divided.
_CANCELLATION = 1e3
# Those of a balanced source cancel however the span is divided, which double precision bears.
_SOURCE_CANCELLATION = 1e7
# Rounding of a sampled function, per sample and relative to its largest value.
_ROUNDING = 1e-16
# Terms of the exponential of a matrix of norm 1/2 until they are rounding.
_TAYLOR = 15


@runtime_checkable
class LinearSystem(VectorField, Protocol):
    """A field on states ``[parts, N, F]`` that is such a system with row-stochastic A."""

    @property
    def csr(self) -> CSR:
        """Pattern of A, ``[N, N]``."""
        ...

    @property
    def weight(self) -> Tensor:
        """Values of A in the order of ``csr``, ``[nnz]``."""
        ...

    @property
    def constant(self) -> Tensor:
        """C ``[parts, parts]``."""
        ...

    @property
    def coupling(self) -> Tensor:
        """K ``[parts, parts]``."""
        ...

    @property
    def sources(self) -> Sequence[Tensor | None]:
        """s_i ``[N, F]`` or ``None``, for each part."""
        ...


class SeriesError(Exception):
    """A system whose series cannot be used; ``status`` gives the reason."""

    def __init__(self, status: Status) -> None:
        self.status = status
        super().__init__(status.value)


@dataclass(frozen=True)
class SystemSeries:
    """Coefficients of every part's dependence on every input.

    Args:
        coefficients: ``[parts, inputs, K + 1]``, float64 on the CPU, differentiable by C, K and T.
        chebyshev: Whether they multiply Chebyshev polynomials or powers.
        steps: How many times they are applied: each covers that share of the span.
        cancellation: Sum of the sizes of their terms over that of the result.
    """

    coefficients: Tensor
    chebyshev: bool
    steps: int
    cancellation: float

    @property
    def products(self) -> int:
        """Products with A for all parts and steps."""
        parts, _, terms = self.coefficients.shape
        return self.steps * parts * (terms - 1)

    @classmethod
    def expand(
        cls, system: LinearSystem, time: Tensor, rtol: float, max_terms: int
    ) -> SystemSeries:
        """Sample, transform, and cut where the remainder is below ``rtol``.

        Where terms cancel (an oscillation that operators far from symmetric may amplify, and
        powers have to allow for it) the span is halved until they do not.

        Args:
            system: The system.
            time: T, a scalar.
            rtol: Bound on the error relative to each input; rounding where that is larger. A
                source counts for the time min(T, 1 / r) with the fastest rate r of the system, the
                least that its effect can have grown to: damping or balance may keep that from
                growing with T.
            max_terms: Most terms of all steps.

        Raises:
            SeriesError: If there are more terms than allowed.
        """
        time = time.to("cpu", torch.float64)
        constant = system.constant.to("cpu", torch.float64)
        coupling = system.coupling.to("cpu", torch.float64)
        driven = [i for i, s in enumerate(system.sources) if s is not None]
        chebyshev = bool(getattr(system, "reversible", False))
        rate = float((constant.abs() + coupling.abs()).sum(1).amax().detach())
        steps, samples = 1, _FIRST_SAMPLES
        # Beyond, even the least number of terms that so many samples are taken for is too large.
        most = (8 if chebyshev else 4) * max_terms // len(constant)
        while samples * steps <= max(most, _FIRST_SAMPLES):
            part = time / steps
            series = _transform(constant, coupling, driven, part, samples, chebyshev)
            least = torch.ones(series.size(1), dtype=torch.float64)
            least[len(constant) :] = min(float(part.detach()), 1 / max(rate, 1e-300))
            size = series.detach().abs().amax(dim=0) / least[:, None]
            sums = size.sum(-1)
            states, sources = float(sums[: len(constant)].amax()), float(sums.amax())
            # What one step leaves as error, later ones may carry on and enlarge.
            tol = rtol if steps == 1 else max(rtol / (steps**2 * max(1.0, states)), 4e-14 * sources)
            remainder = size.flip(-1).cumsum(-1).flip(-1).amax(dim=0)
            # Coefficients are known to rounding, which grows with their number: more samples would
            # never bring a remainder of rounding below the tolerance.
            half = float(remainder[len(remainder) // 2])
            if half <= _ROUNDING * samples * sources:
                tol = max(tol, half)
            if not (states <= _CANCELLATION and sources <= _SOURCE_CANCELLATION):
                steps *= 2
            # Half of the terms must be negligible: what lies beyond them folds back onto these,
            # or, far beyond, onto others, which shows at the places between the samples.
            elif half > tol or not _holds_between(
                series, constant, coupling, driven, part, chebyshev, tol * least
            ):
                samples *= 2
            else:
                terms = max(2, int((remainder > tol).sum()) + 1)
                return cls(series[..., :terms], chebyshev, steps, sources)
        raise SeriesError(Status.MAX_NFE)

    def apply(self, system: LinearSystem, state: Tensor, stats: SolveStats) -> Tensor:
        """Advance a state ``[parts, N, F]`` by T."""
        degree = self.coefficients.size(-1) - 1
        error = self.steps * rounding(degree, self.chebyshev, self.cancellation)
        given = (*state.unbind(0), *(s for s in system.sources if s is not None))
        weight, inputs = widen(system.csr, system.weight, given, error)
        sources = inputs[len(state) :]
        for _ in range(self.steps):
            parts = [
                apply_polynomials(
                    system.csr, weight, rows, inputs, chebyshev=self.chebyshev, stats=stats
                )
                for rows in self.coefficients
            ]
            inputs = (*parts, *sources)
        return torch.stack(parts).to(state.dtype)


def _transform(
    constant: Tensor,
    coupling: Tensor,
    driven: list[int],
    time: Tensor,
    samples: int,
    chebyshev: bool,
) -> Tensor:
    """Coefficients from samples on the circle or the interval.

    ``[parts, inputs, samples]`` of powers, and the first half of as many Chebyshev polynomials,
    whose other half repeats it.
    """
    angle = 2 * torch.pi * torch.arange(samples, dtype=torch.float64) / samples
    f = _exponential(constant, coupling, driven, time, angle, chebyshev)
    series = torch.fft.fft(f, dim=0).real.movedim(0, -1) / samples
    if chebyshev:
        series = series[..., : samples // 2]
        series = torch.cat([series[..., :1], 2 * series[..., 1:]], dim=-1)
    return series


@torch.no_grad()
def _holds_between(
    series: Tensor,
    constant: Tensor,
    coupling: Tensor,
    driven: list[int],
    time: Tensor,
    chebyshev: bool,
    tol: Tensor,
) -> bool:
    """Whether the series equals its function midway between its samples, for each input."""
    samples = series.size(-1) * (2 if chebyshev else 1)
    turn = torch.pi * torch.arange(series.size(-1), dtype=torch.float64) / samples
    angle = 2 * torch.pi * (torch.arange(samples, dtype=torch.float64) + 0.5) / samples
    exact = _exponential(constant, coupling, driven, time, angle, chebyshev)
    shifted = torch.polar(series, turn.expand_as(series))
    found = samples * torch.fft.ifft(shifted, n=samples, dim=-1).movedim(-1, 0)
    difference = ((found.real if chebyshev else found) - exact).abs().amax(dim=(0, 1))
    # Both are known to rounding alone, of scaling and squaring too.
    noise = exact.abs().amax(dim=(0, 1)) * _ROUNDING * samples
    return bool((difference <= 4 * tol + noise).all())


def _exponential(
    constant: Tensor,
    coupling: Tensor,
    driven: list[int],
    time: Tensor,
    angle: Tensor,
    chebyshev: bool,
) -> Tensor:
    """The matrix function ``[places, parts, inputs]`` at angles of the circle or interval."""
    # The slow modes are those near 1, and a long time enlarges the rounding of their rates.
    distance = 2 * (angle / 2).sin().square()
    if not chebyshev:
        distance = torch.complex(distance, -angle.sin())
    parts, inputs = len(constant), len(constant) + len(driven)
    g = (constant + coupling) - distance[:, None, None] * coupling
    # One row and column per source: its value stays 1 and flows into its part.
    columns = torch.zeros(parts, len(driven), dtype=g.dtype)
    columns[driven, range(len(driven))] = 1
    top = torch.cat([g, columns.expand(len(angle), -1, -1)], dim=2)
    whole = torch.cat([top, top.new_zeros(len(angle), len(driven), inputs)], dim=1)
    start = torch.eye(inputs, dtype=torch.float64)[:parts]
    return start + _exponential_minus_one(time * whole)[:, :parts]


def _exponential_minus_one(matrices: Tensor) -> Tensor:
    r""":math:`e^M - I` by scaling and squaring, :math:`e^{2M} - I = 2 E + E^2`.

    Squaring :math:`e^M` itself enlarges the rounding of its ones by the norm of M, which is as
    large as the time span is long.
    """
    norm = float(matrices.detach().abs().sum(-1).amax())
    squarings = max(0, math.ceil(math.log2(norm)) + 1) if 0 < norm < math.inf else 0
    small = matrices / 2.0**squarings
    total = term = small
    for k in range(2, _TAYLOR + 1):
        term = term @ small / k
        total = total + term
    for _ in range(squarings):
        total = 2 * total + total @ total
    return total
