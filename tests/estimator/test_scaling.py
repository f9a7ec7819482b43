"""Features with units are standardised, others are left as they are."""

import pytest
import torch

from grandpp.estimator.scaling import Scaling


def test_columns_with_units_have_mean_0_and_deviation_1():
    x = torch.tensor([[1990.0, 2e5, 3.0], [2010.0, 4e5, 3.0], [2000.0, 3e5, 3.0]])
    found = Scaling.of(x)(x)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3))
    expected = torch.tensor([1.5**0.5, 1.5**0.5])
    torch.testing.assert_close(found.amax(dim=0)[:2], expected)
    assert (found[:, 2] == 0).all()  # a constant column says nothing, and is not divided by 0
    other = Scaling.of(x)(x + 1)
    torch.testing.assert_close(other - found, (1 / Scaling.of(x).scale).float().expand(3, 3))


@pytest.mark.parametrize("kind", ["binary", "sparse", "negative"])
def test_features_without_units_are_left(kind):
    x = torch.eye(4)
    x = {"binary": x, "sparse": (100 * x).to_sparse_csr(), "negative": -5 * x}[kind]
    assert Scaling.of(x)(x) is x
