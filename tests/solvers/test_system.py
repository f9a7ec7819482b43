"""Linear systems on a graph against the exponential of their dense matrix."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from grandpp.ops import CSR
from grandpp.solvers.base import SolveStats, Status
from grandpp.solvers.system import LinearSystem, SeriesError, SystemSeries

F64 = torch.float64
BALL = (torch.tensor([[0.0, 1.0], [-0.8, -0.3]], dtype=F64),
        torch.tensor([[0.0, 0.0], [0.8, 0.0]], dtype=F64))  # fmt: skip


@dataclass(frozen=True)
class System:
    csr: CSR
    weight: Tensor
    constant: Tensor
    coupling: Tensor
    sources: tuple[Tensor | None, ...] = (None, None)
    reversible: bool = False

    def __call__(self, t, y):
        raise AssertionError("the series needs no evaluation")


def dense_solution(dense, system, state, time):
    """e^{T M} on the stacked state, with one more unit per source."""
    n, parts = len(dense), len(system.constant)
    m = torch.kron(system.constant, torch.eye(n, dtype=F64))
    m = m + torch.kron(system.coupling, dense)
    drive = torch.cat([
        torch.zeros(n, state.size(-1), dtype=F64) if s is None else s for s in system.sources
    ])  # fmt: skip
    # Column by column: x' = M x + s is linear in (x, 1).
    out = []
    for x, s in zip(state.reshape(parts * n, -1).t(), drive.t(), strict=True):
        wide = torch.zeros(parts * n + 1, parts * n + 1, dtype=F64)
        wide[:-1, :-1], wide[:-1, -1] = m, s
        out.append((torch.matrix_exp(time * wide) @ torch.cat([x, torch.ones(1)]))[:-1])
    return torch.stack(out, dim=1).view_as(state)


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(5), dtype=F64)


@pytest.mark.parametrize("driven", [False, True])
@pytest.mark.parametrize("time", [1e-3, 2.0, 9.0])
def test_solutions_are_those_of_the_dense_exponential(operator, driven, time):
    csr, weight, dense = operator
    system = System(csr, weight, *BALL, sources=(None, draw(6, 3) if driven else None))
    assert isinstance(system, LinearSystem)
    state, stats = draw(2, 6, 3), SolveStats()
    series = SystemSeries.expand(system, torch.tensor(time, dtype=F64), 1e-12, 10_000)
    got = series.apply(system, state, stats)
    torch.testing.assert_close(got, dense_solution(dense, system, state, time), rtol=0, atol=1e-9)
    assert stats.nfe_forward == series.products


def test_a_symmetric_operator_takes_fewer_terms_of_chebyshev():
    walk = torch.full((6, 6), 1 / 6, dtype=F64)
    row, col = walk.nonzero(as_tuple=True)
    full = CSR.from_coo(row, col, 6, 6)
    time, state = torch.tensor(40.0, dtype=F64), draw(2, 6, 3)
    terms = {}
    for reversible in (False, True):
        system = System(full, walk.view(-1), *BALL, reversible=reversible)
        series = SystemSeries.expand(system, time, 1e-10, 100_000)
        assert series.chebyshev is reversible
        got = series.apply(system, state, SolveStats())
        torch.testing.assert_close(
            got, dense_solution(walk, system, state, 40.0), rtol=0, atol=1e-8
        )
        terms[reversible] = series.products
    assert terms[True] < terms[False]


def test_terms_that_would_cancel_divide_the_span(operator):
    csr, weight, dense = operator
    undamped = (torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=F64), BALL[1])
    system = System(csr, weight, *undamped)
    series = SystemSeries.expand(system, torch.tensor(60.0, dtype=F64), 1e-10, 100_000)
    assert series.steps > 1
    got = series.apply(system, draw(2, 6, 3), SolveStats())
    torch.testing.assert_close(
        got, dense_solution(dense, system, draw(2, 6, 3), 60.0), rtol=1e-5, atol=1e-5
    )


def test_coefficients_carry_the_gradient_of_the_constants_and_the_time(operator):
    csr, weight, _ = operator
    state = draw(2, 6, 1)

    def run(constant, coupling, time):
        system = System(csr, weight, constant, coupling)
        series = SystemSeries.expand(system, time, 1e-13, 1000)
        return series.apply(system, state, SolveStats())

    inputs = (*(m.clone().requires_grad_() for m in BALL), torch.tensor(1.3, dtype=F64))
    inputs[2].requires_grad_()
    assert torch.autograd.gradcheck(run, inputs, atol=1e-6)


def test_more_terms_than_allowed_are_a_status(operator):
    csr, weight, _ = operator
    with pytest.raises(SeriesError) as stop:
        SystemSeries.expand(System(csr, weight, *BALL), torch.tensor(1e5, dtype=F64), 1e-8, 100)
    assert stop.value.status is Status.MAX_NFE
