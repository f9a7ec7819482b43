"""Labels as users have them."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from grandpp.estimator.labels import places, read_labels


def graph(**attributes):
    return Data(num_nodes=4, **attributes)


@pytest.mark.parametrize(
    ("y", "classes", "codes"),
    [
        (torch.tensor([7, -1, 3, 7]), [3, 7], [1, -1, 0, 1]),
        ([7.0, float("nan"), 3.0, -1.0], [3, 7], [1, -1, 0, -1]),
        (["b", None, "a", "b"], ["a", "b"], [1, -1, 0, 1]),
        (np.array(["b", "c", "a", "b"]), ["a", "b", "c"], [1, 2, 0, 1]),
        ([True, 1, None, 2], None, None),
    ],
)
def test_labels_are_numbered_in_order(y, classes, codes):
    if classes is None:
        with pytest.raises(ValueError, match="all integers or all names"):
            read_labels(graph(), y)
        return
    found = read_labels(graph(), y)
    assert found.classes.tolist() == classes
    assert found.codes.tolist() == codes


def test_class_names_of_a_graph_are_its_classes():
    data = graph(y=torch.tensor([2, -1, 0, 0]), class_names=["z", "y", "x"])
    found = read_labels(data)
    assert found.classes.tolist() == ["z", "x"]
    assert found.codes.tolist() == [1, -1, 0, 0]


@pytest.mark.parametrize(
    ("y", "words"),
    [
        ([0, 1], r"one label per node, shape \[4\]"),
        ([0, 1, 0.5, 1], "integers of at least 0.*0.5 at node 2"),
        ([0, 1, -2, 1], "integers of at least 0.*-2 at node 2"),
        (["a", 1, "b", None], "all integers or all names.*1 at node 1"),
        (None, "got neither"),
    ],
)
def test_other_labels_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        read_labels(graph(), y)


def test_unseen_labels_are_forgotten_with_their_classes():
    labels = read_labels(graph(), ["a", "b", "c", "a"])
    seen = labels.seen(np.array([True, False, True, False]))
    assert seen.classes.tolist() == ["a", "c"]
    assert seen.codes.tolist() == [0, -1, 1, -1]
    with pytest.raises(ValueError, match=r"at least two classes.*one, 'a'"):
        labels.seen(np.array([True, False, False, True]))
    with pytest.raises(ValueError, match=r"at least two classes.*no labelled node"):
        labels.seen(np.zeros(4, dtype=bool))


def test_places_of_labels():
    classes = np.array(["a", "c"], dtype=object)
    assert places(["c", "b", "a"], classes).tolist() == [1, -1, 0]
    assert places(torch.tensor([5, 3]), np.array([3, 5])).tolist() == [1, 0]
