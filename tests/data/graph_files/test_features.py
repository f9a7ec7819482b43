"""Features from every format: which columns, in which order, for which nodes."""

from __future__ import annotations

import datetime
import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from grandpp.data import GraphFileError, read_graph
from grandpp.data.features import is_sparse


@pytest.fixture
def edges(write):
    return write("e.csv", "source,target\na,b\nb,c\n")


@pytest.fixture
def numbered(write):
    return write("n.csv", "source,target\n2,0\n0,1\n")


def rows(data):
    """Features by node id."""
    return dict(zip(data.node_ids, data.x.to_dense().tolist(), strict=True))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.csv", "id,w1,w2\nc,1,2\na,0.5,-1\nb,3,1e2\n"),
        ("f.csv", "c,1,2\na,0.5,-1\nb,3,1e2\n"),
        ("f.tsv", "node\tw1\tw2\nc\t1\t2\na\t0.5\t-1\nb\t3\t1e2\n"),
        ("f.csv.gz", "# features\nw1,w2,node_id\n1,2,c\n0.5,-1,a\n3,1e2,b\n"),
        ("f.csv", ",0,1\nc,1,2\na,0.5,-1\nb,3,1e2\n"),
        ("f.json", '{"c": {"0": 1, "1": 2}, "a": {"0": 0.5, "1": -1}, "b": {"0": 3, "1": 100}}'),
        ("f.content", "c\t1\t2\tx\na\t0.5\t-1\ty\nb\t3\t1e2\tx\n"),
    ],
)
def test_rows_are_matched_by_id_and_give_the_order_of_nodes(write, edges, name, text):
    named = {"node_column": "node_id"} if "node_id" in text else {}
    found = read_graph(edges, write(name, text), **named)
    assert found.node_ids == ["c", "a", "b"]
    assert rows(found) == {"c": [1, 2], "a": [0.5, -1], "b": [3, 100]}
    assert found.x.dtype == torch.float32


def test_words_become_one_column_each_and_truth_values_numbers(write, edges):
    text = "id,size,colour,open\na,1,red,true\nb,2,blue,false\nc,3,,true\n"
    found = read_graph(edges, write("f.csv", text))
    assert found.feature_names == ["size", "colour=blue", "colour=red", "open"]
    assert rows(found) == {"a": [1, 0, 1, 1], "b": [2, 1, 0, 0], "c": [3, 0, 0, 1]}
    assert "1 with words, one-hot: 4 features" in found.summary.features


def test_columns_follow_another_graphs(write, edges):
    first = read_graph(edges, write("f.csv", "id,s,colour\na,1,red\nb,2,blue\nc,3,red\n"))
    text = "id,extra,colour,s\na,9,green,4\nb,9,red,5\nc,9,red,6\n"
    other = read_graph(edges, write("g.csv", text), feature_names=first.feature_names)
    assert other.feature_names == first.feature_names == ["s", "colour=blue", "colour=red"]
    assert rows(other) == {"a": [4, 0, 0], "b": [5, 0, 1], "c": [6, 0, 1]}
    assert any("2 columns of features are not used" in n for n in other.summary.notes)
    with pytest.raises(GraphFileError, match=r"h\.csv: expected columns s"):
        read_graph(edges, write("h.csv", "id,t\na,1\nb,2\n"), feature_names=["s"])


def test_lists_of_words_are_sparse_where_asked_and_aligned(write, edges):
    text = json.dumps({"a": [3, 11], "b": [], "c": [11, 11, 2]})
    found = read_graph(edges, write("f.json", text), sparse=True)
    assert is_sparse(found.x)
    assert found.feature_names == ["2", "3", "11"]
    assert rows(found) == {"a": [0, 1, 1], "b": [0, 0, 0], "c": [1, 0, 1]}
    other = read_graph(edges, write("g.json", '{"a": [7, 3]}'), feature_names=["2", "3", "11"])
    assert rows(other) == {"a": [0, 1, 0], "b": [0, 0, 0], "c": [0, 0, 0]}


