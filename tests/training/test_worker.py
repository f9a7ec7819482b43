"""What worker processes keep between two runs."""

from __future__ import annotations

import torch

from grandpp.data import sbm
from grandpp.training.worker import StoredGraphs


def test_stored_graphs_come_back_with_dense_and_with_sparse_features(tmp_path):
    dense = sbm(50, 80, num_features=20, words_per_node=5)
    sparse = dense.clone()
    sparse.x = dense.x.to_sparse_csr()
    StoredGraphs(tmp_path).store([dense, sparse])
    found = StoredGraphs(tmp_path)
    assert torch.equal(found[0].x, dense.x)
    assert found[1].x.layout == torch.sparse_csr
    assert torch.equal(found[1].x.to_dense(), dense.x)
    assert torch.equal(found[1].edge_index, dense.edge_index)
