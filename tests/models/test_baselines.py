"""PyG's models behind our interface."""

from __future__ import annotations

import pytest
import torch

from grandpp.models import SparseFeatures, gat, gcn, mlp


@pytest.mark.parametrize(
    "build",
    [
        lambda: gcn(50, 8, 3, 0.5),
        lambda: gat(50, 8, 3, 0.5, 2),
        lambda: mlp(50, 8, 3, 0.5),
    ],
)
def test_baselines_take_the_same_arguments_and_ignore_trusted_nodes(build, karate, sparse_x):
    torch.manual_seed(0)
    model = build().eval()
    output = model.classify(sparse_x, karate, source_index=torch.tensor([0]))
    assert output.stats is None
    torch.testing.assert_close(model(SparseFeatures.from_dense(sparse_x), karate), output.logits)


def test_the_perceptron_sees_no_graph_and_gat_refuses_weights(karate, sparse_x):
    torch.manual_seed(0)
    model = mlp(50, 8, 3, 0.5).eval()
    assert torch.equal(model(sparse_x, karate), model(sparse_x, karate[:, :2]))
    with pytest.raises(ValueError, match="edge_weight"):
        gat(50, 8, 3, 0.5, 2)(sparse_x, karate, torch.ones(karate.size(1)))
