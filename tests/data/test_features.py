"""Features in compressed rows: the same numbers as dense ones, and where they are chosen."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch_geometric.transforms as T
from torch_geometric.data import Data

from grandpp.data import graph_statistics, load_dataset, low_label_split, rewire
from grandpp.data.features import (
    binary,
    entries_per_row,
    is_sparse,
    normalize_rows,
    scale_features,
    select_rows,
    unit_rows,
    with_layout,
)


@pytest.fixture
def x():
    torch.manual_seed(0)
    x = torch.rand(9, 7) * (torch.rand(9, 7) < 0.3)
    x[4] = 0
    x[2] = 3.0
    return x


def test_rows_are_chosen_in_any_order_and_more_than_once(x):
    index = torch.tensor([8, 4, 2, 2, 0])
    found = select_rows(x.to_sparse_csr(), index)
    assert is_sparse(found)
    assert torch.equal(found.to_dense(), x[index])
    assert torch.equal(select_rows(x, index), x[index])
    assert select_rows(x.to_sparse_csr(), index[:0]).shape == (0, 7)


def test_rows_are_normalized_as_pyg_does(x):
    before = x.to_sparse_csr()
    found = normalize_rows(before)
    expected = T.NormalizeFeatures()(Data(x=x.clone())).x
    torch.testing.assert_close(found.to_dense(), expected)
    assert torch.equal(before.to_dense(), x)


def test_unit_rows_have_norm_one_in_both_layouts_and_empty_rows_stay(x):
    before = x.to_sparse_csr()
    expected = torch.nn.functional.normalize(x, dim=1)
    torch.testing.assert_close(unit_rows(x), expected)
    torch.testing.assert_close(unit_rows(before).to_dense(), expected)
    assert torch.equal(before.to_dense(), x)
    small = 1e-30 * x  # whose squares are no longer numbers of single precision
    torch.testing.assert_close(unit_rows(small), expected)
    torch.testing.assert_close(unit_rows(small.to_sparse_csr()).to_dense(), expected)
    whole = torch.tensor([[3, -4], [0, 0]])
    assert torch.equal(unit_rows(whole), torch.tensor([[0.6, -0.8], [0.0, 0.0]]))


def test_forms_of_features_by_name(x):
    assert scale_features(x, None) is x
    assert scale_features(x, "rows") is x
    assert torch.equal(scale_features(x, "binary"), binary(x))
    assert torch.equal(scale_features(x, "unit"), unit_rows(x))


def test_words_and_their_numbers_count_no_stored_zeros(x):
    sparse = x.to_sparse_csr()
    sparse.values()[0] = 0.0
    dense = sparse.to_dense()
    assert torch.equal(binary(sparse).to_dense(), (dense != 0).float())
    assert torch.equal(binary(dense), (dense != 0).float())
    assert torch.equal(entries_per_row(sparse), (dense != 0).sum(1))
    assert torch.equal(entries_per_row(dense), (dense != 0).sum(1))


@pytest.mark.parametrize("form", [None, "rows"])
def test_features_are_left_as_loaded_unless_they_are_to_be_binary(x, form):
    for given in (x, x.to_sparse_csr()):
        assert scale_features(given, form) is given


def test_binary_features_are_ones_where_an_entry_is_not_zero():
    x = torch.tensor([[0.5, 0.0, -3.0], [0.0, 0.0, 0.0], [0.0, 1e-30, 40000.0]])
    wanted = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 1.0]])
    before = x.clone()
    for given in (x, x.double(), 7 * x):
        assert torch.equal(scale_features(given, "binary"), wanted)
    sparse = scale_features(x.to_sparse_csr(), "binary")
    assert is_sparse(sparse) and sparse.dtype == torch.float32
    assert sparse.values().numel() == 4
    assert torch.equal(sparse.to_dense(), wanted)
    assert torch.equal(x, before)
    assert scale_features(x[:, :0], "binary").shape == (3, 0)


@pytest.mark.parametrize("kind", ["units", "sparse"])
def test_binary_features_without_a_zero_are_refused_because_all_nodes_would_be_alike(kind):
    x = torch.tensor([[1970.0, -2.5], [1985.0, 3.0]])
    x = x.to_sparse_csr() if kind == "sparse" else x
    with pytest.raises(ValueError, match=r"some features of 0 for features='binary'.*4 of 4"):
        scale_features(x, "binary")


def test_large_and_sparse_features_alone_are_kept_in_compressed_rows():
    # Zeros that take no memory: 300 MB if they were written out.
    large = torch.zeros(1).expand(75_000, 1000)
    assert is_sparse(with_layout(large, None))
    assert not is_sparse(with_layout(large, False))
    assert not is_sparse(with_layout(torch.zeros(100, 1000), None))
    assert is_sparse(with_layout(torch.zeros(100, 1000), True))
    assert not is_sparse(with_layout(torch.zeros(100, 1000).to_sparse_csr(), None))


@pytest.mark.parametrize("fixture", ["planetoid", "benchmark"])
def test_a_set_has_the_same_features_in_both_layouts(fixture, request):
    small = request.getfixturevalue(fixture)
    dense, sparse = (
        load_dataset(small.name, small.raw.parent.parent, sparse=s) for s in (None, True)
    )
    assert not is_sparse(dense.x)
    assert is_sparse(sparse.x)
    assert torch.equal(sparse.x.to_dense(), dense.x)
    assert torch.equal(sparse.edge_index, dense.edge_index)
    assert (sparse.num_nodes, sparse.num_features) == (dense.num_nodes, dense.num_features)


def test_a_graph_with_sparse_features_is_split_measured_rewired_and_copied():
    dense = load_dataset("sbm", num_nodes=60, num_edges=90, num_features=40, words_per_node=5)
    sparse = load_dataset(
        "sbm", num_nodes=60, num_edges=90, num_features=40, words_per_node=5, sparse=True
    )
    assert is_sparse(sparse.x)
    split = low_label_split(sparse, 1, 0, "no_val")
    assert torch.equal(split.train_mask, low_label_split(dense, 1, 0, "no_val").train_mask)
    assert graph_statistics(sparse) == graph_statistics(dense)
    for kind in ("gdc", "two_hop"):
        found, expected = rewire(sparse, kind), rewire(dense, kind)
        assert torch.equal(found.edge_index, expected.edge_index)
        assert torch.equal(found.x.to_dense(), dense.x)
    for other in (sparse.clone(), copy.copy(sparse), pickle.loads(pickle.dumps(sparse))):
        assert torch.equal(other.x.to_dense(), dense.x)
