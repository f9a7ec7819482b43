r"""Linear systems on a graph, solved exactly: several parts of a state coupled by constants.

.. math:: x_i' = \sum_j \big( C_{ij} + K_{ij} A \big) x_j + s_i

A heavy ball on a graph is one, with the parts position and momentum. Its solution is a function of
A alone: with :math:`G(\lambda) = C + \lambda K`, part i of the state is
:math:`\sum_j f_{ij}(A)\, x_j(0)` where :math:`f(\lambda) = e^{T G(\lambda)}`, a small matrix. Each
f_ij is expanded in powers (any row-stochastic A, whose powers enlarge no maximum) or in Chebyshev
polynomials (A with real spectrum) by sampling it on the unit circle or on [-1, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from grandpp.ops import CSR
from grandpp.solvers.base import SolveStats, Status, VectorField
from grandpp.solvers.polynomial import apply_polynomials

_FIRST_SAMPLES = 64
# Terms this much larger than their sum cancel, and amplify rounding; then the span is divided.
_CANCELLATION = 1e3


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
    """A system whose series is of no use; ``status`` says why."""

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
    """

    coefficients: Tensor
    chebyshev: bool
    steps: int

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
            rtol: Bound on the error of a step relative to each input, a source counted T times.
            max_terms: Most terms of all steps.

        Raises:
            SeriesError: If there are more terms than allowed.
        """
        time = time.to("cpu", torch.float64)
        constant = system.constant.to("cpu", torch.float64)
        coupling = system.coupling.to("cpu", torch.float64)
        driven = [i for i, s in enumerate(system.sources) if s is not None]
        chebyshev = bool(getattr(system, "reversible", False))
        steps, samples = 1, _FIRST_SAMPLES
        while samples * steps <= 8 * max_terms:
            part = time / steps
            series = _transform(constant, coupling, driven, part, samples, chebyshev)
            scale = torch.ones(series.size(1), dtype=torch.float64)
            scale[len(constant) :] = part.detach().clamp_min(1.0)
            size = (series.detach().abs() / scale[:, None]).amax(dim=0)
            remainder = size.flip(-1).cumsum(-1).flip(-1).amax(dim=0)
            if not float(remainder[0]) <= _CANCELLATION:
                steps *= 2
            # Half of the terms must be negligible: what lies beyond them folds back onto these.
            elif float(remainder[len(remainder) // 2]) > rtol:
                samples *= 2
            else:
                terms = max(2, int((remainder > rtol).sum()) + 1)
                return cls(series[..., :terms], chebyshev, steps)
        raise SeriesError(Status.MAX_NFE)

    def apply(self, system: LinearSystem, state: Tensor, stats: SolveStats) -> Tensor:
        """Advance a state ``[parts, N, F]`` by T."""
        sources = [s for s in system.sources if s is not None]
        for _ in range(self.steps):
            inputs = (*state.unbind(0), *sources)
            parts = [
                apply_polynomials(
                    system.csr, system.weight, rows, inputs, chebyshev=self.chebyshev, stats=stats
                )
                for rows in self.coefficients
            ]
            state = torch.stack(parts)
        return state


def _transform(
    constant: Tensor,
    coupling: Tensor,
    driven: list[int],
    time: Tensor,
    samples: int,
    chebyshev: bool,
) -> Tensor:
    """Coefficients ``[parts, inputs, samples / 2]`` from samples on the circle or the interval."""
    angle = 2 * torch.pi * torch.arange(samples, dtype=torch.float64) / samples
    place = angle.cos() if chebyshev else torch.polar(torch.ones_like(angle), angle)
    parts, inputs = len(constant), len(constant) + len(driven)
    g = constant + place[:, None, None] * coupling
    # One row and column per source: its value stays 1 and flows into its part.
    columns = torch.zeros(parts, len(driven), dtype=g.dtype)
    columns[driven, range(len(driven))] = 1
    top = torch.cat([g, columns.expand(samples, -1, -1)], dim=2)
    whole = torch.cat([top, top.new_zeros(samples, len(driven), inputs)], dim=1)
    f = torch.linalg.matrix_exp(time * whole)[:, :parts]
    series = torch.fft.fft(f, dim=0).real[: samples // 2].movedim(0, -1) / samples
    if chebyshev:
        series = torch.cat([series[..., :1], 2 * series[..., 1:]], dim=-1)
    return series
