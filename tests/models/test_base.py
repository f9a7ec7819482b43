"""Sparse features."""

from __future__ import annotations

import torch

from grandpp.models import SparseFeatures, sparse_if_sparse, to_dense


def test_sparse_features_hold_the_same_matrix_and_are_chosen_by_density(sparse_x):
    sparse = sparse_if_sparse(sparse_x)
    assert isinstance(sparse, SparseFeatures)
    assert torch.equal(to_dense(sparse), sparse_x)
    dense = torch.randn(5, 4)
    assert sparse_if_sparse(dense) is dense
