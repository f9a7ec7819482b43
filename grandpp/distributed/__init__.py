"""Training on one graph in several processes: shards on disk and exchange of halo rows."""

from grandpp.distributed.arrays import ShardError
from grandpp.distributed.assign import METHODS, metis_is_there
from grandpp.distributed.edges import ArrayEdges, EdgeList, ParquetEdges
from grandpp.distributed.exchange import Halo, LostRankError, RankReductions
from grandpp.distributed.gradients import sum_gradients
from grandpp.distributed.graph import ShardedGraph
from grandpp.distributed.read import Shard, read_shard
from grandpp.distributed.write import NodeData, write_shards

__all__ = [
    "METHODS",
    "ArrayEdges",
    "EdgeList",
    "Halo",
    "LostRankError",
    "NodeData",
    "ParquetEdges",
    "RankReductions",
    "Shard",
    "ShardError",
    "ShardedGraph",
    "metis_is_there",
    "read_shard",
    "sum_gradients",
    "write_shards",
]
