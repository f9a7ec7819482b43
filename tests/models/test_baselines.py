"""PyG's models behind our interface."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch_geometric.nn import GraphSAGE

from grandpp.models import SparseFeatures, gat, gcn, mlp, sage


def test_graphsage_with_maps_first_is_pygs(karate, sparse_x):
    torch.manual_seed(0)
    model = sage(50, 8, 3, 0.5).eval()
    theirs = GraphSAGE(50, 8, 2, 3).eval()
    theirs.load_state_dict(model.model.state_dict())
    x = torch.cat([sparse_x, sparse_x[:1]])  # one node more, without neighbours
    expected = theirs(x, karate)
    torch.testing.assert_close(model(SparseFeatures.from_dense(x), karate), expected)


def test_numbers_of_layers_are_those_asked_for(karate, sparse_x):
    for layers in (1, 2, 5):
        assert len(gcn(50, 8, 3, 0.5, layers=layers).model.convs) == layers
        assert len(gat(50, 8, 3, 0.5, 2, layers=layers).model.convs) == layers
        assert len(sage(50, 8, 3, 0.5, layers=layers).model.convs) == layers
        model = mlp(50, 8, 3, 0.5, layers=layers).eval()
        assert len(model.model.lins) == layers
        assert model(sparse_x, karate).shape == (34, 3)


def test_features_are_dropped_in_training_alone(karate, sparse_x):
    torch.manual_seed(0)
    model = gcn(50, 8, 3, 0.0, input_dropout=0.5)
    assert not torch.equal(model(sparse_x, karate), model(sparse_x, karate))
    model.eval()
    expected = model.model(sparse_x, karate)
    assert torch.equal(model(sparse_x, karate), expected)
    assert not torch.equal(F.dropout(sparse_x, 0.5), sparse_x)