def test_rows_without_ids_follow_numbers(tmp_path, numbered):
    x = np.arange(8.0).reshape(4, 2)
    np.save(tmp_path / "x.npy", x)
    sp.save_npz(tmp_path / "x.npz", sp.coo_matrix(x))
    np.savez(tmp_path / "one.npz", x=x)
    for name in ("x.npy", "x.npz", "one.npz"):
        found = read_graph(numbered, tmp_path / name)
        assert found.node_ids == [0, 1, 2, 3]
        np.testing.assert_array_equal(found.x.to_dense(), x)
        assert found.summary.num_isolated == 1


def test_rows_without_ids_follow_a_file_of_nodes(tmp_path, write, edges):
    np.save(tmp_path / "x.npy", np.array([[1.0], [2.0], [3.0]]))
    for name, text in (("n.txt", "b\nc\na\n"), ("n.csv", "id,name\nb,x\nc,y\na,z\n")):
        found = read_graph(edges, tmp_path / "x.npy", nodes=write(name, text))
        assert rows(found) == {"b": [1], "c": [2], "a": [3]}
        assert found.node_ids == ["b", "c", "a"]


def test_rows_without_ids_follow_the_nodes_of_a_network_file(tmp_path, write):
    nodes = 'node [ id 4 label "b" ] node [ id 7 label "a" ]'
    text = f"graph [ {nodes} edge [ source 4 target 7 ] ]"
    np.save(tmp_path / "x.npy", np.array([[1], [2]]))
    found = read_graph(write("g.gml", text), tmp_path / "x.npy")
    assert rows(found) == {"b": [1], "a": [2]}


def test_attributes_of_nodes_are_features_where_asked(write):
    text = (
        'graph [ node [ id 1 label "a" value 3 group "x" ]'
        ' node [ id 2 label "b" value 5 group "y" ] edge [ source 1 target 2 ] ]'
    )
    path = write("g.gml", text)
    found = read_graph(path, path, path, label_column="group")
    assert found.feature_names == ["value"]
    assert rows(found) == {"a": [3], "b": [5]}
    assert (found.class_names, found.y.tolist()) == (["x", "y"], [0, 1])


def test_a_column_of_labels_is_no_feature(write, edges):
    path = write("f.csv", "id,w,label\na,1,x\nb,2,y\nc,3,\n")
    for labels in (None, path):
        found = read_graph(edges, path, labels)
        assert found.x.tolist() == [[1], [2], [3]]
        assert (found.y.tolist(), found.class_names) == ([0, 1, -1], ["x", "y"])
    path = write("g.csv", "id,w,kind\na,1,x\nb,2,y\nc,3,x\n")
    found = read_graph(edges, path, label_column="kind")
    assert found.feature_names == ["w"] and found.y.tolist() == [0, 1, 0]


def test_nodes_of_one_file_alone_are_kept_and_reported(write, edges):
    features = write("f.csv", "id,w\na,1\nb,2\nz,3\n")
    found = read_graph(edges, features, write("l.csv", "a,x\nq,y\n"))
    assert found.node_ids == ["a", "b", "z", "q", "c"]
    assert rows(found) == {"a": [1], "b": [2], "c": [0], "z": [3], "q": [0]}
    s = found.summary
    assert (s.num_components, s.largest_component, s.num_isolated) == (3, 3, 2)
    assert (s.unlabelled_components, s.unlabelled_component_nodes) == (1, 1)
    words = "\n".join(s.lines())
    assert "1 node has no features and gets zeros (c)" in words
    assert "1 id of f.csv occurs in no edge (z)" in words
    assert "1 id of l.csv occurs in no other file, an isolated node (q)" in words


