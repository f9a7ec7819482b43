"""Linear systems on a graph against the exponential of their dense matrix."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from grandpp.linalg import CSR
from grandpp.solvers.base import SolveStats, Status
from grandpp.solvers.linear.system import LinearSystem, SeriesError, SystemSeries

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


DAMPED = (torch.tensor([[-0.541]], dtype=F64), torch.tensor([[0.459]], dtype=F64))
SPRING = (torch.tensor([[0.0, 1.0], [-1.1, -1.0]], dtype=F64), BALL[1])
FRICTION = (torch.tensor([[0.0, 1.0], [-0.5, -2.0]], dtype=F64),
            torch.tensor([[0.0, 0.0], [0.5, 0.0]], dtype=F64))  # fmt: skip


def cycle():
    """A walk on a ring that is both symmetric and, without a word of it, any other."""
    place = torch.arange(6)
    row = torch.cat([place, place, place])
    col = torch.cat([place, (place + 1) % 6, (place - 1) % 6])
    csr = CSR.from_coo(row, col, 6, 6)
    weight = torch.full((18,), 1 / 3, dtype=F64)
    dense = torch.zeros(6, 6, dtype=F64).index_put((row, col), weight, accumulate=True)
    return csr, weight, dense


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("time", [1e0, 1e2, 1e3, 1e4, 1e6])
@pytest.mark.parametrize("matrices", [DAMPED, SPRING, FRICTION], ids=["damped", "spring", "ball"])
@pytest.mark.parametrize("driven", [True, False])
def test_no_answer_loses_accuracy_as_the_time_grows(driven, matrices, time, reversible):
    csr, weight, dense = cycle()
    parts = len(matrices[0])
    source = draw(6, 3)
    source = source - source.mean(0)  # balanced, so that a ball without a spring comes to rest
    sources = (*[None] * (parts - 1), source if driven else None)
    system = System(csr, weight, *matrices, sources=sources, reversible=reversible)
    state, T = draw(parts, 6, 3), torch.tensor(time, dtype=F64)
    try:
        series = SystemSeries.expand(system, T, 1e-7, 100_000)
    except SeriesError:
        # Powers of a ball at rest need as many terms as the time is long.
        assert time == 1e6
        assert matrices is FRICTION
        assert not reversible
        return
    got = series.apply(system, state, SolveStats())
    # Mode by mode, with matrices of two or three rows.
    values, modes = torch.linalg.eigh(dense)
    expected = torch.zeros_like(state)
    for value, mode in zip(values, modes.t(), strict=True):
        g = matrices[0] + value * matrices[1]
        wide = torch.zeros(parts + 1, parts + 1, dtype=F64)
        wide[:parts, :parts], wide[parts - 1, parts] = g, 1.0
        step = torch.matrix_exp(wide * time)[:parts]
        start = torch.einsum("n,pnf->pf", mode, state)
        force = mode @ source * (1.0 if driven and abs(value - 1) > 1e-9 else 0.0)
        expected += torch.einsum(
            "n,pf->pnf", mode, step[:, :parts] @ start + step[:, parts:] * force
        )
    assert (got - expected).abs().max() < 1e-6 * expected.abs().max() + 1e-7 * state.abs().max()


def test_a_series_whose_terms_all_lie_beyond_the_samples_is_not_taken_for_short():
    csr, weight, _ = cycle()
    system = System(csr, weight, *FRICTION)
    for time in (150.0, 1000.0, 3000.0, 1e4):
        series = SystemSeries.expand(system, torch.tensor(time, dtype=F64), 1e-8, 100_000)
        constants = torch.ones(2, 6, 1, dtype=F64)
        constants[1] = 0.0
        got = series.apply(system, constants, SolveStats())
        torch.testing.assert_close(got, constants, rtol=0, atol=1e-7)


def test_many_steps_together_keep_the_bound():
    csr, weight, dense = cycle()
    undamped = (torch.tensor([[0.0, 1.0], [-0.5, 0.0]], dtype=F64), FRICTION[1])
    system = System(csr, weight, *undamped, reversible=True)
    series = SystemSeries.expand(system, torch.tensor(4000.0, dtype=F64), 1e-6, 100_000)
    assert series.steps > 1
    got = series.apply(system, draw(2, 6, 3), SolveStats())
    expected = dense_solution(dense, system, draw(2, 6, 3), 4000.0)
    assert (got - expected).abs().max() < 1e-6 * expected.abs().max()


def test_single_precision_loses_nothing_on_a_long_span():
    csr, weight, _ = cycle()
    system = System(csr, weight.float(), *FRICTION, reversible=True)
    series = SystemSeries.expand(system, torch.tensor(1e6, dtype=F64), 1e-8, 100_000)
    got = series.apply(system, draw(2, 6, 3).float(), SolveStats())
    assert got.dtype == torch.float32
    wide = System(csr, weight, *FRICTION, reversible=True)
    want = series.apply(wide, draw(2, 6, 3).float().double(), SolveStats())
    torch.testing.assert_close(got.double(), want, rtol=1e-6, atol=1e-6)
