"""Features with units are standardised, others are left as they are."""

from __future__ import annotations

import pytest
import torch

from grandpp.data import load_dataset, read_graph
from grandpp.data.scaling import Scaling


def test_columns_with_units_have_mean_0_and_deviation_1():
    x = torch.tensor([[1990.0, 2e5, 3.0], [2010.0, 4e5, 3.0], [2000.0, 3e5, 3.0]])
    found = Scaling.of(x)(x)
    torch.testing.assert_close(found.mean(dim=0), torch.zeros(3))
    expected = torch.tensor([1.5**0.5, 1.5**0.5])
    torch.testing.assert_close(found.amax(dim=0)[:2], expected)
    assert (found[:, 2] == 0).all()  # a constant column says nothing, and is not divided by 0
    other = Scaling.of(x)(x + 1)
    torch.testing.assert_close(other - found, (1 / Scaling.of(x).scale).float().expand(3, 3))


@pytest.mark.parametrize("kind", ["binary", "sparse", "negative"])
def test_features_without_units_are_left(kind):
    x = torch.eye(4)
    x = {"binary": x, "sparse": (100 * x).to_sparse_csr(), "negative": -5 * x}[kind]
    assert Scaling.of(x)(x) is x


def test_a_graph_of_files_is_loaded_with_scaled_features(tmp_path):
    (tmp_path / "edges.csv").write_text("source,target\na,b\nb,c\n")
    (tmp_path / "features.csv").write_text("node,year,income\na,1990,2e5\nb,2010,4e5\nc,2000,9e5\n")
    (tmp_path / "labels.csv").write_text("node,label\na,x\nb,y\n")
    raw, found = read_graph(tmp_path), load_dataset(tmp_path)
    assert float(raw.x.max()) == 9e5
    expected = (raw.x - raw.x.mean(dim=0)) / raw.x.std(dim=0, unbiased=False)
    torch.testing.assert_close(found.x, expected)
    assert found.y.tolist() == raw.y.tolist() and found.node_ids == raw.node_ids
