"""Graphs a training run would stumble over are refused beforehand."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from grandpp.data import check_data


@pytest.fixture
def data():
    return Data(x=torch.rand(4, 3), edge_index=torch.tensor([[0, 1], [1, 3]]), y=torch.arange(4))


def test_a_sound_graph_passes(data):
    check_data(data)


def test_a_graph_without_edges_passes(data):
    data.edge_index = torch.empty(2, 0, dtype=torch.long)
    check_data(data)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_features_that_are_not_finite_are_counted_and_located(data, value):
    data.x[2, 1] = data.x[3, 0] = value
    with pytest.raises(ValueError, match=r"2 NaN or infinite values, the first at node 2"):
        check_data(data)


@pytest.mark.parametrize("bad", [4, -1, 10**12])
def test_an_edge_to_a_node_that_does_not_exist_is_an_index_error(data, bad):
    data.edge_index[1, 0] = bad
    with pytest.raises(IndexError, match=rf"0 .. 3 for 4 nodes \(got {bad}\)"):
        check_data(data)


@pytest.mark.parametrize("name", ["x", "edge_index", "y"])
def test_a_missing_tensor_is_named(data, name):
    del data[name]
    with pytest.raises(ValueError, match=f"expected a graph with a tensor '{name}'"):
        check_data(data)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x", torch.rand(4)),
        ("x", torch.ones(4, 3, dtype=torch.long)),
        ("edge_index", torch.zeros(3, 2, dtype=torch.long)),
        ("edge_index", torch.zeros(2, 2)),
        ("edge_index", torch.zeros(4, dtype=torch.long)),
        ("y", torch.zeros(3, dtype=torch.long)),
        ("y", torch.zeros(4, 1, dtype=torch.long)),
        ("y", torch.zeros(4)),
    ],
)
def test_a_wrong_shape_or_type_is_refused_with_what_came(data, name, value):
    data[name] = value
    with pytest.raises(ValueError, match=rf"'{name}' of shape .*got \[.*{value.dtype}"):
        check_data(data)


def test_a_negative_label_is_refused(data):
    data.y[1] = -3
    with pytest.raises(ValueError, match=r"labels >= 0, or -1 for none known \(got -3\)"):
        check_data(data)


def test_some_labels_may_be_unknown_but_not_all(data):
    data.y[1] = -1
    check_data(data)
    data.y[:] = -1
    with pytest.raises(ValueError, match=r"a known label \(got -1 for all 4 nodes\)"):
        check_data(data)


def test_sparse_features_are_checked_as_dense_ones(data):
    dense = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 2, float("nan")], [0, float("inf"), 0]])
    data.x = dense.to_sparse_csr()
    with pytest.raises(ValueError, match=r"2 NaN or infinite values, the first at node 2"):
        check_data(data)
    data.x = torch.nan_to_num(dense).to_sparse_csr()
    check_data(data)
    data.x = dense.to_sparse_coo()
    with pytest.raises(ValueError, match=r"torch.sparse_csr \(got torch.sparse_coo\)"):
        check_data(data)
