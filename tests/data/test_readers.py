"""The raw formats: what is read, and that nothing but verified pickles is unpickled."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from small_sets import write_benchmark

from grandpp.data import DatasetIntegrityError, load_dataset
from grandpp.data.readers import read_arxiv, read_benchmark


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_planetoid_features_and_labels_come_back_in_node_order(planetoid):
    data = load_dataset("Cora", planetoid.raw.parent.parent)
    np.testing.assert_array_equal(data.x.numpy() > 0, planetoid.x[:560] > 0)
    np.testing.assert_array_equal(data.y.numpy(), planetoid.y[:560])


def test_an_npz_file_is_read_without_its_object_arrays(benchmark):
    data = read_benchmark(contents(benchmark.raw))
    np.testing.assert_array_equal(data.x.numpy(), benchmark.x)
    np.testing.assert_array_equal(data.y.numpy(), benchmark.y)


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
