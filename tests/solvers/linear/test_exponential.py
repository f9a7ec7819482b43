"""The exact solution against dense matrix functions."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pytest
import torch
from reference import to_dense
from torch import Tensor

from grandpp.graph import prepare_graph, row_normalize
from grandpp.layers import GRANDConv
from grandpp.linalg import CSR
from grandpp.solvers import Status, solve


@dataclass
class Field:
    """A linear field as the solver sees it."""

    csr: CSR
    weight: Tensor
    alpha: Tensor
    source: Tensor | None

    def __call__(self, t, y):
        raise AssertionError("the exact solver needs no evaluation")


@pytest.fixture
def case(karate, features):
    graph = prepare_graph(karate, 34)
    generator = torch.Generator().manual_seed(3)
    raw = torch.rand(graph.csr.col.numel(), generator=generator, dtype=torch.float64)
    total = torch.zeros(34, dtype=torch.float64).index_add(0, graph.csr.row, raw)
    weight = raw / total[graph.csr.row]
    source = torch.randn(34, 8, generator=generator, dtype=torch.float64)
    alpha = torch.tensor(0.7, dtype=torch.float64)
    return graph, Field(graph.csr, weight, alpha, source), features


def dense_solution(graph, field, y0, time):
    """exp of the augmented matrix [[tB, ts], [0, 0]], column by column of s."""
    n, columns = y0.shape
    b = field.alpha * (to_dense(graph, field.weight) - torch.eye(n))
    out = []
    for c in range(columns):
        augmented = torch.zeros(n + 1, n + 1, dtype=torch.float64)
        augmented[:n, :n] = time * b
        if field.source is not None:
            augmented[:n, n] = time * field.source[:, c]
        column = torch.cat([y0[:, c], torch.ones(1, dtype=torch.float64)])
        out.append((torch.matrix_exp(augmented) @ column)[:n])
    return torch.stack(out, dim=1)


@pytest.mark.parametrize("time", [0.01, 1.0, 18.3, 300.0])
@pytest.mark.parametrize("with_source", [True, False])
def test_solution_equals_the_matrix_exponential_with_and_without_source(case, time, with_source):
    graph, field, y0 = case
    field.source = field.source if with_source else None
    y = solve(field, y0, (0.0, time), solver="exact", rtol=1e-12).y
    torch.testing.assert_close(y, dense_solution(graph, field, y0, time), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-8])
@pytest.mark.parametrize("time", [1.0, 18.3, 100.0])
def test_error_stays_below_the_bound_promised_before_the_first_product(case, rtol, time):
    graph, field, y0 = case
    y = solve(field, y0, (0.0, time), solver="exact", rtol=rtol).y
    error = (y - dense_solution(graph, field, y0, time)).abs().max()
    assert error <= rtol * (y0.abs().max() + time * field.source.abs().max())


def test_products_are_tau_plus_a_few_roots_and_are_counted(case):
    _, field, y0 = case
    tau = 0.7 * 100
    solution = solve(field, y0, (0.0, 100.0), solver="exact", rtol=1e-6)
    assert tau < solution.stats.nfe_forward < tau + 6 * tau**0.5 + 5


def test_gradients_to_weights_rate_time_state_and_source_pass_gradcheck(path):
    graph = prepare_graph(path, 4)
    generator = torch.Generator().manual_seed(5)
    count = graph.csr.col.numel()

    def rand(*size):
        return torch.rand(*size, generator=generator, dtype=torch.float64).requires_grad_()

    def run(raw, alpha, time, y0, source):
        total = torch.zeros(4, dtype=torch.float64).index_add(0, graph.csr.row, raw)
        field = Field(graph.csr, raw / total[graph.csr.row], alpha, source)
        return solve(field, y0, (0.0, time), solver="exact", rtol=1e-14).y

    inputs = (
        rand(count),
        rand(()),
        (20 * rand(())).detach().requires_grad_(),
        rand(4, 2),
        rand(4, 2),
    )
    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("kept_bytes", [0, 2**25])
def test_the_reversed_trajectory_of_a_deep_solve_gives_the_gradient_of_autograd(
    case, kept_bytes, monkeypatch
):
    # With few kept states 200 products visit three levels of them, with many all are kept.
    monkeypatch.setattr("grandpp.solvers.linear.recursion._KEPT_BYTES", kept_bytes)
    graph, field, y0 = case
    weight = field.weight.clone().requires_grad_()
    field.weight, field.source = weight, None
    solution = solve(field, y0, (0.0, 200.0), solver="exact", rtol=1e-10)
    solution.y.pow(3).sum().backward()
    forward = solution.stats.nfe_forward
    # Nothing, or each level once, is computed again.
    again = solution.stats.nfe_backward - forward
    assert again == 0 if kept_bytes else forward < again < 3 * forward

    other = field.weight.detach().clone().requires_grad_()
    dense = to_dense(graph, other)
    (torch.matrix_exp(140 * (dense - torch.eye(34))) @ y0).pow(3).sum().backward()
    torch.testing.assert_close(weight.grad, other.grad, rtol=1e-6, atol=1e-8)


def test_saved_times_follow_one_another(case):
    graph, field, y0 = case
    solution = solve(field, y0, (0.0, 4.0), solver="exact", rtol=1e-12, save_at=[0.0, 1.0, 4.0])
    assert torch.equal(solution.ys[0], y0)
    for i, t in ((1, 1.0), (2, 4.0)):
        torch.testing.assert_close(solution.ys[i], dense_solution(graph, field, y0, t))


def test_backward_time_is_refused(case):
    _, field, y0 = case
    with pytest.raises(ValueError, match="ill-posed"):
        solve(field, y0, (1.0, 0.0), solver="exact")


def test_a_depth_beyond_the_budget_is_a_status_before_anything_is_allocated(case):
    _, field, y0 = case
    for time in (1e6, 1e300):
        solution = solve(field, y0, (0.0, time), solver="exact", throw=False)
        assert solution.status is Status.MAX_NFE
        assert solution.stats.nfe_forward == 0


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_number_of_device_reads_does_not_grow_with_the_products(path):
    device = torch.device("cuda")
    conv = GRANDConv(3, time=1.0, attention=None, solver="exact").to(device)
    x = torch.rand(4, 3, device=device)
    edges = path.to(device)
    reads = []
    for time in (1.0, 1.0, 100.0):
        conv.time = time
        torch.cuda.set_sync_debug_mode("warn")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            conv(x, edges)
        torch.cuda.set_sync_debug_mode("default")
        reads.append(sum("synchroniz" in str(w.message) for w in caught))
    # The first call builds the graph.
    assert reads[2] == reads[1]


@pytest.mark.parametrize("reversible", [True, False])
@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("time", [1e2, 1e4, 1e6])
def test_the_error_is_relative_to_the_answer_however_long_a_source_flows(
    karate, features, time, balanced, reversible
):
    graph = prepare_graph(karate, 34)
    weight = row_normalize(graph, torch.ones(graph.csr.col.numel(), dtype=torch.float64))
    degree = torch.zeros(34, dtype=torch.float64).index_add(
        0, graph.csr.row, torch.ones_like(weight)
    )
    source = features.cos()
    if balanced:  # then the answer stops growing
        source = source - (degree @ source) / degree.sum()
    field = Field(graph.csr, weight, torch.tensor(0.5, dtype=torch.float64), source)
    field.reversible = reversible
    solution = solve(field, torch.zeros_like(features), (0.0, time), solver="exact", throw=False)
    if time == 1e6 and not reversible:
        assert solution.status is Status.MAX_NFE
        return
    # Mode by mode: the walk is similar to a symmetric matrix.
    root = degree.sqrt().unsqueeze(-1)
    values, modes = torch.linalg.eigh(root * to_dense(graph, weight) / root.t())
    rate = 0.5 * (values - 1).clamp(max=-1e-15)
    expected = modes @ (
        (torch.expm1(time * rate) / rate).unsqueeze(-1) * (modes.t() @ (root * source))
    )
    expected = expected / root
    assert (solution.y - expected).abs().max() < 1e-5 * expected.abs().max()


@pytest.mark.parametrize("with_source", [True, False])
def test_single_precision_loses_nothing_on_a_long_span(karate, features, with_source):
    answers = {}
    for dtype in (torch.float32, torch.float64):
        conv = GRANDConv(8, time=1e5, attention=None, learn_beta=True, rtol=1e-7, solver="exact")
        conv = conv.to(dtype)
        conv.beta.data.fill_(0.5 if with_source else 0.0)
        if not with_source:
            conv.register_parameter("beta", None)
        x = features.float().to(dtype).requires_grad_()
        y = conv(x, karate)
        (grad,) = torch.autograd.grad(y.square().mean(), x)
        assert y.dtype == dtype
        answers[dtype] = y.double(), grad.double()
    for got, want in zip(*answers.values(), strict=True):
        assert (got - want).abs().max() < 2e-6 * want.abs().max()
