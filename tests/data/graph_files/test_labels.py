"""Labels of some nodes, and the names of classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from grandpp.data import GraphFileError, low_label_split, read_graph, without_labelled_component


@pytest.fixture
def edges(write):
    return write("e.csv", "source,target\na,b\nb,c\nd,e\n")


def labels(data):
    names = [*data.class_names, None]
    return {i: names[y] for i, y in zip(data.node_ids, data.y.tolist(), strict=True)}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.csv", "id,label\na,x\nc,y\nd,\n"),
        ("l.csv", "a,x\nc,y\nd,-1\n"),
        ("l.csv", "node,since,class\na,1,x\nc,2,y\nd,3,\n"),
        ("l.csv", "label,node\nx,a\ny,c\n,d\n"),
        ("l.tsv", "a\tx\nc\ty\n"),
        ("l.json", '{"a": "x", "c": "y", "d": null}'),
        ("l.content", "a\t0\t1\tx\nc\t1\t1\ty\n"),
    ],
)
def test_labels_of_some_nodes_come_from_every_format(write, edges, name, text):
    found = read_graph(edges, labels=write(name, text))
    assert labels(found) == {"a": "x", "b": None, "c": "y", "d": None, "e": None}
    assert found.y.dtype == torch.long and found.num_classes == 2


def test_classes_are_in_the_order_of_numbers_or_letters_or_as_given(write, edges):
    path = write("l.csv", "a,10\nb,9\nc,2\n")
    assert read_graph(edges, labels=path).class_names == ["2", "9", "10"]
    path = write("m.csv", "a,Zoo\nb,ant\nc,Ant\n")
    assert read_graph(edges, labels=path).class_names == ["Ant", "Zoo", "ant"]
    found = read_graph(edges, labels=path, class_names=["ant", "Zoo", "Ant", "Bee"])
    assert labels(found)["a"] == "Zoo" and found.num_classes == 4
    with pytest.raises(GraphFileError, match=r"m\.csv:2: expected one of the classes .*got 'ant'"):
        read_graph(edges, labels=path, class_names=["Zoo", "Ant"])


def test_integers_beside_empty_cells_stay_integers(write, edges):
    found = read_graph(edges, labels=write("l.csv", "id,label\na,1.0\nb,\nc,0.0\n"))
    assert labels(found) == {"a": "1", "b": None, "c": "0", "d": None, "e": None}


def test_labels_without_ids_follow_the_rows(tmp_path, write):
    np.save(tmp_path / "y.npy", np.array([1, -1, 0]))
    found = read_graph(write("n.csv", "0,1\n1,2\n"), labels=tmp_path / "y.npy")
    assert found.y.tolist() == [1, -1, 0]


def test_a_label_said_twice_counts_once(write, edges):
    found = read_graph(edges, labels=write("l.csv", "a,x\nb,y\na,x\na,\n"))
    assert found.summary.num_labelled == 2
    assert "2 labels were given more than once" in found.summary.notes


def test_what_classes_lack_is_said(write, edges):
    one = read_graph(edges, labels=write("l.csv", "a,x\nb,x\n"))
    assert "only one class has labels (x): two are needed" in one.summary.notes
    two = read_graph(edges, labels=write("m.csv", "a,x\nb,x\nc,y\n"))
    assert "1 class has a single labelled node (y)" in two.summary.notes
    assert two.summary.class_counts == (("x", 2), ("y", 1))


def test_nodes_apart_from_every_label_are_told(write, edges):
    found = read_graph(edges, labels=write("l.csv", "a,x\nb,y\n"))
    flagged = dict(zip(found.node_ids, without_labelled_component(found).tolist(), strict=True))
    assert flagged == {"a": False, "b": False, "c": False, "d": True, "e": True}
    none = without_labelled_component(found, torch.zeros(5, dtype=torch.bool))
    assert none.all()


def test_a_graph_with_few_labels_can_be_split(write, edges):
    found = read_graph(edges, labels=write("l.csv", "a,x\nb,x\nc,y\nd,y\n"))
    split = low_label_split(found, 1, 0, "no_val")
    assert int(split.train_mask.sum()) == int(split.test_mask.sum()) == 2
    assert isinstance(split, Data) and split.node_ids == found.node_ids


@pytest.mark.parametrize("word", ["NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "None", "?"])
def test_the_usual_words_for_a_missing_value_are_no_label(write, edges, word):
    found = read_graph(edges, labels=write("l.csv", f"id,label\na,x\nc,y\nd,{word}\n"))
    assert labels(found) == {"a": "x", "b": None, "c": "y", "d": None, "e": None}
    assert found.class_names == ["x", "y"]
    number = read_graph(edges, labels=write("n.csv", f"id,label\na,10.0\nc,9.0\nd,{word}\n"))
    assert number.class_names == ["9", "10"]


def test_a_class_that_is_asked_for_may_have_such_a_name(write, edges):
    path = write("l.csv", "id,label\na,NA\nc,EU\n")
    found = read_graph(edges, labels=path, class_names=["EU", "NA"])
    assert labels(found)["a"] == "NA"


def test_one_class_is_counted_in_the_singular(write, edges):
    found = read_graph(edges, labels=write("l.csv", "a,x\nb,x\n"))
    assert "labels: 2 of 5 nodes, 1 class (x 2)" in found.summary.lines()


def test_a_first_line_of_other_words_is_a_header(write, edges):
    text = "Person,Team\na,red\nb,blue\nc,red\n"
    found = read_graph(edges, labels=write("l.csv", text))
    assert labels(found) == {"a": "red", "b": "blue", "c": "red", "d": None, "e": None}
    assert found.class_names == ["blue", "red"]
    assert any(
        note.startswith("the first line of l.csv (Person, Team) is taken for the names of columns")
        for note in found.summary.notes
    )
    kept = read_graph(edges, labels=write("l.csv", text), header=False)
    assert labels(kept)["Person"] == "Team"


@pytest.mark.parametrize("first", ["a,Team", "Person,red", "d,red"])
def test_a_first_line_that_another_one_supports_is_a_label(write, edges, first):
    rest = "b,blue\nc,red\n" + ("a,red\n" if not first.startswith("a") else "")
    found = read_graph(edges, labels=write("l.csv", f"{first}\n{rest}"))
    node, name = first.split(",")
    assert labels(found)[node] == name


@pytest.mark.parametrize(
    ("ids", "told"),
    [
        (("007", "8"), "007 is not 7"),
        (("Node 1", "node 2"), "node 2 is not Node 2"),
        (("node_1", "Node 2"), "node_1 is not Node 1"),
        (("x", "8"), None),
    ],
)
def test_ids_that_are_written_otherwise_are_told(write, ids, told):
    edges = write("e.csv", "source,target\n7,8\n8,Node 1\nNode 1,Node 2\n")
    notes = read_graph(edges, labels=write("l.csv", f"{ids[0]},u\n{ids[1]},v\n")).summary.notes
    found = [note for note in notes if "compared as text" in note]
    assert len(found) == (told is not None) and all(told in note for note in found)
    with pytest.raises(GraphFileError, match="ids are compared as text, 007 is not 7"):
        read_graph(write("e.csv", "7,8\n8,9\n"), labels=write("l.csv", "007,u\n008,v\n"))
