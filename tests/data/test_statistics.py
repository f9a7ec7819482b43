"""Statistics of a graph, against numbers counted by hand."""

from __future__ import annotations

import torch
from torch_geometric.data import Data
from torch_geometric.utils import to_undirected

from grandpp.data import GraphStatistics, graph_statistics


def test_a_star_with_ten_leaves_and_a_lone_node_is_described_as_counted_by_hand():
    star = torch.stack([torch.zeros(10, dtype=torch.long), torch.arange(1, 11)])
    x = torch.zeros(12, 3)
    x[0] = 0.5
    y = torch.tensor([0] * 4 + [1] * 8)
    found = graph_statistics(Data(x=x, edge_index=to_undirected(star), y=y))
    assert found == GraphStatistics(
        num_nodes=12,
        num_edges=10,
        homophily=0.3,
        max_degree=10,
        degree_deviation=((100 + 10) / 12 - (20 / 12) ** 2) ** 0.5,
        degree_one_share=10 / 12,
        degree_ten_share=1 / 12,
        words_per_node=0.25,
    )


def test_edges_with_an_end_without_a_known_label_do_not_count_for_homophily():
    edges = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])
    data = Data(x=torch.ones(4, 1), edge_index=edges, y=torch.tensor([0, 0, 1, -1]))
    assert graph_statistics(data).homophily == 0.5