def test_large_sparse_features_stay_in_compressed_rows(tmp_path, write):
    n, columns = 2000, 40_000
    x = sp.csr_matrix((np.ones(n), (np.arange(n), np.arange(n))), shape=(n, columns))
    sp.save_npz(tmp_path / "x.npz", x)
    found = read_graph(write("e.csv", "0,1\n"), tmp_path / "x.npz")
    assert is_sparse(found.x) and found.x.shape == (n, columns)
    assert found.x.values().sum() == n


def test_a_spreadsheet_writes_decimal_commas(write, edges):
    found = read_graph(edges, write("f.csv", "node;size\na;0,75\nb;-1,5\nc;2\n"))
    assert rows(found) == {"a": [0.75], "b": [-1.5], "c": [2.0]}


@pytest.mark.parametrize("text", ['a,"1,234"\nb,"5,678"\nc,12\n', 'a,"0,5"\nb,"1,5"\nc,7\n'])
def test_numbers_with_commas_are_no_words(write, edges, text):
    with pytest.raises(GraphFileError, match=r"f\.csv:2: expected a number as feature .*'size'"):
        read_graph(edges, write("f.csv", "node,size\n" + text))


def test_dates_are_days(write, edges, tmp_path):
    text = "node,joined,age\na,1970-01-03,3\nb,1970-01-01 12:00:00,4\nc,2024-03-14,5\n"
    found = read_graph(edges, write("f.csv", text))
    assert found.feature_names == ["joined", "age"]
    days = (datetime.date(2024, 3, 14) - datetime.date(1970, 1, 1)).days
    assert rows(found) == {"a": [2, 3], "b": [0.5, 4], "c": [days, 5]}
    assert found.summary.features == "2 columns of f.csv (1 with dates, in days)"
    table = pd.read_csv(tmp_path / "f.csv")
    table["joined"] = pd.to_datetime(table["joined"], format="ISO8601")
    table.to_parquet(tmp_path / "f.parquet")
    assert rows(read_graph(edges, tmp_path / "f.parquet")) == rows(found)


@pytest.mark.parametrize(
    ("cell", "got"), [("14.03.2024", "'14.03.2024'"), ("", "an empty cell"), ("soon", "'soon'")]
)
def test_dates_written_otherwise_are_refused(write, edges, cell, got):
    text = f"node,joined\na,2024-03-14\nb,2024-03-15\nc,{cell}\n"
    with pytest.raises(GraphFileError) as caught:
        read_graph(edges, write("f.csv", text))
    words = f"f.csv:4: expected a date as 2024-03-14 in column 'joined' (got {got})"
    assert words in str(caught.value)


def test_a_column_without_any_value_is_left_out(write, edges):
    found = read_graph(edges, write("f.csv", "node,time,age\na,,1\nb,,2\nc,,3\n"))
    assert found.feature_names == ["age"]
    assert "columns of f.csv without any value, left out: 'time'" in found.summary.notes


def test_words_that_no_two_nodes_share_are_told(write):
    edges = write("e.csv", "".join(f"n{i},n{i + 1}\n" for i in range(24)))
    table = "node,bio,town\n" + "".join(f"n{i},I am {i},{'xy'[i % 2]}\n" for i in range(25))
    (note,) = read_graph(edges, write("f.csv", table)).summary.notes
    assert note.startswith("column 'bio' of f.csv has another word in each row")


@pytest.mark.parametrize("corner", ["", "Unnamed: 0"])
def test_row_numbers_of_pandas_are_neither_ids_nor_features(write, corner):
    edges = write("e.csv", "source,target\n0,1\n1,2\n")
    features = write("f.csv", f"{corner},node,size\n0,2,20\n1,0,0\n2,1,10\n")
    labels = write("l.csv", f"{corner},id,team\n0,2,x\n1,1,y\n")
    found = read_graph(edges, features, labels)
    assert rows(found) == {2: [20.0], 0: [0.0], 1: [10.0]}
    named = {i: c for i, c in zip(found.node_ids, found.y.tolist(), strict=True) if c >= 0}
    assert named == {2: 0, 1: 1} and found.class_names == ["x", "y"]
    # Without a column of ids the first one has them.
    found = read_graph(edges, write("f.csv", f"{corner},size\n2,20\n0,0\n1,10\n"))
    assert rows(found) == {2: [20.0], 0: [0.0], 1: [10.0]}


