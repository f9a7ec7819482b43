"""Streams of random numbers that do not touch one another."""

from __future__ import annotations

import torch

from grandpp.training.random_stream import RandomStream

CPU = torch.device("cpu")


def test_streams_go_on_as_if_they_were_alone():
    wanted, streams = [], []
    for seed in (1, 2):
        torch.manual_seed(seed)
        streams.append(RandomStream(CPU))
        wanted.append(torch.rand(6))
    torch.manual_seed(3)
    found: list[list[torch.Tensor]] = [[], []]
    outside = []
    for size in (1, 2, 3):
        for place, stream in enumerate(streams):
            with stream:
                found[place].append(torch.rand(size))
            outside.append(torch.rand(1))
    for a, b in zip(wanted, found, strict=True):
        assert torch.equal(a, torch.cat(b))
    torch.manual_seed(3)
    assert torch.equal(torch.cat(outside), torch.cat([torch.rand(1) for _ in range(6)]))


def test_an_earlier_state_repeats_what_came_after_it():
    stream = RandomStream(CPU)
    before = stream.state
    with stream:
        first = torch.rand(4)
    with stream:
        assert not torch.equal(torch.rand(4), first)
    stream.state = before
    with stream:
        assert torch.equal(torch.rand(4), first)
