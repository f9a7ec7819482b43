"""Layers on a graph in shards give what they give on the whole graph."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sharded import CASES, GRAPHS, in_ranks, outcome, sharded_outcomes, shards_of, undirected, whole

from grandpp.distributed import read_shard
from grandpp.fields import NonFiniteFeaturesError
from grandpp.layers import CGNNConv, GRANDConv, GRANDPPConv, HeavyBallConv


@pytest.mark.parametrize(
    ("kind", "parts"), [("undirected", 1), ("directed", 1), ("undirected", 4), ("directed", 2)]
)
def test_states_and_all_gradients_are_those_of_the_whole_graph(tmp_path, kind, parts):
    data = GRAPHS[kind]()
    found = in_ranks(parts, sharded_outcomes, shards_of(data, tmp_path, parts), parts)
    every = torch.arange(data.num_nodes)
    for name in CASES:
        y, to_x, gradients, steps = outcome(
            name, data.edge_index, every, data.num_nodes, data.train_mask, data.edge_weight
        )
        here = [(nodes, outcomes[name]) for nodes, outcomes in found]
        for right, k in ((y, 0), (to_x, 1)):
            np.testing.assert_allclose(
                whole([(nodes, value[k]) for nodes, value in here]),
                right,
                rtol=0,
                atol=1e-9 * np.abs(right).max(),
                err_msg=name,
            )
        for _, value in here:
            assert value[3] == steps, name
            for parameter, right in gradients.items():
                np.testing.assert_allclose(
                    value[2][parameter], right, rtol=0, atol=1e-9 * np.abs(right).max(),
                    err_msg=f"{name} {parameter}",
                )  # fmt: skip


@pytest.fixture
def shard(tmp_path):
    return read_shard(shards_of(undirected(), tmp_path, 1), 0)


def test_layers_without_a_sharded_form_refuse_a_sharded_graph(shard):
    x = torch.randn(120, 6)
    for conv in (HeavyBallConv(6), CGNNConv(6)):
        with pytest.raises(TypeError, match="ShardedGraph"):
            conv(x, shard.graph)
    with pytest.raises(ValueError, match="expected a solver for sharded graphs"):
        GRANDConv(6, mode="nonlinear")(x, shard.graph)
    with pytest.raises(ValueError, match="gradient='adjoint'"):
        GRANDConv(6, solver="dopri5", gradient="adjoint")(x, shard.graph)
    for solver in ("prox_bdf2", "prox_adaptive", "commutator_free", "dopri8"):
        conv = GRANDConv(6, mode="nonlinear", solver=solver)
        if solver == "dopri8":
            assert conv(x, shard.graph).shape == x.shape
        else:
            with pytest.raises(ValueError, match=f"got '{solver}'"):
                conv(x, shard.graph)
    with pytest.raises(ValueError, match="sharded"):
        GRANDPPConv(6, time=float("inf"))(x, shard.graph, None, shard.masks["train_mask"])
    with pytest.raises(ValueError, match="sharded"):
        GRANDConv(6, time=float("inf"))(x, shard.graph)
    with pytest.raises(TypeError, match="sharded"):
        GRANDConv(6).attention_weights(x, shard.graph)


def test_arguments_that_a_sharded_graph_does_not_take_are_named(shard):
    x = torch.randn(120, 6)
    with pytest.raises(ValueError, match=r"\[120, 6\].*got \[119, 6\]"):
        GRANDConv(6)(x[1:], shard.graph)
    with pytest.raises(ValueError, match="edge_weight"):
        GRANDConv(6)(x, shard.graph, torch.ones(3))
    with pytest.raises(ValueError, match="batch"):
        GRANDPPConv(6)(x, shard.graph, None, shard.masks["train_mask"], torch.zeros(120).long())
    x[5, 1] = torch.nan
    with pytest.raises(NonFiniteFeaturesError, match="node 5"):
        GRANDConv(6)(x, shard.graph)


def _nan_in_one_rank(rank, folder):
    shard = read_shard(folder, rank, 2)
    x = torch.randn(shard.nodes.numel(), 6)
    if rank == 1:
        x[0] = torch.nan
    try:
        GRANDConv(6)(x, shard.graph)
    except NonFiniteFeaturesError:
        return "refused"


def test_all_ranks_refuse_what_is_not_finite_in_one(tmp_path):
    folder = shards_of(undirected(), tmp_path, 2)
    assert in_ranks(2, _nan_in_one_rank, folder) == ["refused", "refused"]
