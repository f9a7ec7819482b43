"""A small graph with clear classes."""

import numpy as np
import pytest
import torch
from torch_geometric.data import Data


def planted(seed=0, per_class=20, classes=3, features=12, names=None):
    """Nodes of a class share edges and features; two labels per class are known."""
    rng = np.random.default_rng(seed)
    label = np.repeat(np.arange(classes), per_class)
    near = rng.random((label.size, label.size)) < np.where(label[:, None] == label[None], 0.3, 0.01)
    edges = np.argwhere(np.triu(near, 1))
    # A path through each class leaves no node alone.
    path = [(i, i + 1) for i in range(label.size - 1) if label[i] == label[i + 1]]
    edges = np.concatenate([edges, path])
    x = rng.random((label.size, features)) + 2 * np.eye(features)[label]
    data = Data(
        x=torch.from_numpy(x).float(),
        edge_index=torch.from_numpy(np.concatenate([edges, edges[:, ::-1]]).T.copy()),
        y=torch.full((label.size,), -1),
    )
    data.truth = torch.from_numpy(label)
    for c in range(classes):
        nodes = rng.permutation(np.flatnonzero(label == c))[:2]
        data.y[nodes] = c
    if names is not None:
        data.class_names = list(names)
    return data


@pytest.fixture
def data():
    return planted()


@pytest.fixture(scope="session")
def make_graph():
    return planted
