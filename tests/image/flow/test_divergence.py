"""Divergences of fields against dense Jacobians."""

from __future__ import annotations

import pytest
import torch

from grandpp.fields import MLPField
from grandpp.fields.bound import as_bound
from grandpp.image.flow import DIVERGENCES, DensityField, draw_noise

F64 = torch.float64
T = torch.tensor(0.3, dtype=F64)


@pytest.fixture
def field():
    torch.manual_seed(1)
    return MLPField(4, (9,), activation="softplus", time=True).double()


def traces(field, z):
    jacobian = torch.func.vmap(torch.func.jacrev(lambda y: field(T, y)))
    return jacobian(z).diagonal(dim1=1, dim2=2).sum(1)


def test_exact_is_the_trace_of_the_jacobian(field):
    z = torch.randn(5, 4, dtype=F64)
    dz, dq = DensityField(as_bound(field), None)(T, (z, z.new_zeros(5)))
    torch.testing.assert_close(dz, field(T, z))
    torch.testing.assert_close(dq, traces(field, z))


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_hutchinsons_estimator_is_unbiased(field, kind):
    z = torch.randn(1, 4, dtype=F64)
    many = z.expand(20_000, 4).contiguous()
    noise = draw_noise(kind, many, torch.Generator().manual_seed(2))
    _, dq = DensityField(as_bound(field), noise)(T, (many, many.new_zeros(len(many))))
    dq = dq.detach()
    error = dq.std() / len(many) ** 0.5
    assert float(error) > 0
    assert abs(float(dq.mean() - traces(field, z)[0])) < 4 * float(error)


def test_noise_has_unit_covariance_and_a_seed():
    z = torch.empty(20_000, 3)
    for kind in ("rademacher", "gaussian"):
        noise = draw_noise(kind, z, torch.Generator().manual_seed(0))
        again = draw_noise(kind, z, torch.Generator().manual_seed(0))
        torch.testing.assert_close(noise.T.cov(), torch.eye(3), atol=0.04, rtol=0)
        assert torch.equal(noise, again)
    signs = draw_noise("rademacher", z)
    assert sorted(signs.unique().tolist()) == [-1.0, 1.0]
    assert draw_noise("exact", z) is None


def test_without_gradients_nothing_is_stored_and_the_input_is_left_alone(field):
    z = torch.randn(2, 4, dtype=F64)
    with torch.no_grad():
        dz, dq = DensityField(as_bound(field), torch.ones_like(z))(T, (z, z.new_zeros(2)))
    assert not dz.requires_grad
    assert not dq.requires_grad
    assert not z.requires_grad


def test_a_field_that_ignores_the_state_has_no_divergence():
    f = as_bound(lambda t, z: torch.ones_like(z))
    z = torch.randn(2, 3)
    with pytest.raises(RuntimeError):  # not differentiable at all: torch says so
        DensityField(f, torch.ones_like(z))(T, (z, z.new_zeros(2)))
    constant = torch.nn.Parameter(torch.ones(3))
    f = as_bound(lambda t, z: constant.expand_as(z))
    _, dq = DensityField(f, torch.ones_like(z))(T, (z, z.new_zeros(2)))
    assert dq.tolist() == [0.0, 0.0]


def test_an_unknown_divergence_is_refused():
    with pytest.raises(ValueError, match=f"one of {', '.join(DIVERGENCES)} .got 'skilling'"):
        draw_noise("skilling", torch.empty(1))
