"""Edges from every format, against references made with networkx and scipy."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp
import torch
from torch_geometric.data import Data

from grandpp.data import GraphFileError, check_data, read_graph, without_labelled_component


def pairs(data):
    """Edges by node ids, with their weights if any."""
    ids = data.node_ids
    ends = [(ids[s], ids[t]) for s, t in data.edge_index.t().tolist()]
    if "edge_weight" not in data:
        return set(ends)
    return dict(zip(ends, data.edge_weight.tolist(), strict=True))


def both(edges):
    return {(a, b) for a, b in edges} | {(b, a) for a, b in edges}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("e.csv", "source,target\na,b\nb,c\n"),
        ("e.csv", "a,b\nb,c\n"),
        ("e.csv", "\ufeffFrom,To\r\na,b\r\n\r\nb,c"),
        ("e.csv", "# a comment\na,b\n# another, with commas\nb,c\n"),
        ("e.csv", "src;dst\na;b\nb;c\n"),
        ("e.csv", '"node_1","node_2"\n"a","b"\n"b", "c"\n'),
        ("e.csv", ",u,v\n0,a,b\n1,b,c\n"),
        ("e.csv", "target,source,year\nb,a,2001\nc,b,2002\n"),
        ("e.tsv", "source_id\ttarget_id\na\tb\nb\tc\n"),
        ("e.txt", "a b\nb   c\n"),
        ("e.edgelist", "a\tb\nb\tc\n"),
        ("e.csv.gz", "citing,cited\na,b\nb,c\n"),
        ("e.cites", "b\ta\nc\tb\n"),
    ],
)
def test_two_columns_are_found_in_every_usual_form(write, name, text):
    path = write(name, text)
    found = read_graph(path)
    assert pairs(found) == both([("a", "b"), ("b", "c")])
    assert pairs(read_graph(path, directed=True)) == {("a", "b"), ("b", "c")}
    assert (found.y == -1).all() and found.num_classes == 0


def test_columns_can_be_named_or_numbered(write):
    path = write("e.csv", "when,who,whom,cost\n1,a,b,2.5\n2,b,c,1\n")
    names = {"source_column": "who", "target_column": "whom", "weight_column": "cost"}
    expected = {("a", "b"): 2.5, ("b", "c"): 1.0}
    assert pairs(read_graph(path, directed=True, **names)) == expected
    path = write("n.csv", "1,a,b,2.5\n2,b,c,1\n")
    numbers = {"source_column": "2", "target_column": "3", "weight_column": "4"}
    found = read_graph(path, directed=True, **numbers)
    assert pairs(found) == expected
    assert any("number 1" in line for line in found.summary.lines())


def test_a_header_can_be_said_to_be_there_or_not(write):
    path = write("e.csv", "anna,bert\nbert,carl\n")
    assert read_graph(path).node_ids == ["anna", "bert", "carl"]
    assert read_graph(path, header=True).node_ids == ["bert", "carl"]
    path = write("f.csv", "source,target\na,b\n")
    assert read_graph(path, header=False).node_ids == ["a", "b", "source", "target"]


def test_ids_are_compared_as_they_are_written(write):
    assert read_graph(write("a.csv", "10,2\n2,33\n")).node_ids == [2, 10, 33]
    assert read_graph(write("b.csv", "10,2\n02,33\n")).node_ids == ["02", "10", "2", "33"]
    assert read_graph(write("c.csv", "1.0,2.0\n2.0,3.0\n")).node_ids == [1, 2, 3]
    assert read_graph(write("d.csv", "NA,null\nnull,1e3\n")).node_ids == ["1e3", "NA", "null"]
    assert read_graph(write("e.csv", "true,false\n")).node_ids == ["false", "true"]
    big = 2**70
    assert read_graph(write("f.csv", f"{big},1\n")).node_ids == ["1", str(big)]
    assert read_graph(write("g.csv", "é,ü # x\n")).node_ids == ["é", "ü # x"]


def test_integers_and_text_of_different_files_are_the_same_nodes(write):
    edges = write("e.csv", "1,2\n2,3\n")
    labels = write("l.csv", "id,label\n1,x\nother,y\n3,y\n")
    found = read_graph(edges, labels=labels)
    assert sorted(found.node_ids) == ["1", "2", "3", "other"]
    assert found.y[found.node_ids.index("3")] == 1


def test_a_third_column_without_a_header_is_the_weight(write):
    found = read_graph(write("e.txt", "a b 0.5\nb c 2\n"), directed=True)
    assert pairs(found) == {("a", "b"): 0.5, ("b", "c"): 2.0}


def test_weights_of_repeated_edges_add_up_and_both_directions_are_one_edge(write):
    text = "source,target,weight\na,b,1\na,b,2\nb,a,5\nb,c,7\nc,b,7\nc,c,9\n"
    found = read_graph(write("e.csv", text))
    assert pairs(found) == {
        ("a", "b"): 4.0, ("b", "a"): 4.0, ("b", "c"): 7.0, ("c", "b"): 7.0,
    }  # fmt: skip
    s = found.summary
    assert (s.num_edges, s.repeated_edges, s.reversed_edges, s.self_loops) == (2, 1, 2, 1)
    directed = read_graph(write("e.csv", text), directed=True)
    assert pairs(directed) == {
        ("a", "b"): 3.0, ("b", "a"): 5.0, ("b", "c"): 7.0, ("c", "b"): 7.0,
    }  # fmt: skip
    kept = read_graph(write("e.csv", text), self_loops=True)
    assert pairs(kept)[("c", "c")] == 9.0
    assert (kept.summary.num_edges, kept.summary.num_isolated) == (3, 0)


def test_edges_without_weights_are_merged_without_one(write):
    found = read_graph(write("e.csv", "a,b\na,b\nb,a\nc,c\n"))
    assert pairs(found) == {("a", "b"), ("b", "a")}
    assert (found.summary.num_isolated, found.summary.self_loops) == (1, 1)
    assert "edge_weight" not in found


def test_a_random_multigraph_is_merged_as_by_scipy(write):
    rng = np.random.default_rng(0)
    ends, weight = rng.integers(0, 30, (2, 400)), rng.random(400)
    text = "".join(
        f"{s},{t},{w!r}\n" for s, t, w in zip(*ends.tolist(), weight.tolist(), strict=True)
    )
    matrix = sp.csr_matrix((weight, ends), shape=(30, 30)).toarray()
    np.fill_diagonal(matrix, 0)
    found = read_graph(write("e.csv", text), directed=True)
    assert found.node_ids == list(range(30))
    dense = torch.zeros(30, 30).index_put(tuple(found.edge_index), found.edge_weight)
    np.testing.assert_allclose(dense, matrix, rtol=1e-6)
    order = found.edge_index[0] * 30 + found.edge_index[1]
    assert bool((order.diff() > 0).all())
    present = ((matrix > 0) * 1.0) + ((matrix > 0) * 1.0).T
    mean = (matrix + matrix.T) / np.maximum(present, 1)
    found = read_graph(write("e.csv", text))
    dense = torch.zeros(30, 30).index_put(tuple(found.edge_index), found.edge_weight)
    np.testing.assert_allclose(dense, mean, rtol=1e-6)


@pytest.mark.parametrize("kind", ["graphml", "gml", "graphml.gz"])
@pytest.mark.parametrize("directed", [False, True])
def test_network_files_are_read_as_networkx_wrote_them(tmp_path, kind, directed):
    graph = nx.gnp_random_graph(20, 0.15, seed=1, directed=directed)
    graph = nx.relabel_nodes(graph, {i: f"n{i}" for i in graph})
    graph.add_node("alone")
    for i, (s, t) in enumerate(graph.edges):
        graph[s][t]["weight"] = i + 0.5
    path = tmp_path / f"g.{kind}"
    (nx.write_gml if kind == "gml" else nx.write_graphml)(graph, path)
    found = read_graph(path, directed=directed)
    assert found.node_ids == list(graph.nodes)
    matrix = nx.to_numpy_array(graph)
    dense = torch.zeros(21, 21).index_put(tuple(found.edge_index), found.edge_weight)
    np.testing.assert_array_equal(dense, matrix)
    assert found.summary.num_components == nx.number_connected_components(graph.to_undirected())
    assert found.name == "g"


def test_a_gml_file_without_labels_goes_by_its_ids(write):
    path = write("g.gml", "graph [ node [ id 4 ] node [ id 7 ] edge [ source 4 target 7 ] ]")
    assert pairs(read_graph(path)) == {(4, 7), (7, 4)}


def test_a_gml_file_may_be_utf_8(write):
    nodes = 'node [ id 4 label "é" ] node [ id 7 label "b" ]'
    path = write("g.gml", f"graph [ {nodes} edge [ source 4 target 7 ] ]")
    assert pairs(read_graph(path)) == both([("é", "b")])


def test_matrices_are_read_from_matlab_and_scipy(tmp_path):
    rng = np.random.default_rng(0)
    dense = np.triu(rng.random((8, 8)) * (rng.random((8, 8)) < 0.4), 1)
    dense[:, 7] = 0
    matrix = sp.csc_matrix(dense + dense.T)
    scipy.io.savemat(tmp_path / "m.mat", {"A": matrix, "note": "x"})
    sp.save_npz(tmp_path / "m.npz", matrix)
    scipy.io.savemat(tmp_path / "p.mat", {"Problem": {"A": matrix, "name": "p"}})
    for name in ("m.mat", "m.npz", "p.mat"):
        found = read_graph(tmp_path / name)
        back = torch.zeros(8, 8).index_put(tuple(found.edge_index), found.edge_weight)
        np.testing.assert_allclose(back, matrix.toarray(), rtol=1e-6)
        assert found.node_ids == list(range(8))
        assert found.summary.num_isolated >= 1


@pytest.mark.parametrize("kind", ["int", "text", "category", "float"])
def test_parquet_tables_hold_ids_of_any_type(tmp_path, kind):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.DataFrame({"source": [5, 6, 6], "target": [6, 7, 5], "weight": [1.0, 2.0, 1.0]})
    if kind != "int":
        as_type = {"text": str, "category": "category", "float": float}[kind]
        frame = frame.astype({"source": as_type, "target": as_type})
    frame.to_parquet(tmp_path / "e.parquet")
    found = read_graph(tmp_path / "e.parquet")
    assert pairs(found) == {(5, 6): 1.0, (6, 5): 1.0, (6, 7): 2.0, (7, 6): 2.0}


def test_parquet_without_pyarrow_names_the_extra(write, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(GraphFileError, match=r"e\.parquet: .*pip install 'grandpp\[parquet\]'"):
        read_graph(write("e.parquet", b"PAR1"))


def test_a_saved_data_comes_back_with_masks_and_without_running_code(tmp_path):
    x = torch.rand(4, 3)
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    mask = torch.tensor([True, False, True, False])
    y = torch.tensor([0, 1, -1, 1])
    torch.save(Data(x=x, edge_index=edges, y=y, train_mask=mask), tmp_path / "g.pt")
    found = read_graph(tmp_path / "g.pt")
    assert torch.equal(found.x, x) and torch.equal(found.y, y)
    assert torch.equal(found.edge_index, edges) and torch.equal(found.train_mask, mask)
    assert (found.class_names, found.node_ids) == (["0", "1"], [0, 1, 2, 3])
    check_data(found)
    torch.save(found, tmp_path / "again.pt")
    again = read_graph(tmp_path / "again.pt")
    assert torch.equal(again.x, x) and again.name == "again"
    torch.save({"x": x.to_sparse_csr(), "edge_index": edges}, tmp_path / "d.pt")
    assert torch.equal(read_graph(tmp_path / "d.pt").x, x)


def test_a_gzipped_file_is_the_plain_one(write):
    text = "".join(f"{i},{i + 1}\n" for i in range(50))
    one, other = read_graph(write("a.csv", text)), read_graph(write("b.csv.gz", text))
    assert torch.equal(one.edge_index, other.edge_index)


def test_reading_changes_no_file_and_needs_no_right_to_write(write, tmp_path):
    path = write("sub/e.csv", "a,b\nb,c\n")
    before = path.read_bytes(), path.stat().st_mtime_ns
    path.parent.chmod(0o555)
    try:
        read_graph(path)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == before
        assert [p.name for p in path.parent.iterdir()] == ["e.csv"]
    finally:
        path.parent.chmod(0o755)


def test_words_are_numbered_alike_whatever_the_order_of_lines_and_columns(write):
    first = read_graph(write("a.csv", "source,target\nc,a\nb,c\na,d\n"))
    second = read_graph(write("b.csv", "source,target\nd,a\na,c\nc,b\n"))
    assert first.node_ids == second.node_ids == ["a", "b", "c", "d"]
    assert torch.equal(first.edge_index, second.edge_index)


def test_a_spreadsheet_writes_decimal_commas(write):
    rows = "\r\n".join(["\ufefffrom;to;weight", '"A 1";"A 2";1,5', '"A 2";"A 3";2', ""])
    found = read_graph(write("e.csv", rows))
    assert found.node_ids == ["A 1", "A 2", "A 3"]
    assert found.edge_weight.tolist() == [1.5, 1.5, 2, 2]
    # A tab stands in tables of all countries: 1,500 may be a thousand and a half.
    with pytest.raises(GraphFileError, match=r"e\.tsv:2: expected a number as weight"):
        read_graph(write("e.tsv", "from\tto\tweight\na\tb\t1,500\nb\tc\t2,000\n"))
    found = read_graph(write("e.tsv", "from\tto\tweight\na\tb\t1,500\nb\tc\t2,5\n"))
    assert found.edge_weight.tolist() == [1.5, 1.5, 2.5, 2.5]


def test_ids_with_commas_stay_as_they_are_written(write):
    found = read_graph(write("e.csv", "from;to\n1,5;2,50\n2,50;3\n"))
    assert found.node_ids == ["1,5", "2,50", "3"]


def test_a_named_weight_leaves_two_columns_for_the_ends(write):
    path = write("e.csv", "Von;Nach;Anzahl\na;b;2\nb;c;3\n")
    found = read_graph(path, weight_column="Anzahl")
    assert found.edge_weight.tolist() == [2, 2, 3, 3] and found.node_ids == ["a", "b", "c"]
    assert read_graph(write("f.csv", ",who,whom\n0,a,b\n1,b,c\n")).node_ids == ["a", "b", "c"]


def test_a_column_that_may_be_the_weight_is_told(write):
    notes = read_graph(write("e.csv", "source,target,count\na,b,2\nb,c,3\n")).summary.notes
    assert notes == (
        "columns of the edges that were not used: 'count' (weights are named with weight_column, "
        "--weight-column)",
    )
    notes = read_graph(write("e.csv", ",source,target\n0,a,b\n1,b,c\n")).summary.notes
    assert notes[0].startswith("columns of the edges that were not used: number 1")


def test_a_first_line_that_may_be_a_header_is_told(write):
    text = "Person A,Person B\nann,bob\nbob,cyd\ncyd,ann\n"
    (note,) = read_graph(write("e.csv", text)).summary.notes
    assert note == (
        "the first line of e.csv was read as an edge (Person A, Person B): if it names the "
        "columns, say header=True (--header)"
    )
    assert not read_graph(write("e.csv", text), header=True).summary.notes
    assert not read_graph(write("e.csv", text), header=False).summary.notes
    assert not read_graph(write("e.csv", "a,b\nc,d\ne,f\n")).summary.notes


@pytest.mark.parametrize(
    ("names", "told"),
    [("user_id,item_id", True), ("source,target", False), ("person1,person2", False)],
)
def test_numbers_of_two_kinds_of_nodes_are_told(write, names, told):
    found = read_graph(write("e.csv", names + "\n0,1\n1,2\n2,7\n"))
    notes = [n for n in found.summary.notes if "have 2 ids in common (1, 2)" in n]
    assert len(notes) == told
    assert not read_graph(write("e.csv", "user_id,item_id\nu0,i1\nu1,i1\n")).summary.notes


def test_attributes_of_a_network_file_that_are_not_read_are_told(tmp_path):
    graph = nx.path_graph(3)
    nx.set_node_attributes(graph, {0: "x", 1: "y"}, "label")
    nx.set_node_attributes(graph, {0: 1.0, 1: 2.0, 2: 3.0}, "age")
    nx.write_graphml(graph, tmp_path / "g.graphml")
    found = read_graph(tmp_path / "g.graphml")
    assert found.summary.notes == (
        "attributes of the nodes that were not read: label, age (name g.graphml as features or "
        "labels, too)",
    )
    assert not read_graph(tmp_path / "g.graphml", tmp_path / "g.graphml").summary.notes[1:]


def test_standard_input_is_no_file(write):
    with pytest.raises(GraphFileError, match=r"expected the name of a file \(got -, standard"):
        read_graph("-")
    with pytest.raises(GraphFileError, match=r"\(got a name without an ending\)"):
        read_graph(write("edges", "a,b\n"))


@pytest.mark.parametrize(
    "names", ["user_id,item_id", "UserID,ItemID", "paper,authorId", "user,item"]
)
def test_names_of_two_kinds_of_ids_are_a_header(write, names):
    found = read_graph(write("e.csv", names + "\nu0,i1\nu1,i1\nu1,i2\n"))
    assert found.num_nodes == 4 and not found.summary.notes
    # A name that only ends like one is an id.
    assert read_graph(write("e.csv", "david,ingrid\ndavid,ann\n")).num_nodes == 3


@pytest.mark.parametrize("directed", [False, True])
def test_edges_of_weight_zero_join_nothing(write, directed):
    """An edge that carries nothing neither joins components nor counts as an edge."""
    edges = write("e.csv", "source,target,weight\na,b,1\nb,c,0\nc,d,2\nd,c,0\nd,e,1e-300\n")
    labels = write("l.csv", "node,label\na,red\nb,blue\n")
    found = read_graph(edges, None, labels, directed=directed)
    ends = {("a", "b"): 1, ("c", "d"): 2} if directed else {
        ("a", "b"): 1, ("b", "a"): 1, ("c", "d"): 1, ("d", "c"): 1
    }  # fmt: skip
    assert pairs(found) == ends and found.node_ids == list("abcde")
    summary = found.summary
    assert (summary.num_edges, summary.num_components, summary.num_isolated) == (2, 3, 1)
    assert without_labelled_component(found).tolist() == [False, False, True, True, True]
    left = 3 if directed else 2
    assert f"{left} edges of weight 0 (in float32), which would join nothing, left out" in (
        summary.notes
    )


def test_components_of_a_graph_in_memory_follow_its_weights():
    ends = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    weight, y = torch.tensor([1.0, 1, 0, 0]), torch.tensor([0, 1, -1])
    data = Data(edge_index=ends, edge_weight=weight, y=y)
    assert without_labelled_component(data).tolist() == [False, False, True]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,b,1\nb,c,1e39\n", r"e\.csv:3: expected a weight in the range of float32.*1e\+39"),
        ("a,b,3e38\na,b,3e38\n", r"e\.csv: expected weights of a repeated edge.*6e\+38"),
    ],
)
def test_weights_beyond_single_precision_are_refused(write, rows, words):
    with pytest.raises(GraphFileError, match=words):
        read_graph(write("e.csv", f"source,target,weight\n{rows}"))
