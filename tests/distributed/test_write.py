"""Shards on disk: the whole graph is in them, once, and they appear complete or not at all."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
import torch
from partitions import planted
from sharded import GRAPHS, MASKS, shards_of, undirected

from grandpp.data import GraphFileError
from grandpp.distributed import (
    ArrayEdges,
    NodeData,
    ParquetEdges,
    metis_is_there,
    read_shard,
    write_shards,
)
from grandpp.distributed.assign import assign
from grandpp.distributed.edges import summarize
from grandpp.graph import prepare_graph
from grandpp.models import SparseFeatures, to_dense

METHODS = ["label_propagation", *(["metis"] if metis_is_there() else [])]


def dense(graph, weight, size, nodes=None, halo=()):
    """The matrix of a graph, of a shard in the rows of its nodes."""
    columns = torch.arange(size) if nodes is None else torch.cat([nodes, torch.as_tensor(halo)])
    rows = columns[graph.csr.row]
    matrix = torch.zeros(size, size, dtype=weight.dtype)
    return matrix.index_put((rows, columns[graph.csr.col_long]), weight, accumulate=True)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", GRAPHS)
def test_the_shards_together_are_the_graph(tmp_path, kind, method):
    data = GRAPHS[kind]()
    like = torch.ones((), dtype=torch.float64)
    whole = prepare_graph(data.edge_index, data.num_nodes)
    right = whole.prior(data.edge_weight, 0.7, like)
    folder = shards_of(data, tmp_path, 3, method)
    total, seen = torch.zeros(120, 120, dtype=torch.float64), []
    for part in range(3):
        shard = read_shard(folder, part, 3)
        halo = np.load(folder / f"part-{part:05d}" / "halo.npy")
        values = shard.graph.prior(None, 0.7, like)
        total += dense(shard.graph, values, 120, shard.nodes, halo)
        seen.append(shard.nodes)
        assert torch.equal(shard.y, data.y[shard.nodes])
        assert torch.equal(to_dense(shard.x), data.x[shard.nodes])
        for name in MASKS:
            assert torch.equal(shard.masks[name], data[name][shard.nodes])
        assert shard.graph.is_symmetric(values) == whole.is_symmetric(right)
        mine, all_classes = shard.graph.classes, whole.classes_of(right)
        assert mine.groups.count == all_classes.groups.count
        for label, other in (
            (mine.components.label, all_classes.components.label),
            (mine.groups.label, all_classes.groups.label),
        ):
            same = label[:, None] == label
            assert torch.equal(same, other[shard.nodes][:, None] == other[shard.nodes])
        assert torch.equal(mine.closed, all_classes.closed[shard.nodes])
    assert torch.equal(torch.cat(seen).sort().values, torch.arange(120))
    torch.testing.assert_close(total, dense(whole, right, 120))
    info = json.loads((folder / "shards.json").read_text())
    between = torch.empty(120, dtype=torch.int64)
    for part, nodes in enumerate(seen):
        between[nodes] = part
    source, target = between[data.edge_index]
    assert info["cut_edges"] == int((source != target).sum())


@pytest.mark.parametrize("method", METHODS)
def test_parts_are_balanced_and_cut_few_edges(method):
    data = planted(400, 4, edges="homophilous")
    blocks = torch.arange(400) % 4
    inside = blocks[data.edge_index[0]] == blocks[data.edge_index[1]]
    order = torch.argsort(blocks, stable=True)
    # Nodes numbered block by block, but for some that sit in a wrong place.
    order[::9] = order[::9].roll(1)
    place = torch.argsort(order)
    edges = place[data.edge_index[:, inside]]
    part = assign(ArrayEdges(edges.numpy()), 400, 4, method)
    sizes = np.bincount(part)
    assert len(sizes) == 4 and sizes.max() <= 1.04 * 100 + 1
    cut = (part[edges[0]] != part[edges[1]]).mean()
    start = (torch.arange(400) * 4 // 400)[edges]
    assert cut < 0.5 * (start[0] != start[1]).double().mean()


@pytest.mark.parametrize("method", METHODS)
def test_every_part_has_a_node(method):
    edges = ArrayEdges(np.array([[0, 1], [1, 0]]))
    assert sorted(assign(edges, 5, 5, method).tolist()) == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="from 1 to 5 parts"):
        assign(edges, 5, 6, method)


def test_a_failure_leaves_nothing_behind(tmp_path):
    data = undirected()
    bad = data.edge_index.numpy().copy()
    bad[0, 7] = 120
    nodes = NodeData(data.y.numpy(), data.x.size(1), data.x.numpy())
    with pytest.raises(GraphFileError, match=r"below 120, the number of nodes \(got 120\)"):
        write_shards(tmp_path / "a", ArrayEdges(bad), nodes, 2, "label_propagation")
    assert list(tmp_path.iterdir()) == []

    class Torn(ArrayEdges):
        passes = 0

        def chunks(self):
            self.passes += 1
            if self.passes > 8:
                raise OSError("no space left")
            yield from super().chunks()

    with pytest.raises(OSError, match="no space"):
        write_shards(tmp_path / "a", Torn(data.edge_index.numpy()), nodes, 2, "label_propagation")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_holds_something_is_refused(tmp_path):
    (tmp_path / "shards-2").mkdir()
    folder = shards_of(undirected(), tmp_path, 2)  # empty, so that it may be used
    with pytest.raises(ValueError, match="does not exist, or an empty one"):
        shards_of(undirected(), tmp_path, 2)
    assert read_shard(folder, 0).info["parts"] == 2
    with pytest.raises(ValueError, match="existing folder"):
        shards_of(undirected(), tmp_path / "nowhere", 2)


def test_whether_edges_go_both_ways_is_found_in_one_pass():
    a = np.array([[0, 1, 1, 2, 2, 0], [1, 0, 2, 1, 0, 2]])
    same = np.array([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])
    assert summarize(ArrayEdges(a)).undirected
    assert not summarize(ArrayEdges(a[:, :5])).undirected
    assert summarize(ArrayEdges(a, same)).undirected
    assert not summarize(ArrayEdges(a, same + np.eye(6)[2])).undirected
    with pytest.raises(GraphFileError, match="finite weights"):
        summarize(ArrayEdges(a, -same))


def test_edges_in_parquet_are_those_in_memory(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    data = GRAPHS["directed"]()
    source, target = data.edge_index.numpy()
    weight = data.edge_weight.numpy()
    table = pyarrow.table({"source": source, "target": target, "weight": weight})
    parquet.write_table(table, tmp_path / "edges.parquet")
    edges = ParquetEdges(tmp_path / "edges.parquet")
    whole = [np.concatenate(parts) for parts in zip(*edges.chunks(), strict=True)]
    for found, right in zip(whole, (source, target, weight), strict=True):
        assert np.array_equal(found, right)


def test_features_and_edges_are_read_a_chunk_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("grandpp.distributed.edges.CHUNK", 2**12)
    monkeypatch.setattr("grandpp.distributed.write._ROWS", 2**8)
    count, degree, channels = 4000, 32, 400
    random = np.random.default_rng(0)
    source = random.integers(0, count, count * degree // 2)
    target = (source + random.integers(1, 50, source.size)) % count
    both = np.stack([np.r_[source, target], np.r_[target, source]])
    np.save(tmp_path / "edges.npy", both)
    np.save(tmp_path / "x.npy", random.standard_normal((count, channels), dtype=np.float32))
    edges, x = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("edges", "x"))
    nodes = NodeData(np.zeros(count, dtype=np.int64), channels, x)
    graph = edges.nbytes + x.nbytes
    del both, source, target
    tracemalloc.start()
    write_shards(tmp_path / "shards", ArrayEdges(edges), nodes, 8, "label_propagation")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.4 * graph
    shard = read_shard(tmp_path / "shards", 5)
    assert np.array_equal(shard.x.numpy(), x[shard.nodes])


def test_sparse_features_stay_sparse(tmp_path):
    data = undirected()
    data.x = (data.x * (torch.rand(data.x.shape) < 0.1)).float()
    folder = shards_of(data, tmp_path, 2)
    for part in range(2):
        shard = read_shard(folder, part)
        assert isinstance(shard.x, SparseFeatures)
        assert torch.equal(to_dense(shard.x), data.x[shard.nodes])
    rows = data.x.to_sparse_csr()
    sparse = tuple(v.numpy() for v in (rows.crow_indices(), rows.col_indices(), rows.values()))
    nodes = NodeData(data.y.numpy(), data.x.size(1), None, sparse)
    edges = ArrayEdges(data.edge_index.numpy())
    write_shards(tmp_path / "again", edges, nodes, 2, "label_propagation")
    shard = read_shard(tmp_path / "again", 1)
    assert torch.equal(to_dense(shard.x), data.x[shard.nodes])
