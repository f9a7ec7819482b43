"""The raw formats: what is read, and that nothing but verified pickles is unpickled."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from small_sets import write_benchmark
from torch_geometric.io.npz import parse_npz

from grandpp.data import DatasetIntegrityError, load_dataset
from grandpp.data.npz_digest import ARRAYS
from grandpp.data.readers import read_arxiv, read_benchmark


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_planetoid_features_and_labels_come_back_in_node_order(planetoid):
    data = load_dataset("Cora", planetoid.raw.parent.parent)
    np.testing.assert_array_equal(data.x.numpy() > 0, planetoid.x[:560] > 0)
    np.testing.assert_array_equal(data.y.numpy(), planetoid.y[:560])


def test_an_npz_file_is_read_without_its_object_arrays(benchmark):
    data = read_benchmark(contents(benchmark.raw))
    assert data.x.layout == torch.sparse_csr
    np.testing.assert_array_equal(data.x.to_dense().numpy(), benchmark.x)
    np.testing.assert_array_equal(data.y.numpy(), benchmark.y)


@pytest.mark.parametrize(
    ("attr_data", "attr_indices", "attr_indptr"),
    [
        # Unsorted columns, a repeated entry, a stored zero, a negative one, an empty row.
        ([3.0, 1.0, 2.0, 2.0, 0.0, -1.5], [5, 0, 7, 7, 1, 2], [0, 2, 4, 4, 5, 6, 6]),
        ([1.0], [11], [0, 0, 0, 0, 0, 0, 1]),
    ],
)
def test_features_in_compressed_rows_are_those_of_pygs_reader(
    tmp_path, attr_data, attr_indices, attr_indptr
):
    small = write_benchmark(
        tmp_path / "Photo" / "raw",
        attr_data=np.array(attr_data),
        attr_indices=np.array(attr_indices),
        attr_indptr=np.array(attr_indptr),
    )
    (path,) = small.raw.iterdir()
    with np.load(path, allow_pickle=True) as arrays:
        expected = parse_npz({name: arrays[name] for name in ARRAYS}, to_undirected=True)
    found = read_benchmark({path.name: path.read_bytes()})
    assert torch.equal(found.x.to_dense(), expected.x)
    assert torch.equal(found.edge_index, expected.edge_index)
    assert torch.equal(found.y, expected.y)


def test_an_npz_file_whose_needed_array_holds_objects_is_refused(tmp_path, monkeypatch):
    objects = np.array([0, 1, 2, 0, 1, 2], dtype=object)
    small = write_benchmark(tmp_path / "data" / "Photo" / "raw", labels=objects)
    small.register(monkeypatch)
    with pytest.raises(DatasetIntegrityError, match=r"Photo .*cannot be read: Object arrays"):
        load_dataset("Photo", tmp_path / "data")


def test_the_arxiv_tables_are_read_as_published_and_in_silence(arxiv, capfd):
    data = read_arxiv(contents(arxiv.raw))
    assert data.edge_index.tolist() == [[0, 1, 2, 3, 4, 5], [1, 0, 1, 2, 3, 4]]
    np.testing.assert_allclose(data.x.numpy(), arxiv.x)
    assert data.y.tolist() == [0, 1, 2, 0, 1, 2]
    assert capfd.readouterr() == ("", "")


def test_reading_arxiv_leaves_the_version_check_of_ogb_out_and_no_trace_of_that(arxiv):
    before = sys.modules.get("outdated")
    read_arxiv(contents(arxiv.raw))
    assert sys.modules.get("outdated") is before
    assert sys.modules["ogb.version"].check_outdated is None


def test_a_broken_arxiv_table_is_refused_in_one_sentence(arxiv):
    (arxiv.raw / "edge.csv.gz").write_bytes(b"not compressed")
    with pytest.raises(DatasetIntegrityError, match=r"files of ogbn-arxiv .* cannot be read"):
        load_dataset("ogbn-arxiv", arxiv.raw.parent.parent)
