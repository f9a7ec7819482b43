"""PyG's data sets by the name of their class, from files on disk and never from the network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from small_sets import fingerprint
from torch_geometric.utils import contains_self_loops, is_undirected

from grandpp.data import DatasetError, DatasetNotFoundError, load_dataset, low_label_split


def write_actor(folder, nodes=12, words=932):
    """A ring with one loop in the format of the Actor set."""
    raw = folder / "Actor" / "raw"
    raw.mkdir(parents=True)
    rows = [f"{i}\t{','.join(map(str, sorted({i, 7 * i % words})))}\t{i % 3}" for i in range(nodes)]
    header = "node_id\tfeature\tlabel\n"
    (raw / "out1_node_feature_label.txt").write_text(header + "\n".join(rows) + "\n")
    edges = [f"{i}\t{(i + 1) % nodes}" for i in range(nodes)] + ["0\t0"]
    (raw / "out1_graph_edges.txt").write_text("a\tb\n" + "\n".join(edges) + "\n")
    masks = {f"{name}_mask": np.ones(nodes, dtype=int) for name in ("train", "val", "test")}
    for i in range(10):
        np.savez(raw / f"film_split_0.6_0.2_{i}.npz", **masks)


def test_a_class_is_read_undirected_without_loops_and_leaves_the_folder_alone(tmp_path):
    write_actor(tmp_path)
    before = fingerprint(tmp_path)
    for name in ("pyg:Actor", "pyg:actor"):
        data = load_dataset(name, tmp_path)
        assert (data.name, data.num_nodes, data.num_classes) == ("Actor", 12, 3)
        assert is_undirected(data.edge_index) and not contains_self_loops(data.edge_index)
        assert data.edge_index.size(1) == 24 and data.summary.self_loops == 1
        assert data.x.shape == (12, 78) and int(data.x[3].sum()) == 2
        assert "train_mask" not in data
    assert fingerprint(tmp_path) == before
    assert int(low_label_split(data, 1, 0, "no_val").test_mask.sum()) == 9


def test_the_environment_names_the_folder_too(tmp_path, monkeypatch):
    write_actor(tmp_path)
    monkeypatch.setenv("GRANDPP_DATA", str(tmp_path))
    assert load_dataset("pyg:Actor").num_nodes == 12


def test_files_that_are_not_there_are_not_downloaded(tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise AssertionError("asked for the network")

    monkeypatch.setattr("urllib.request.urlopen", never)
    words = r"pyg:Actor was not found: looked in .*Actor.*; it is not downloaded"
    with pytest.raises(DatasetNotFoundError, match=words):
        load_dataset("pyg:Actor", tmp_path)
    write_actor(tmp_path)
    (tmp_path / "Actor" / "raw" / "out1_graph_edges.txt").unlink()
    with pytest.raises(DatasetNotFoundError, match=r"Actor \(incomplete\)"):
        load_dataset("pyg:Actor", tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("pyg:Aktor", "expected a class of torch_geometric.datasets"),
        ("pyg:", "expected a class of torch_geometric.datasets"),
        ("pyg:Actor:a:b", "expected a class of torch_geometric.datasets"),
        ("pyg:WebKB", "expected the name of one of its sets, as pyg:WebKB:NAME"),
        ("pyg:Actor:x", "expected a data set of PyG with files of its own"),
        ("pyg:KarateClub", "expected a data set of PyG with files of its own"),
    ],
)
def test_a_name_that_is_no_set_is_refused(name, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        load_dataset(name, tmp_path)


def test_a_broken_file_is_refused_in_one_line(tmp_path):
    write_actor(tmp_path)
    (tmp_path / "Actor" / "raw" / "out1_graph_edges.txt").write_text("a\tb\n0\tx\n")
    with pytest.raises(DatasetError, match="PyG's Actor cannot read it") as caught:
        load_dataset("pyg:Actor", tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.realdata
def test_a_named_set_of_a_class_is_found_in_the_usual_layout():
    data = load_dataset("pyg:Planetoid:Cora")
    assert (data.num_nodes, data.num_classes, data.name) == (2708, 7, "Cora")
    assert data.summary.num_components == 78
    cut = load_dataset("Cora", download=False)
    assert torch.equal(data.y.bincount(), cut.y.bincount()) is False
