"""NPZ files with arrays called like the attributes of a PyG Data."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from grandpp import NodeClassifier
from grandpp.data import GraphFileError, check_data, load_dataset, read_graph
from grandpp.estimator import label
from grandpp.training.command import run_command

EDGES = np.array([[0, 1, 1, 2], [1, 0, 2, 1]])
X = np.arange(12.0).reshape(4, 3) / 12
Y = np.array([0, 1, -1, 1])


@pytest.fixture
def save(tmp_path):
    def to(**arrays):
        path = tmp_path / "my.npz"
        np.savez(path, **arrays)
        return path

    return to


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8])
@pytest.mark.parametrize("transposed", [False, True])
def test_arrays_of_a_pyg_graph_are_read(save, kind, transposed):
    path = save(x=X, edge_index=(EDGES.T if transposed else EDGES).astype(kind), y=Y)
    found = read_graph(path)
    assert torch.equal(found.edge_index, torch.from_numpy(EDGES))
    assert torch.equal(found.x, torch.from_numpy(X).float())
    assert (found.y.tolist(), found.class_names) == ([0, 1, -1, 1], ["0", "1"])
    assert found.node_ids == [0, 1, 2, 3] and found.summary.num_isolated == 1
    check_data(found)


def test_a_graph_with_two_edges_has_sources_in_the_first_row(save):
    found = read_graph(save(edge_index=np.array([[0, 1], [2, 3]]), x=X), directed=True)
    assert found.edge_index.tolist() == [[0, 1], [2, 3]]


def test_weights_masks_and_names_are_read(save):
    found = read_graph(
        save(
            x=X, edge_index=EDGES, y=Y, edge_weight=np.array([2, 2, 3, 3]),
            train_mask=np.array([1, 0, 0, 1]), test_mask=np.array([False, True, False, False]),
            node_ids=np.array(["a", "b", "c", "d"]), class_names=np.array(["x", "y"]),
            feature_names=np.array(["u", "v", "w"]),
        )
    )  # fmt: skip
    assert found.edge_weight.tolist() == [2, 2, 3, 3]
    assert found.train_mask.tolist() == [True, False, False, True]
    assert found.test_mask.tolist() == [False, True, False, False]
    assert (found.node_ids, found.class_names) == (["a", "b", "c", "d"], ["x", "y"])
    assert found.feature_names == ["u", "v", "w"]


@pytest.mark.parametrize(
    ("y", "codes", "names"),
    [
        (np.array([0.0, 1.0, np.nan, -1.0]), [0, 1, -1, -1], ["0", "1"]),
        (np.array([True, False, True, True]), [1, 0, 1, 1], ["0", "1"]),
        (np.array([[0], [2], [1], [-1]]), [0, 2, 1, -1], ["0", "1", "2"]),
        (np.array(["red", "", "blue", "red"]), [1, -1, 0, 1], ["blue", "red"]),
    ],
)
def test_labels_may_have_gaps_and_names(save, y, codes, names):
    found = read_graph(save(x=X, edge_index=EDGES, y=y))
    assert (found.y.tolist(), found.class_names) == (codes, names)


def test_features_and_labels_may_be_missing_or_in_other_files(save, tmp_path):
    bare = read_graph(save(edge_index=EDGES, y=Y))  # node 3 has no edge
    assert bare.num_nodes == 4 and bare.feature_names[0] == "log degree"
    assert bare.y.tolist() == Y.tolist()
    found = read_graph(save(x=X, edge_index=EDGES))
    assert found.num_classes == 0 and found.y.tolist() == [-1] * 4
    (tmp_path / "l.csv").write_text("node,label\n0,a\n3,b\n")
    assert read_graph(save(x=X, edge_index=EDGES), labels=tmp_path / "l.csv").num_classes == 2
    assert read_graph(save(edge_index=EDGES, num_nodes=9)).num_nodes == 9


def test_a_saved_data_without_features_has_as_many_nodes_as_labels(tmp_path):
    torch.save(Data(edge_index=torch.from_numpy(EDGES), y=torch.from_numpy(Y)), tmp_path / "g.pt")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # PyG guesses the number of nodes with a warning
        assert read_graph(tmp_path / "g.pt").y.tolist() == Y.tolist()


def test_nodes_of_other_files_are_in_no_mask(save, tmp_path):
    (tmp_path / "f.csv").write_text("node,a\n3,1\n9,2\n0,1\n1,1\n2,1\n")
    (tmp_path / "n.txt").write_text("9\n3\n2\n1\n0\n")
    path = save(edge_index=EDGES, y=Y, train_mask=np.array([1, 1, 0, 0]))
    for nodes in (None, tmp_path / "n.txt"):
        found = read_graph(path, tmp_path / "f.csv", nodes=nodes)
        trained = [found.node_ids[i] for i in found.train_mask.nonzero().view(-1).tolist()]
        assert sorted(trained) == [0, 1] and found.num_nodes == 5


def test_what_is_not_used_is_said(save, tmp_path):
    masks = np.ones((4, 10), dtype=bool)
    path = save(
        x=X, edge_index=EDGES, y=Y, pos=X, train_mask=masks, node_ids=np.array([None, "a", 1, 2])
    )
    found = read_graph(path)
    assert "train_mask" not in found and found.node_ids == [0, 1, 2, 3]
    notes = "\n".join(found.summary.notes)
    assert "arrays that were not used: pos, node_ids" in notes
    assert (
        "train_mask of my.npz is not used: expected a mask of 4 nodes, type bool (got torch.bool "
        "of shape [4, 10])" in notes
    )
    (tmp_path / "l.csv").write_text("0,a\n3,b\n2,a\n")
    path = save(x=X, edge_index=EDGES, y=Y, train_mask=masks[:, 0])
    found = read_graph(path, labels=tmp_path / "l.csv")
    assert "train_mask" not in found
    assert "train_mask of my.npz is not used, as labels come from l.csv" in found.summary.notes


OBJECTS = "which can run code when they are read)"


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"y": np.array([0, None, 1, 1], dtype=object)},
         "expected numbers or text in array 'y' (got Python objects, " + OBJECTS),
        ({"x": np.array([[1, "a"]] * 4, dtype=object)},
         "expected numbers in array 'x' (got Python objects, " + OBJECTS),
        ({"edge_index": EDGES.astype(object)},
         "expected integers in array 'edge_index' (got Python objects, " + OBJECTS),
        ({"edge_index": EDGES.astype(float)},
         "expected integers in array 'edge_index' (got float64)"),
        ({"edge_index": np.zeros((3, 3), int)}, "expected 'edge_index' of shape [2, edges]"),
        ({"edge_index": EDGES + 2}, "expected edge indices in 0 .. 3 (got 4)"),
        ({"edge_index": EDGES - 1}, "expected edge indices in 0 .. 3 (got -1)"),
        ({"x": X[:, 0]}, "expected features of shape [nodes, columns] (got [4])"),
        ({"x": np.full((4, 2), np.nan)}, ", node 0: expected finite features (got nan)"),
        ({"x": np.array([["a"]] * 4)}, "expected numbers in array 'x' (got <U1)"),
        ({"y": np.array([0, 1])}, "expected 4 labels in 'y' (got 2)"),
        ({"y": np.array(["a", "b"])}, "expected 4 labels in 'y' (got 2)"),
        ({"y": np.array([0.5, 1, 1, 1])}, "expected one integer label per node (got float64"),
        ({"y": np.eye(4)}, "expected one integer label per node (got float64, shape [4, 4])"),
        ({"y": np.array([0, -2, 1, 1])}, "expected labels >= 0, or -1 for none (got -2)"),
        ({"y": np.array(["", "", "?", "NA"])}, "expected a label of some node (got none)"),
        ({"edge_weight": np.ones(3)}, "expected a real 'edge_weight' of shape [4]"),
        ({"edge_weight": np.array([1, 1, np.nan, 1])}, ", edge 2: expected a finite weight"),
    ],
)  # fmt: skip
def test_wrong_arrays_are_refused_in_one_line(save, arrays, words):
    path = save(**({"x": X, "edge_index": EDGES, "y": Y} | arrays))
    with pytest.raises(GraphFileError) as caught:
        read_graph(path)
    assert str(caught.value).startswith(str(path)) and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_masks_and_labels_of_the_file_train(tmp_path, capsys):
    rng = np.random.default_rng(0)
    truth = np.repeat([0, 1], 20)
    near = rng.random((40, 40)) < np.where(truth[:, None] == truth[None], 0.3, 0.02)
    edges = np.argwhere(np.triu(near, 1))
    mask = np.zeros(40, dtype=bool)
    mask[[0, 1, 20, 21]] = True
    np.savez(
        tmp_path / "my.npz", x=rng.random((40, 4)) + np.eye(4)[truth], edge_index=edges, y=truth,
        train_mask=mask,
    )  # fmt: skip
    arguments = ["--edges", str(tmp_path / "my.npz"), "--out", str(tmp_path / "p.csv"), "--quiet"]
    arguments += ["--model", "grand-l", "--epochs", "2", "--json"]
    assert run_command(label.COMMAND, arguments) == 0
    assert json.loads(capsys.readouterr().out)["labelled"] == {"0": 2, "1": 2}
    loaded = load_dataset(str(tmp_path / "my.npz"))
    clf = NodeClassifier("grand-l", epochs=2, calibration="none").fit(loaded)
    assert (clf.given_ >= 0).tolist() == mask.tolist()


def test_arrays_of_other_names_are_listed(save):
    with pytest.raises(GraphFileError, match=r"edge_index, x, y.*got: arrays feat, label\)"):
        read_graph(save(feat=X, label=Y))


def test_rows_of_a_whole_graph_keep_their_nodes_in_another_order(save, tmp_path):
    (tmp_path / "n.txt").write_text("3\n2\n1\n0\n")
    found = read_graph(save(x=X, edge_index=EDGES, y=Y), nodes=tmp_path / "n.txt")
    assert found.node_ids == [3, 2, 1, 0] and found.y.tolist() == Y[::-1].tolist()
    assert torch.equal(found.x, torch.from_numpy(X[::-1].copy()).float())
