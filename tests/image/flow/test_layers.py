"""Squeeze, logit and standardisation against autograd and their inverses."""

from __future__ import annotations

import pytest
import torch

from grandpp.image.flow import Chain, Logit, Squeeze, Standardize

F64 = torch.float64


def log_determinant(layer, x):
    """Of one sample, from its dense Jacobian."""
    size = x[0].numel()

    def flat(v):
        return layer(v.view(1, *x.shape[1:])).value.reshape(-1)

    jacobian = torch.autograd.functional.jacobian(flat, x[0].reshape(-1))
    assert jacobian.shape == (size, size)
    return torch.linalg.slogdet(jacobian).logabsdet


@pytest.fixture
def images():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 2, 4, 4, generator=generator, dtype=F64)


def fitted():
    layer = Standardize((2, 4, 4)).double()
    layer.fit(torch.randn(50, 2, 4, 4, dtype=F64) * 3 + 1)
    return layer


@pytest.mark.parametrize(
    "layer",
    [Squeeze(), Logit(0.05), Logit(1e-6), fitted(), Chain(Logit(0.1), Squeeze(), Squeeze())],
)
def test_the_change_of_density_is_autograds_and_the_inverse_undoes(layer, images):
    y, change, stats = layer(images)
    assert stats == ()
    for n in range(2):
        expected = log_determinant(layer, images[n : n + 1])
        torch.testing.assert_close(change[n], expected, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(layer.inverse(y), images, atol=1e-12, rtol=0)


def test_squeeze_takes_each_block_of_pixels_apart():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    y = Squeeze()(x).value
    assert y.shape == (1, 4, 2, 2)
    assert y[0, :, 0, 0].tolist() == [0.0, 1.0, 4.0, 5.0]


def test_logit_is_finite_at_both_ends_in_single_precision():
    y, change, _ = Logit(1e-6)(torch.tensor([[0.0], [1.0]]))
    assert bool(torch.isfinite(y).all() and torch.isfinite(change).all())
    assert float(y[0]) == pytest.approx(-float(y[1]), rel=1e-3)


def test_standardised_data_have_mean_zero_and_deviation_one():
    x = torch.randn(60, 3) * torch.tensor([1.0, 5.0, 0.1]) + 2
    layer = Standardize((3,))
    assert torch.equal(layer(x).value, x)
    layer.fit(x)
    y = layer(x).value
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(3))
    assert "deviation" in layer.state_dict()


def test_wrong_input_is_refused():
    with pytest.raises(ValueError, match=r"even H and W .got \[1, 1, 3, 4\]"):
        Squeeze()(torch.zeros(1, 1, 3, 4))
    for alpha in (0.0, 0.5):
        with pytest.raises(ValueError, match="'alpha' between 0 and 1/2"):
            Logit(alpha)
    with pytest.raises(ValueError, match="vary in every entry"):
        Standardize((2,)).fit(torch.tensor([[1.0, 1.0], [1.0, 2.0]]))
