"""The edge model alone: the parts of it that a whole graph would hide."""

from __future__ import annotations

import numpy as np
import pytest

from grandpp.data.block_model import BlockModel


def model(n=600, classes=3, homophily=0.8, share=0.5, propensity=None):
    label = np.arange(n) * classes // n
    community = np.arange(n) * classes * 4 // n
    weight = np.ones(n) if propensity is None else propensity
    return BlockModel(weight, label, community, homophily, share)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_inside_classes_is_exact_where_there_is_room(seed):
    blocks = model()
    edges = blocks.edges(2000, np.random.default_rng(seed))
    assert (blocks.label[edges[0]] == blocks.label[edges[1]]).sum() == 1600
    assert (edges[0] < edges[1]).all()
    assert np.unique(edges, axis=1).shape == (2, 2000)


def test_the_share_inside_communities_follows_the_wish():
    shares = []
    for share in (0.25, 0.9):
        blocks = model(n=3000, share=share)
        edges = blocks.edges(15000, np.random.default_rng(0))
        inside = blocks.label[edges[0]] == blocks.label[edges[1]]
        near = blocks.community[edges[0]] == blocks.community[edges[1]]
        shares.append((near & inside).sum() / inside.sum())
    # What is not drawn in the community is drawn in the class, a quarter of it there too.
    assert shares == pytest.approx([0.25 + 0.75 * 0.25, 0.9 + 0.1 * 0.25], abs=0.03)


def test_full_communities_pass_their_edges_on_to_the_class():
    blocks = BlockModel(np.ones(300), np.arange(300) // 150, np.arange(300) // 3, 1.0, 1.0)
    edges = blocks.edges(3000, np.random.default_rng(0))
    assert np.unique(edges, axis=1).shape == (2, 3000)
    near = blocks.community[edges[0]] == blocks.community[edges[1]]
    assert near.sum() > 0.9 * 300


@pytest.mark.parametrize("homophily", [0.0, 0.5, 1.0])
def test_the_complete_graph_is_reached(homophily):
    edges = model(n=30, homophily=homophily).edges(435, np.random.default_rng(0))
    assert np.unique(edges, axis=1).shape == (2, 435)


@pytest.mark.parametrize("num_edges", [4000, 40000])
def test_neighbours_come_in_proportion_to_propensity(num_edges):
    # The larger number takes the way of dense graphs, which lists all free pairs.
    weight = np.where(np.arange(600) % 2 == 0, 1.0, 3.0)
    blocks = model(propensity=weight, homophily=0.34, share=0.0)
    neighbours = np.bincount(blocks.edges(num_edges, np.random.default_rng(0)).ravel())
    ratio = neighbours[1::2].mean() / neighbours[::2].mean()
    assert 2.0 < ratio < 3.2
