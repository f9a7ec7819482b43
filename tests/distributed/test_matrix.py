"""Products of one part of a matrix, one after the other."""

from __future__ import annotations

from typing import Any

import torch
from sharded import in_ranks, shards_of, undirected
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from grandpp.distributed import read_shard


class _Memory(TorchDispatchMode):
    """Remembers where the results of all operations lie."""

    def __init__(self, least: int) -> None:
        super().__init__()
        self.least = least
        self.places: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if not isinstance(result, Tensor) or result.layout != torch.strided:
            return result
        storage = result.untyped_storage()
        if storage.nbytes() >= self.least:
            self.places.add(storage.data_ptr())
        return result


def _matrix(rank, folder, parts):
    csr = read_shard(folder, rank, parts).graph.csr
    generator = torch.Generator().manual_seed(rank)
    return csr, torch.rand(csr.col.numel(), generator=generator), generator


def _results_of_many_products(rank, folder, parts):
    csr, weight, generator = _matrix(rank, folder, parts)
    x, y = torch.rand(2, csr.num_rows, 6, generator=generator)
    back = weight.index_select(0, csr.transpose.perm)

    def all_products(x):
        total = torch.zeros_like(weight)
        csr.add_sampled_product(x, x, total, 2.0)
        found = [csr.multiply(weight, x), csr.multiply(weight, x, torch.empty_like(x))]
        found += [csr.transpose.multiply(back, x), csr.sampled_product(x, x), total]
        return found

    with torch.inference_mode():
        all_products(y)
    first = all_products(x)
    copies = [v.clone() for v in first]
    all_products(y)
    csr.multiply(weight.double(), y.double()[:, :2])
    again = all_products(x)
    every = zip(first, copies, again, strict=True)
    return [torch.equal(a, b) and torch.equal(b, c) for a, b, c in every]


def test_a_product_leaves_the_results_of_earlier_ones_alone(tmp_path):
    folder = shards_of(undirected(), tmp_path, 2)
    assert in_ranks(2, _results_of_many_products, folder, 2) == [[True] * 5] * 2


def _fresh_memory_of_the_third_product(rank, folder, parts):
    csr, weight, generator = _matrix(rank, folder, parts)
    x, spare = torch.rand(2, csr.num_rows, 64, generator=generator)
    fresh = []
    for matrix, values in ((csr, weight), (csr.transpose, weight[csr.transpose.perm])):
        places: set[int] = set()
        for _ in range(3):
            with _Memory(least=8 * 64 * 4) as memory:
                matrix.multiply(values, x, spare)
            new = memory.places - places
            places |= memory.places
        fresh.append(len(new))
    return fresh


def test_products_with_a_spare_tensor_take_no_fresh_memory(tmp_path):
    folder = shards_of(undirected(), tmp_path, 2)
    assert in_ranks(2, _fresh_memory_of_the_third_product, folder, 2) == [[0, 0]] * 2
