"""Features with units are standardised, others are left as they are."""

import numpy as np
import pytest
import torch

from grandpp.data.features import select_columns
from grandpp.estimator import NodeClassifier
from grandpp.estimator.figures import map_of_nodes
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


def standardized(data):
    """The same graph, scaled by hand."""
    plain = data.clone()
    plain.x = (data.x - data.x.mean(dim=0)) / data.x.std(dim=0, unbiased=False)
    return plain


def test_suggestions_are_those_of_scaled_features(data):
    data.y = torch.full_like(data.y, -1)
    data.x = data.x * torch.logspace(0, 5, 12)
    clf = NodeClassifier()
    expected = clf.suggest(standardized(data), n=5).tolist()
    assert clf.suggest(data, n=5).tolist() == expected


def test_maps_are_those_of_scaled_features(data):
    small = data.subgraph(torch.arange(9))  # placed without t-SNE, which enlarges rounding
    small.x = small.x * torch.logspace(0, 5, 12)
    wanted = np.zeros(9, dtype=bool)
    found, expected = (map_of_nodes(graph, wanted)[1] for graph in (small, standardized(small)))
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-4)


@pytest.mark.parametrize("order", [[3, 0, 2], [1], [2, 1, 0, 3, 4]])
def test_columns_of_sparse_features_are_selected_without_a_dense_copy(order):
    generator = torch.Generator().manual_seed(0)
    dense = torch.rand(6, 5, generator=generator) * (torch.rand(6, 5, generator=generator) < 0.5)
    index = torch.tensor(order)
    found = select_columns(dense.to_sparse_csr(), index)
    assert found.layout == torch.sparse_csr
    assert torch.equal(found.to_dense(), dense[:, index])
    assert torch.equal(select_columns(dense, index), dense[:, index])
