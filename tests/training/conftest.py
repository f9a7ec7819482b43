"""A small graph with a split, and predictions of chosen accuracy on it."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import low_label_split, sbm


@pytest.fixture(scope="module")
def data():
    graph = sbm(300, 700, num_classes=3, num_features=64, words_per_node=8, seed=1)
    return low_label_split(graph, 5, seed=0, num_development=150)


@pytest.fixture
def one_class(data):
    """The graph with every node in class 0."""
    graph = data.clone()
    graph.y = torch.zeros_like(data.y)
    return graph


@pytest.fixture
def predict(one_class):
    """A function from numbers of validation and test nodes to logits that are right on so many."""

    def logits(val_hits, test_hits):
        classes = torch.ones_like(one_class.y)
        for mask, hits in ((one_class.val_mask, val_hits), (one_class.test_mask, test_hits)):
            classes[mask.nonzero().view(-1)[:hits]] = 0
        return torch.nn.functional.one_hot(classes, 2).float()

    return logits
