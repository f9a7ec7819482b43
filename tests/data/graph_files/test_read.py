"""Whole graphs from files: one file, three, a folder; and the named sets written out and back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from grandpp.data import (
    GraphSummary,
    check_data,
    graph_statistics,
    load_dataset,
    read_graph,
    rewire,
    sbm,
)


def write_benchmark(path, data, **more):
    n = data.num_nodes
    adj = sp.csr_matrix((np.ones(data.edge_index.size(1)), data.edge_index.numpy()), shape=(n, n))
    arrays = {"labels": data.y.numpy(), **more}
    for name, matrix in (("adj", adj), ("attr", sp.csr_matrix(data.x.to_dense().numpy()))):
        arrays |= {
            f"{name}_data": matrix.data,
            f"{name}_indices": matrix.indices,
            f"{name}_indptr": matrix.indptr,
            f"{name}_shape": np.array(matrix.shape),
        }
    np.savez(path, **arrays)


def write_tables(folder, data, names, seed=0):
    """Three CSV files with rows in random order; each edge once."""
    rng = np.random.default_rng(seed)
    folder.mkdir()
    keep = data.edge_index[0] < data.edge_index[1]
    ends = data.edge_index[:, keep].numpy()[:, rng.permutation(int(keep.sum()))]
    pd.DataFrame({"source": names[ends[0]], "target": names[ends[1]]}).to_csv(
        folder / "edges.csv", index=False
    )
    x = pd.DataFrame(data.x.to_dense().numpy()).add_prefix("w")
    x.insert(0, "id", names)
    x.iloc[rng.permutation(len(x))].to_csv(folder / "features.csv", index=False)
    y = pd.DataFrame({"id": names, "label": [f"class {c}" for c in data.y.tolist()]})
    y.iloc[rng.permutation(len(y))].to_csv(folder / "labels.csv", index=False)


def assert_same(found, data, names):
    place = {name: i for i, name in enumerate(names)}
    old = torch.tensor([place[name] for name in found.node_ids])
    assert torch.equal(found.x.to_dense(), data.x.to_dense()[old])
    assert [found.class_names[c] for c in found.y] == [f"class {c}" for c in data.y[old].tolist()]
    n = data.num_nodes
    key = old[found.edge_index[0]] * n + old[found.edge_index[1]]
    assert torch.equal(key.sort().values, data.edge_index[0] * n + data.edge_index[1])


@pytest.fixture
def graph():
    return sbm(num_nodes=80, num_edges=200, num_features=30, words_per_node=4.0)


def test_a_graph_written_as_three_tables_comes_back(tmp_path, graph):
    names = np.array([f"node {i}" for i in range(80)], dtype=object)
    write_tables(tmp_path / "mine", graph, names)
    files = [tmp_path / "mine" / f"{name}.csv" for name in ("edges", "features", "labels")]
    found = read_graph(*files)
    assert_same(found, graph, names)
    assert found.name == "mine"
    check_data(found)
    folder = read_graph(tmp_path / "mine")
    assert torch.equal(folder.x, found.x) and torch.equal(folder.edge_index, found.edge_index)
    assert torch.equal(load_dataset(str(tmp_path / "mine")).y, found.y)


@pytest.mark.realdata
def test_cora_written_as_three_tables_comes_back(tmp_path):
    cora = load_dataset("Cora", download=False)
    names = np.array([f"paper-{i:04d}" for i in range(cora.num_nodes)], dtype=object)
    write_tables(tmp_path / "cora", cora, names)
    found = read_graph(tmp_path / "cora")
    assert_same(found, cora, names)
    assert (found.summary.num_edges, found.summary.num_components) == (5069, 1)
    assert found.summary.notes == ()


def test_one_file_in_the_benchmark_layout_has_everything(tmp_path, graph):
    write_benchmark(tmp_path / "my.npz", graph)
    for found in (read_graph(tmp_path / "my.npz"), load_dataset(str(tmp_path / "my.npz"))):
        assert torch.equal(found.edge_index, graph.edge_index)
        assert torch.equal(found.x.to_dense(), graph.x) and torch.equal(found.y, graph.y)
        assert (found.name, found.num_classes) == ("my", 7)
    write_benchmark(
        tmp_path / "named.npz", graph,
        node_names=np.array([f"n{i}" for i in range(80)]),
        class_names=np.array(list("abcdefg")),
        attr_names=np.array([f"w{i}" for i in range(30)], dtype=object),
    )  # fmt: skip
    found = read_graph(tmp_path / "named.npz")
    assert found.node_ids[:2] == ["n0", "n1"] and found.class_names == list("abcdefg")
    assert torch.equal(found.x.to_dense(), graph.x) and "feature_names" not in found


def test_the_layout_of_heterophilous_graphs_is_read(tmp_path, graph):
    ends = graph.edge_index[:, graph.edge_index[0] < graph.edge_index[1]].t().numpy()
    np.savez(
        tmp_path / "h.npz", edges=ends, node_features=graph.x.numpy(), node_labels=graph.y.numpy()
    )
    found = read_graph(tmp_path / "h.npz")
    assert torch.equal(found.edge_index, graph.edge_index)
    assert torch.equal(found.x, graph.x) and torch.equal(found.y, graph.y)


def test_other_labels_can_be_given_to_a_whole_graph(tmp_path, graph, write):
    write_benchmark(tmp_path / "my.npz", graph)
    found = read_graph(tmp_path / "my.npz", labels=write("l.csv", "3,x\n5,y\n"))
    assert found.class_names == ["x", "y"]
    assert (found.y >= 0).nonzero().view(-1).tolist() == [3, 5]


def test_a_path_is_told_from_a_name(tmp_path, write, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write("cora/edges.csv", "a,b\n")
    write("mine/edges.csv", "a,b\n")
    assert load_dataset("KarateClub").num_nodes == 34
    assert load_dataset("mine").node_ids == ["a", "b"]
    assert load_dataset(tmp_path / "cora").name == "cora"
    with pytest.raises(ValueError, match=r"none\.npz: expected a file \(got none of this name\)"):
        load_dataset("none.npz")
    with pytest.raises(TypeError, match="takes no further options"):
        load_dataset("mine", num_nodes=3)


def test_components_and_lone_nodes_are_kept(write):
    found = read_graph(write("e.csv", "a,b\nc,d\nd,e\n"), write("f.csv", "id,w\na,1\nz,2\n"))
    assert found.num_nodes == 6
    s = found.summary
    assert (s.num_components, s.largest_component, s.num_isolated) == (3, 3, 1)
    assert s.unlabelled_components == 0
    lines = s.lines()
    assert lines[0] == "6 nodes, 3 edges (undirected, unweighted)"
    assert lines[1] == "3 components, the largest of 3 nodes; 1 isolated node"
    assert str(s) == "6 nodes, 3 edges (undirected), 1 feature, 0 classes, 0 labelled nodes"


def test_the_graph_is_moved_copied_measured_and_rewired_as_any_other(tmp_path, graph):
    write_benchmark(tmp_path / "my.npz", graph)
    found = read_graph(tmp_path / "my.npz")
    for other in (
        found.clone(),
        copy.copy(found),
        found.to("cpu"),
        pickle.loads(pickle.dumps(found)),
    ):
        assert other.node_ids == found.node_ids
        assert isinstance(other.summary, GraphSummary)
    assert "\n" not in repr(found)
    assert graph_statistics(found) == graph_statistics(graph)
    assert rewire(found, "gdc").num_nodes == 80
    part = found.subgraph(torch.arange(10))
    assert part.node_ids == found.node_ids[:10]


def test_a_tilde_is_the_home_or_a_part_of_the_name(tmp_path, write, monkeypatch):
    """As in a shell: ``~/e.csv`` is in the home; ``~e.csv``, of no known user, is a name."""
    write("e.csv", "a,b\n")
    write("~e.csv", "a,b\nb,c\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert read_graph("~/e.csv").num_nodes == 2
    assert read_graph("~e.csv").num_nodes == 3
    assert load_dataset("~e.csv").num_nodes == 3
