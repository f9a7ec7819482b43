"""Features with units are standardised, others are left as they are."""

import numpy as np
import pytest
import torch

from grandpp.data.features import select_columns
from grandpp.estimator import NodeClassifier
from grandpp.estimator.figures import map_of_nodes


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
