"""The default model on planted graphs: where features or edges tell nothing, or mislead."""

from __future__ import annotations

import pytest
import torch
from partitions import planted

from grandpp.data import low_label_split
from grandpp.studies.low_label.zoo import DEFAULT_MODEL, tuned_run
from grandpp.training import train_run


def trained(graph, protocol):
    graph.name = "planted"
    run = tuned_run("planted", DEFAULT_MODEL, 1, protocol=protocol)
    return train_run(run, low_label_split(graph, 1, 0, protocol), torch.device("cpu"))


@pytest.mark.parametrize("protocol", ["grand", "no_val"])
@pytest.mark.parametrize(
    ("kind", "edges"),
    [("classes", "homophilous"), ("noise", "homophilous"), ("classes", "random")],
)
def test_one_label_per_class_is_enough_where_either_side_tells_the_classes(kind, edges, protocol):
    found = trained(planted(300, kind=kind, edges=edges), protocol)
    assert found.test_accuracy > 0.8
    assert found.last_test_accuracy > 0.8


def test_features_that_all_nodes_share_do_not_hide_the_others():
    graph = planted(300)
    # Most of every row of norm 1 is then the same at all nodes.
    graph.x = torch.cat([graph.x, 20 * graph.x.abs().mean() * torch.ones(300, 40)], dim=1)
    assert trained(graph, "no_val").last_test_accuracy > 0.9
