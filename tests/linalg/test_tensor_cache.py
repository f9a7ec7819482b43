"""Prepared graphs: shared by content, bounded, never stale, and freed with their tensors."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest
import torch

from grandpp.graph import prepare_graph
from grandpp.layers import GRANDConv
from grandpp.linalg.tensor_cache import Prepared


def numbers(i, length=10):
    return torch.arange(length) + i


def remembered(cache, tensor, about=0, size=100):
    """Whether the value of a tensor is known; it is a list, so that it has an identity."""
    built = []

    def build():
        built.append(True)
        return [tensor.clone()], size

    value = cache.get(tensor, about, build)
    assert torch.equal(value[0], tensor)
    return not built


def test_equal_tensors_share_one_graph():
    edges = torch.tensor([[0, 1, 2, 2], [1, 2, 0, 1]])
    copies = [edges.clone() for _ in range(200)]
    graphs = {id(prepare_graph(copy, 3)) for copy in copies}
    assert len(graphs) == 1
    assert prepare_graph(copies[0], 4) is not prepare_graph(copies[1], 3)
    assert prepare_graph(edges.int(), 3).num_edges == 4


def test_a_changed_tensor_gets_its_own_graph_and_the_others_keep_theirs():
    first, second = (torch.tensor([[0, 1, 2], [1, 2, 0]]) for _ in range(2))
    graph = prepare_graph(first, 3)
    assert prepare_graph(second, 3) is graph
    first[:] = first.flip(0)
    other = prepare_graph(first, 3)
    assert other is not graph
    assert other.edge_index[:, :3].tolist() == first.tolist()
    assert prepare_graph(second, 3) is graph
    first[:] = first.flip(0)
    assert prepare_graph(first, 3).edge_index[:, :3].tolist() == first.tolist()
    with pytest.raises(IndexError):
        prepare_graph(first.mul_(5), 3)


def test_a_value_dies_with_the_last_of_its_tensors():
    cache = Prepared(10_000, 1)
    first, second = numbers(0), numbers(0)

    class Value:
        pass

    value = Value()
    ref = weakref.ref(value)
    for tensor in (first, second):
        cache.get(tensor, 0, lambda kept=value: (kept, 100))
    del value, tensor, first
    gc.collect()
    assert ref() is not None
    assert cache.size == 100
    del second
    gc.collect()
    assert ref() is None
    assert cache.size == 0


def test_the_least_recently_used_are_dropped_beyond_the_budget():
    cache = Prepared(500, 2)
    tensors = [numbers(i) for i in range(200)]
    for tensor in tensors:
        assert not remembered(cache, tensor)
        assert cache.size <= 500
    assert [remembered(cache, t) for t in tensors[-5:]] == [True] * 5
    assert remembered(cache, tensors[-5])  # now the most recent
    assert not remembered(cache, tensors[0])
    assert remembered(cache, tensors[-5])
    assert not remembered(cache, tensors[-4])


def test_a_few_are_kept_however_large_they_are():
    cache = Prepared(500, 2)
    tensors = [numbers(i) for i in range(3)]
    for tensor in tensors:
        remembered(cache, tensor, size=10_000)
    assert cache.size == 20_000
    assert remembered(cache, tensors[1], size=10_000)
    assert remembered(cache, tensors[2], size=10_000)
    assert not remembered(cache, tensors[0], size=10_000)


def test_values_that_died_make_room():
    cache = Prepared(500, 1)
    living = [numbers(i) for i in range(3)]
    for tensor in living:
        remembered(cache, tensor)
    for i in range(50):
        remembered(cache, numbers(100 + i))
    gc.collect()
    assert all(remembered(cache, tensor) for tensor in living)


def test_many_living_copies_of_a_graph_do_not_pile_up():
    base = torch.randint(50, (2, 300), generator=torch.Generator().manual_seed(0))
    conv, x = GRANDConv(4, time=1.0), torch.randn(50, 4)
    expected = conv(x, base)
    for copy in [base.clone() for _ in range(20)]:
        assert torch.equal(conv(x, copy), expected)
    assert prepare_graph(copy, 50) is prepare_graph(base, 50)


def test_threads_agree():
    cache, wrong = Prepared(700, 2), []
    tensors = [numbers(i % 10) for i in range(40)]

    def work(seed):
        for i in torch.randperm(40, generator=torch.Generator().manual_seed(seed)).tolist() * 5:
            try:
                remembered(cache, tensors[i])
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert cache.size <= 700