def test_columns_of_one_name_are_told_apart_by_their_order(write, edges):
    """The first of two equal names is the first of the other graph, the second its second."""
    first = read_graph(edges, write("f.csv", "id,s,s,t\na,1,2,3\nb,4,5,6\nc,7,8,9\n"))
    text = "id,t,s,u,s\na,3,1,0,2\nb,6,4,0,5\nc,9,7,0,8\n"
    for sparse in (False, True):
        other = read_graph(
            edges, write("g.csv", text), feature_names=first.feature_names, sparse=sparse
        )
        assert rows(other) == rows(first) and other.feature_names == ["s", "s", "t"]
        assert "1 column of features is not used (u)" in " ".join(other.summary.notes)
    with pytest.raises(GraphFileError, match=r"h\.csv: expected columns s, s \(got only s\)"):
        read_graph(edges, write("h.csv", "id,s,t\na,1,2\n"), feature_names=first.feature_names)


def test_a_column_of_words_that_another_graph_has_has_to_be_here(write, edges):
    """Unknown words are zeros; a column that is not there, or of numbers, is an error."""
    wanted = ["s", "colour=blue", "colour=red"]
    found = read_graph(
        edges, write("f.csv", "id,s,colour\na,1,green\nb,2,pink\n"), feature_names=wanted
    )
    assert rows(found)["a"] == [1, 0, 0]
    for text in ("id,s\na,1\nb,2\n", "id,s,colour\na,1,3\nb,2,4\n"):
        with pytest.raises(
            GraphFileError, match=r"g\.csv: expected a column 'colour' of words, such as 'blue'"
        ):
            read_graph(edges, write("g.csv", text), feature_names=wanted)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("f.csv", "id,w\na,1\nb,\nc,\n", r"f\.csv:3: .*in column 'w' \(got an empty cell\); 2 of"),
        ("f.csv", "id,w\na,NA\nb,1\nc,2\n", r"f\.csv:2: .*'w' \(got 'NA'\); 1 of"),
        ("f.csv", "id,w\na,True\nb,\nc,False\n", r"f\.csv:3: .*'w' \(got an empty cell\); 1 of"),
        ("f.csv", "id,w\na,2024-03-14\nb,\nc,\n", r"f\.csv:3: .*\(got an empty cell\); 2 of"),
        ("f.npy", [[1.0, np.nan], [2.0, np.nan], [np.nan, 1.0]], r"f\.npy, row 1: .*nan\); 3 of"),
    ],
)
def test_missing_values_are_counted_with_what_to_do(
    write, tmp_path, numbered, edges, name, content, words
):
    if name.endswith("npy"):
        np.save(tmp_path / name, np.array(content))
        path, ends = tmp_path / name, numbered
    else:
        path, ends = write(name, content), edges
    words += r" .* values are missing: replace them, for example by the mean of the column"
    with pytest.raises(GraphFileError, match=words):
        read_graph(ends, path)


def test_features_beyond_single_precision_are_told_from_infinite_ones(write, edges):
    with pytest.raises(GraphFileError, match=r"f\.csv:2: .* in the range of float32 \(got 1e\+39"):
        read_graph(edges, write("f.csv", "id,w\na,1e39\nb,2\n"))


def test_a_column_of_labels_beside_a_file_of_labels_is_told(write, edges):
    """A column called class may be a feature: that it is left out is said."""
    features = write("f.csv", "id,w,class\na,1,x\nb,2,y\nc,3,x\n")
    note = "column 'class' of f.csv holds labels and is no feature"
    labels = write("l.csv", "id,label\na,u\nb,v\n")
    assert any(note in text for text in read_graph(edges, features, labels).summary.notes)
    assert not any(note in text for text in read_graph(edges, features).summary.notes)
