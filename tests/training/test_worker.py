"""What worker processes keep between two runs."""

from __future__ import annotations

import pickle

import pytest
import torch

from grandpp.data import sbm
from grandpp.layers import GRANDConv
from grandpp.studies.low_label import tuned_run
from grandpp.training import worker
from grandpp.training.user_errors import is_user_error
from grandpp.training.worker import StoredGraphs, keep_graphs, run_cached


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


@pytest.mark.parametrize(("wrong", "meant"), [({"time": "long"}, True), ({"tyme": 1.0}, False)])
def test_an_error_of_the_user_is_known_as_one_where_it_arrives(monkeypatch, wrong, meant):
    monkeypatch.setattr(worker, "record_run", lambda *args: GRANDConv(4, **wrong))
    keep_graphs("here", [sbm(50, 80, num_features=20, words_per_node=5)])
    with pytest.raises(TypeError) as caught:
        run_cached("here", 0, tuned_run("sbm", "gcn", 1), 0)
    assert is_user_error(pickle.loads(pickle.dumps(caught.value))) is meant
